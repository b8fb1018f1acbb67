// HostPattern: one entry of purge.hosts, read the same way by `config check` and by the router.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "purgeline/result.h"

namespace purgeline {

enum class HostPatternKind : std::uint8_t { host, suffix, expression };

struct HostPattern {
  HostPatternKind kind{HostPatternKind::host};
  // In lower case, a suffix with its leading dot; an expression as written, without the slashes and
  // not compiled.
  std::string text;
};

// Memory that the expressions of one list may take when they are compiled.
inline constexpr std::int64_t kHostExpressionMemory = 8 << 20;

// The error is the end of a sentence that begins with the pattern.
[[nodiscard]] Result<HostPattern> parse_host_pattern(std::string_view written);

// What to say about an expression that RE2 refused with these words; the same kind of sentence.
[[nodiscard]] std::string refused_expression(std::string_view expression, std::string_view words);

}  // namespace purgeline
