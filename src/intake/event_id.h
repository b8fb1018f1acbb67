// The id that an intake gives to an event that came without.
#pragma once

#include <string>

#include "purgeline/clock.h"

namespace purgeline {

// A random UUID (version 4).
[[nodiscard]] std::string make_event_id(Random& random);

}  // namespace purgeline
