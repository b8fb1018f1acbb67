// The configuration for people: what is in force and why, and the reference of all keys.
#pragma once

#include <string>

#include "control/config_bind.h"
#include "purgeline/config.h"

namespace purgeline {

// Effective values as YAML, each with a comment that says where it comes from. Secrets are masked;
// without them the text reads back as the same configuration.
[[nodiscard]] std::string show_config(const Config& config, const ConfigOrigins& origins);

// The reference in Markdown: docs/configuration.md.
[[nodiscard]] std::string config_docs();

// The file that config_docs() gives as its example.
[[nodiscard]] std::string config_example();

}  // namespace purgeline
