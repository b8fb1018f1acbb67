// A tree against the table: names, kinds, forms, ranges, and what must not be missing.
#pragma once

#include <string>
#include <string_view>

#include "control/config_error.h"
#include "control/config_node.h"
#include "control/config_schema.h"

namespace purgeline::config {

// part: one file by itself, where keys may be missing and lists short because other files bring
// them.
enum class Extent { part, whole };

void check_tree(const SchemaNode& schema, const Node& root, Extent extent, Problems& problems);

[[nodiscard]] std::string join_path(const std::string& path, std::string_view name);
[[nodiscard]] std::string index_path(const std::string& path, std::size_t index);

}  // namespace purgeline::config
