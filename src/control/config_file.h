// Files that the configuration is made of: its YAML, and those that hold a property's value.
#pragma once

#include <cstddef>
#include <string>

#include "control/config_error.h"
#include "control/config_node.h"
#include "purgeline/config.h"

namespace purgeline::config {

inline constexpr std::size_t kMaxValueBytes = 64U << 10;  // a chain of certificates is a tenth

// Reads a regular file of at most `limit` bytes into `text`. Returns what is wrong, as the end of a
// sentence that begins with the file; empty when nothing is. Neither a pipe nor a huge file can
// hold this up.
[[nodiscard]] std::string read_file(const std::string& path, std::size_t limit, std::string& text);

// Gives each property that names a file the file's text without the line end it ends with.
void read_property_files(Config& config, const Node& root, Problems& problems);

}  // namespace purgeline::config
