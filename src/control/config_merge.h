// Joins what several files and the environment say into one tree.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/config_error.h"
#include "control/config_node.h"
#include "control/config_schema.h"

namespace purgeline::config {

using Variable = std::pair<std::string, std::string>;

// Of two values the later one counts; sections are joined key by key, and lists are appended to.
void merge(Node& base, Node later);

// A section that is written as `off` becomes the key that this means.
void expand_off(const SchemaNode& schema, Node& node);

// Applies variables such as PURGELINE__ADMIN__LISTEN=127.0.0.1:9 to the tree. Each becomes a source
// of its own, so that later complaints about its value name it. Others' variables are left alone.
void apply_environment(const SchemaNode& schema, std::span<const Variable> environment, Node& root,
                       std::vector<Source>& sources, Problems& problems);

// The variable that sets the value at this path: PURGELINE__PURGE__LAYERS__0__DEPTH.
[[nodiscard]] std::string variable_name(std::span<const std::string> parts);

}  // namespace purgeline::config
