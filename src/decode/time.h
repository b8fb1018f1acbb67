// The times of events: ISO 8601 as producers write it.
#pragma once

#include <optional>
#include <string_view>

#include "purgeline/types.h"

namespace purgeline {

// "2026-08-21T13:56:20.417Z": with or without a fraction, with Z or +hh:mm. Empty for anything
// else, and for years outside 1970 to 2200, which no event has.
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text);

}  // namespace purgeline
