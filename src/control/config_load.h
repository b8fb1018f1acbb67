// Loading the configuration: files, conf.d and the environment into one checked Config.
//
// Place:   at start, and on SIGHUP; the daemon swaps the Config whole or keeps the old one.
// Thread:  any; nothing is kept between calls.
// Bound:   kMaxFiles files of kMaxFileBytes bytes (config_node.h).
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/config_bind.h"
#include "control/config_error.h"
#include "purgeline/config.h"

namespace purgeline {

inline constexpr const char* kDefaultConfigFile = "/etc/purgeline/purgeline.yaml";

struct ConfigResult {
  std::optional<Config> config;     // empty exactly when there are errors
  std::vector<ConfigError> errors;  // of all files and variables, in reading order
  ConfigOrigins origins;            // of every key of `config`
  std::vector<std::string> files;   // what was read, in order
};

using Environment = std::span<const std::pair<std::string, std::string>>;

// Reads `file`, then conf.d/*.yaml beside it in the order of their bytes, then the variables that
// begin with PURGELINE__.
[[nodiscard]] ConfigResult load_config(const std::filesystem::path& file, Environment environment);

// The same for texts in memory: (name, YAML), in order.
[[nodiscard]] ConfigResult load_config_texts(
    std::span<const std::pair<std::string, std::string>> texts, Environment environment);

// This process's environment as load_config() takes it.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> process_environment();

}  // namespace purgeline
