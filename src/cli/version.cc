#include "cli/version.h"

#include "control/config_text.h"

namespace purgeline::cli {

std::string version_text(const VersionInfo& info, const std::string& format) {
  if (format == "json") {
    using config::json_string;
    return "{\"version\": " + json_string(info.version) +
           ", \"compiler\": " + json_string(info.compiler) +
           ", \"librdkafka\": " + json_string(info.librdkafka) +
           ", \"liburing\": " + json_string(info.liburing) +
           ", \"sqlite\": " + json_string(info.sqlite) + "}\n";
  }
  return "purgeline " + info.version + "\ncompiler " + info.compiler + "\nlibrdkafka " +
         info.librdkafka + "\nliburing " + info.liburing + "\nsqlite " + info.sqlite + "\n";
}

}  // namespace purgeline::cli
