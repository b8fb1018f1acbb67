// What `purgeline --version` prints.
#pragma once

#include <string>

namespace purgeline::cli {

// Filled by the caller, the only one that may know the libraries.
struct VersionInfo {
  std::string version;
  std::string compiler;
  std::string librdkafka;
  std::string liburing;
  std::string sqlite;
};

// `format`: text or json.
[[nodiscard]] std::string version_text(const VersionInfo& info, const std::string& format);

}  // namespace purgeline::cli
