// Ids and times that an intake gives to events that came without.
#pragma once

#include <string>

#include "purgeline/clock.h"

namespace purgeline {

// A random UUID (version 4).
[[nodiscard]] std::string make_event_id(Random& random);

// "2026-08-21T13:56:20.417123Z".
[[nodiscard]] std::string event_time(WallTime time);

}  // namespace purgeline
