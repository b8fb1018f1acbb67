// Dates in UTC, as start_at takes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "purgeline/types.h"

namespace purgeline::config {

// 2026-01-31 (its first moment) or 2026-01-31T12:00:00Z, of the years 1970 to 2199.
[[nodiscard]] std::optional<WallTime> parse_date(std::string_view written);

[[nodiscard]] std::string date_text(WallTime time);

}  // namespace purgeline::config
