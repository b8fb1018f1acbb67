// Escaping of values for log lines: what a URL or a broker sends must not write lines, colours or
// reversed text of its own into an operator's terminal.
#pragma once

#include <string>
#include <string_view>

namespace purgeline {

// Longest value that is printed; the rest is replaced by how much it was. URLs may have 8 KiB.
inline constexpr std::size_t kMaxLogValue = 2048;

// `plain`, or "with spaces" in quotes; controls, invisible and direction-changing characters and
// bytes that are not UTF-8 as \n, \xNN and \u{NNNN}.
void append_text_value(std::string& out, std::string_view value);
// A JSON string with its quotes. Bytes that are not UTF-8 become the text \xNN.
void append_json_string(std::string& out, std::string_view value);

}  // namespace purgeline
