#include "cli/config_command.h"

#include <ostream>
#include <string>

#include "control/config_show.h"
#include "control/config_text.h"
#include "purgeline/check.h"

namespace purgeline::cli {
namespace {

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string summary(const ConfigResult& result) {
  CHECK(result.config.has_value());
  const Config& config = *result.config;
  std::size_t targets = 0;
  for (const LayerConfig& layer : config.purge.layers) targets += layer.targets.size();
  std::string out = "  " + counted(config.log.kafka.topics.size(), "topic") + " from " +
                    counted(config.log.kafka.brokers.size(), "broker") + "; " +
                    counted(config.purge.layers.size(), "layer") + " with " +
                    counted(targets, "target");
  if (result.files.size() > 1)
    out += "; " + counted(result.files.size() - 1, "file") + " in conf.d";
  return out + "\n";
}

ExitStatus report(const std::string& file, const ConfigResult& result, bool json, std::ostream& out,
                  std::ostream& err) {
  if (json) {
    out << format_errors(result.errors, ErrorFormat::json);
  } else {
    err << format_errors(result.errors) << config::printable(file) << ": "
        << counted(result.errors.size(), "error") << "\n";
  }
  return ExitStatus::configuration;
}

}  // namespace

ExitStatus run_config_command(const ParsedCommand& parsed, Environment environment,
                              std::ostream& out, std::ostream& err) {
  if (parsed.command == Command::config_docs) {
    out << config_docs();
    return ExitStatus::done;
  }
  CHECK(parsed.command == Command::config_check || parsed.command == Command::config_show);
  const std::string& file = parsed.options.config_file;
  const bool json = parsed.options.format == "json";
  const ConfigResult result = load_config(file, environment);
  if (!result.errors.empty()) return report(file, result, json, out, err);
  if (parsed.command == Command::config_show) {
    out << show_config(*result.config, result.origins);
  } else if (json) {
    out << format_errors(result.errors, ErrorFormat::json);
  } else {
    out << config::printable(file) << ": ok\n" << summary(result);
  }
  return ExitStatus::done;
}

}  // namespace purgeline::cli
