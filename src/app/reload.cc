#include "app/reload.h"

#include <utility>

#include "control/config_load.h"

namespace purgeline {
namespace {

std::string place_of(const ConfigError& error) {
  std::string place = error.file;
  if (error.line > 0) place += ":" + std::to_string(error.line) + ":" + std::to_string(error.col);
  return place + (error.path.empty() ? "" : ": " + error.path);
}

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

Reloader::Reloader(std::string file, Config running, ReloadState& state, EventLog& log, Parts parts)
    : file_(std::move(file)),
      running_(std::move(running)),
      state_(state),
      log_(log),
      parts_(std::move(parts)) {}

void Reloader::refused(const char* effect, const std::string& why, const std::string& where) {
  log_.write(LogLevel::error, "configuration refused",
             {{"where", where}, {"why", why}, {"effect", effect}});
}

void Reloader::reload() {
  constexpr const char* kEffect = "the one that runs goes on";
  const auto environment = process_environment();
  const ConfigResult loaded = load_config(file_, environment);
  for (const ConfigError& error : loaded.errors) {
    std::string why = error.message;
    if (!error.found.empty()) why += "; found " + error.found;
    if (!error.allowed.empty()) why += "; allowed: " + error.allowed;
    if (!error.suggestion.empty()) why += "; did you mean " + error.suggestion + "?";
    refused(kEffect, why, place_of(error));
  }
  if (!loaded.config) {
    state_.failed();
    return;
  }
  auto hosts = HostMatcher::make(loaded.config->purge.hosts.allow, loaded.config->purge.hosts.deny);
  if (!hosts) {
    refused(kEffect, hosts.error().detail, file_ + ": purge.hosts");
    state_.failed();
    return;
  }
  ConfigChange change = change_of(running_, *loaded.config);
  if (!change.restart.empty()) {
    log_.write(LogLevel::warning, "needs a restart",
               {{"keys", list_of(change.restart)},
                {"effect", "they stay as they were; all else is applied"}});
  }
  running_ = change.config;
  parts_.beside_the_shard(running_);
  parts_.shard(running_, std::move(*hosts));
}

}  // namespace purgeline
