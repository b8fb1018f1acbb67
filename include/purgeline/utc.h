// Times as people and events write them: UTC, as ISO 8601 has it.
#pragma once

#include <string>

#include "purgeline/types.h"

namespace purgeline {

enum class Fraction { none, milliseconds, microseconds };

// "2026-08-21T13:56:20.417123Z", cut off after the fraction that is asked for.
[[nodiscard]] std::string utc_text(WallTime time, Fraction fraction);

}  // namespace purgeline
