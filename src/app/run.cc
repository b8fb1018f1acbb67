#include "app/run.h"

#include <unistd.h>

#include <cstdio>
#include <future>
#include <iostream>

#include "app/intakes.h"
#include "app/shard.h"
#include "control/config_load.h"
#include "control/control_thread.h"
#include "io/system_clock.h"
#include "route/hosts.h"
#include "store/state_dir.h"

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

ControlOptions control_options(const Config& config, const BuildInfo& build) {
  ControlOptions options;
  options.listen = config.admin.listen;
  options.compat = config.admin.compat;
  options.build = build;
  options.supervisor = Supervisor::from_environment();
  return options;
}

ProcessMetrics process_metrics(WallTime loaded, const LogOutput& log) {
  ProcessMetrics metrics;
  metrics.config_last_reload_successful = 1;
  metrics.config_last_reload_success_timestamp =
      static_cast<double>(loaded.time_since_epoch().count()) * 1e-9;
  metrics.log_lines_dropped = log.dropped();
  return metrics;
}

ExitStatus failed(LogOutput& log, const char* what, const Error& error) {
  log.error(what, {{"why", error.detail}});
  return error.code == Errc::invalid ? ExitStatus::configuration : ExitStatus::failed;
}

}  // namespace

ExitStatus run_daemon(const std::string& config_file, const BuildInfo& build) {
  const auto environment = process_environment();
  const ConfigResult loaded = load_config(config_file, environment);
  if (!loaded.config) {
    std::cerr << format_errors(loaded.errors);
    return ExitStatus::configuration;
  }
  const Config& config = *loaded.config;
  SystemClock clock;
  LogOutput log(log_options(config.logging));
  log.info("starting", {{"version", build.version}, {"config", config_file}});
  // Checked here, so that a bad pattern is a mistake in the configuration and not a failed start.
  if (const auto hosts = HostMatcher::make(config.purge.hosts.allow, config.purge.hosts.deny);
      !hosts) {
    return failed(log, "configuration refused", hosts.error());
  }
  // What is taken in has to be kept, and nothing here keeps it yet: better no start than a socket
  // that somebody believes in.
  if (Intakes::wanted(config.intake)) {
    return failed(log, "configuration refused",
                  {Errc::invalid, "intake: there is no journal in this version to keep events in"});
  }
  auto state_dir = StateDir::open(config.state_dir);
  if (!state_dir) return failed(log, "state_dir not usable", state_dir.error());
  SystemClock store_clock;
  auto store = StoreThread::open(state_dir->state_db(), store_clock);
  if (!store) return failed(log, "state.db not usable", store.error());

  SnapshotBoard board;
  Heartbeat heartbeat;
  Shard shard(config, **store, log, board, heartbeat);
  std::promise<void> ended;
  shard.set_on_end([&ended] { ended.set_value(); });
  ControlCallbacks callbacks;
  callbacks.on_stop = [&shard](int) {
    shard.stop();
  };
  callbacks.on_reload = [&log] {
    log.warning("reload not available", {{"effect", "restart to read a changed configuration"}});
  };
  callbacks.process = [loaded_at = clock.wall(), &log] {
    return process_metrics(loaded_at, log);
  };
  ControlThread control(
      control_options(config, build), board, heartbeat, log,
      [] { return std::make_unique<SystemClock>(); }, callbacks);
  // The admin address first: an address that is taken must not stop a shard that already purges.
  if (const Status status = control.start(); !status) {
    return failed(log, "admin address not usable", status.error());
  }
  if (const Status status = shard.start(); !status) {
    control.stop();
    return failed(log, "not started", status.error());
  }
  ended.get_future().wait();
  const bool clean = shard.wait();
  control.stop();
  // What was not committed is read and purged again; that loses nothing, and is no failure of a
  // stop.
  if (!clean)
    log.warning("stopped before everything was committed", {{"effect", "it is purged again"}});
  return ExitStatus::done;
}

}  // namespace purgeline
