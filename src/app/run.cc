#include "app/run.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "app/intakes.h"
#include "app/reload.h"
#include "app/shard.h"
#include "control/config_load.h"
#include "control/control_thread.h"
#include "io/system_clock.h"
#include "route/hosts.h"
#include "store/journal.h"
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

ProcessMetrics process_metrics(const ReloadState& state, const LogOutput& log) {
  ProcessMetrics metrics;
  metrics.config_last_reload_successful = state.good() ? 1 : 0;
  metrics.config_last_reload_success_timestamp =
      static_cast<double>(state.at().time_since_epoch().count()) * 1e-9;
  metrics.log_lines_dropped = log.dropped();
  return metrics;
}

JournalOptions journal_options(const JournalConfig& config) {
  JournalOptions options;
  options.topics = config.topics;
  if (options.topics.empty()) options.topics.emplace_back("resource-purge");
  options.retention = config.retention;
  options.max_size = config.max_size;
  return options;
}

ExitStatus failed(LogOutput& log, const char* what, const Error& error) {
  log.error(what, {{"why", error.detail}});
  return error.code == Errc::invalid ? ExitStatus::configuration : ExitStatus::failed;
}

// What outlives the shard: the state folder, its database, and the journal when it is the log.
struct Stores {
  std::optional<StateDir> folder;
  SystemClock store_clock;
  std::unique_ptr<StoreThread> store;
  SystemClock journal_clock;
  std::unique_ptr<Journal> journal;

  // Otherwise what could not be opened, and why.
  std::optional<std::pair<const char*, Error>> open(const Config& config) {
    auto state_dir = StateDir::open(config.state_dir);
    if (!state_dir) return std::pair{"state_dir not usable", state_dir.error()};
    folder.emplace(std::move(*state_dir));
    auto opened = StoreThread::open(folder->state_db(), store_clock);
    if (!opened) return std::pair{"state.db not usable", opened.error()};
    store = std::move(*opened);
    if (!config.log.kafka.brokers.empty()) return std::nullopt;
    auto kept =
        Journal::open(folder->journal_db(), journal_clock, journal_options(config.log.journal));
    if (!kept) return std::pair{"journal.db not usable", kept.error()};
    journal = std::move(*kept);
    journal->start();
    return std::nullopt;
  }
};

void tell(ReloadState& state, bool applied) {
  if (!applied) return state.failed();
  const SystemClock now;
  state.succeeded(now.wall());
}

// `pages` is set before there is a control thread that could reload.
Reloader::Parts reload_parts(LogOutput& log, ControlThread*& pages, Shard& shard) {
  return {[&log, &pages](const Config& changed) {
            log.change(changed.logging.format, changed.logging.level);
            pages->set_compat(changed.admin.compat);
          },
          [&shard](Config changed, HostMatcher hosts) {
            shard.reload(std::move(changed), std::move(hosts));
          }};
}

ExitStatus run(const std::string& config_file, const BuildInfo& build, bool& log_closed) {
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
  Stores stores;
  if (const auto trouble = stores.open(config)) return failed(log, trouble->first, trouble->second);

  SnapshotBoard board;
  Heartbeat heartbeat;
  Shard shard(config, *stores.store, log, board, heartbeat);
  shard.set_journal(stores.journal.get());
  std::promise<void> ended;
  shard.set_on_end([&ended] { ended.set_value(); });
  ControlCallbacks callbacks;
  callbacks.on_stop = [&shard](int) {
    shard.stop();
  };
  ReloadState reload_state(clock.wall());
  shard.set_on_reloaded([&reload_state](bool applied) { tell(reload_state, applied); });
  ControlThread* pages = nullptr;
  Reloader reloader(config_file, config, reload_state, log, reload_parts(log, pages, shard));
  callbacks.on_reload = [&reloader] {
    reloader.reload();
  };
  callbacks.on_hopeless = [&log] {
    log.flush(std::chrono::seconds(1));
  };
  callbacks.process = [&reload_state, &log] {
    return process_metrics(reload_state, log);
  };
  ControlThread control(
      control_options(config, build), board, heartbeat, log,
      [] { return std::make_unique<SystemClock>(); }, callbacks);
  pages = &control;
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
  log_closed = shard.log_closed().wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  control.stop();
  // What was not committed is read and purged again; that loses nothing, and is no failure of a
  // stop.
  if (!clean)
    log.warning("stopped before everything was committed", {{"effect", "it is purged again"}});
  return ExitStatus::done;
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
