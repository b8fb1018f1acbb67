#include "app/run.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "app/daemon.h"
#include "control/config_load.h"
#include "control/log.h"
#include "route/hosts.h"

namespace purgeline {
namespace {

using cli::ExitStatus;

LogOptions log_options(const LogOutputConfig& config) {
  LogOptions options;
  options.format = config.format;
  options.level = config.level;
  options.journal = goes_to_journal(std::getenv("JOURNAL_STREAM"), STDERR_FILENO);
  return options;
}

ExitStatus run(const std::string& config_file, const BuildInfo& build, bool& log_closed) {
  const auto environment = process_environment();
  const ConfigResult loaded = load_config(config_file, environment);
  if (!loaded.config) {
    std::cerr << format_errors(loaded.errors);
    return ExitStatus::configuration;
  }
  const Config& config = *loaded.config;
  LogOutput log(log_options(config.logging));
  log.info("starting", {{"version", build.version}, {"config", config_file}});
  // Checked here, so that a bad pattern is a mistake in the configuration and not a failed start.
  if (const auto hosts = HostMatcher::make(config.purge.hosts.allow, config.purge.hosts.deny);
      !hosts) {
    log.error("configuration refused", {{"why", hosts.error().detail}});
    return ExitStatus::configuration;
  }
  Daemon daemon(config, build, log);
  const ExitStatus status = daemon.run();
  log_closed = daemon.log_closed();
  return status;
}

}  // namespace

ExitStatus run_daemon(const std::string& config_file, const BuildInfo& build) {
  bool log_closed = true;
  const ExitStatus status = run(config_file, build, log_closed);
  // Threads of the Kafka client wait for a broker yet. Everything is committed and written, or
  // given up; an ordinary exit would take apart under them what they use.
  if (!log_closed) std::_Exit(static_cast<int>(status));
  return status;
}

}  // namespace purgeline
