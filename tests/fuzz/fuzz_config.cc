// Any bytes as a configuration: two files and one variable. Whatever comes out is either a Config
// that prints and reads back as itself, or errors that can be shown on a terminal.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/config_load.h"
#include "control/config_show.h"
#include "control/config_text.h"
#include "purgeline/check.h"

namespace {

using Texts = std::vector<std::pair<std::string, std::string>>;

// Bytes 0x1E part the input, so that a corpus can be written by hand: FILE [1E FILE] [1E
// NAME=VALUE].
std::string next_part(std::string_view& input) {
  const std::size_t end = input.find('\x1e');
  std::string part(input.substr(0, end));
  input = end == std::string_view::npos ? std::string_view() : input.substr(end + 1);
  return part;
}

void check_errors(const purgeline::ConfigResult& result) {
  CHECK(!result.errors.empty());
  const std::string text = purgeline::format_errors(result.errors);
  for (const char c : text) CHECK(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  CHECK(purgeline::config::is_utf8(text));
  CHECK(purgeline::config::is_utf8(
      purgeline::format_errors(result.errors, purgeline::ErrorFormat::json)));
}

void check_config(const purgeline::ConfigResult& result) {
  CHECK(result.errors.empty());
  for (const auto& [name, value] : result.config->log.kafka.properties) {
    if (purgeline::config::is_secret(name)) return;  // masked, so not the same
  }
  const Texts shown{{"shown.yaml", purgeline::show_config(*result.config, result.origins)}};
  const purgeline::ConfigResult again = purgeline::load_config_texts(shown, {});
  CHECK(again.config.has_value());
  CHECK(*again.config == *result.config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Texts files{{"first.yaml", next_part(input)}};
  if (!input.empty()) files.emplace_back("second.yaml", next_part(input));
  Texts environment;
  if (!input.empty()) {
    const std::string variable = next_part(input);
    const std::size_t equals = variable.find('=');
    if (equals != std::string::npos) {
      environment.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
    }
  }
  const purgeline::ConfigResult result = purgeline::load_config_texts(files, environment);
  if (result.config.has_value())
    check_config(result);
  else
    check_errors(result);
  return 0;
}
