// A checked tree into the Config struct, and every value's origin.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/config_error.h"
#include "control/config_node.h"
#include "purgeline/config.h"

namespace purgeline {

// Where a value comes from: path -> "FILE:LINE", "default", or "environment PURGELINE__...".
using ConfigOrigins = std::map<std::string, std::string>;

namespace config {

struct Bound {
  Config config;
  ConfigOrigins origins;
};

// Values that the check refused are bound as their default, an item of a list as an empty one: then
// the relations between values can still be judged, and one run tells every mistake.
[[nodiscard]] Bound bind(const Node& root, const std::vector<Source>& sources);

// What relates two values: duplicates, sums, and what only some forms are allowed for.
void check_relations(const Config& config, const Node& root, Problems& problems);

}  // namespace config
}  // namespace purgeline
