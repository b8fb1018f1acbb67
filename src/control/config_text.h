// Text that people typed: what they may have meant, and how to show it without harm.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace purgeline::config {

// The candidate nearest to what was typed, or "" when none is near enough to be a slip of the
// finger.
[[nodiscard]] std::string nearest(std::string_view typed, std::span<const std::string> candidates);

[[nodiscard]] bool is_utf8(std::string_view text);

// For a terminal: controls, bidirectional overrides and broken UTF-8 are escaped, long text is cut.
[[nodiscard]] std::string printable(std::string_view text);

// As printable(), but one column for each character, so that a caret below still points right.
[[nodiscard]] std::string aligned(std::string_view text);

// Characters (not bytes) of valid UTF-8.
[[nodiscard]] std::size_t characters(std::string_view text);

// Whether the value of this librdkafka property must never be printed.
[[nodiscard]] bool is_secret(std::string_view property);

// The line with everything cut off that stands behind the name of a secret property.
[[nodiscard]] std::string without_secrets(std::string_view line);

[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] std::string upper(std::string_view text);

[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace purgeline::config
