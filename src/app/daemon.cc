#include "app/daemon.h"

#include <chrono>
#include <memory>
#include <utility>

namespace purgeline {
namespace {

using cli::ExitStatus;

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

}  // namespace

Daemon::Daemon(const std::string& file, const Config& config, const BuildInfo& build,
               LogOutput& log)
    : file_(file),
      config_(config),
      build_(build),
      log_(log),
      reload_state_(SystemClock().wall()),
      watches_(config.purge.layers) {}

Daemon::~Daemon() {
  stop();
}

ExitStatus Daemon::run() {
  if (const auto status = start()) return *status;
  ended_.get_future().wait();
  const bool clean = shard_->wait();
  log_closed_ = shard_->log_closed().wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  stop();
  // What was not committed is read and purged again; that loses nothing, and is no failure of a
  // stop.
  if (!clean) {
    log_.warning("stopped before everything was committed", {{"effect", "it is purged again"}});
  }
  return ExitStatus::done;
}

std::optional<ExitStatus> Daemon::start() {
  if (const auto trouble = stores_.open(config_)) return failed(trouble->first, trouble->second);
  shard_.emplace(config_, stores_.store(), log_, board_, heartbeat_);
  shard_->set_journal(stores_.journal());
  shard_->set_watches(&watches_);
  shard_->set_on_end([this] { ended_.set_value(); });
  make_control();
  make_reloader();
  // Addresses first: one that is taken must not stop a shard that already purges.
  if (const Status status = start_intakes(); !status) {
    return failed("intake not usable", status.error());
  }
  if (const Status status = control_->start(); !status) {
    return failed("admin address not usable", status.error());
  }
  if (const Status status = shard_->start(); !status) return failed("not started", status.error());
  return std::nullopt;
}

void Daemon::make_control() {
  ControlCallbacks callbacks;
  callbacks.on_stop = [this](int) {
    on_stop();
  };
  callbacks.on_reload = [this] {
    if (reloader_) reloader_->reload();
  };
  callbacks.on_hopeless = [this] {
    log_.flush(std::chrono::seconds(1));
  };
  callbacks.process = [this] {
    return process_metrics(reload_state_, log_);
  };
  callbacks.intakes = [this](MetricsSnapshot& snapshot) {
    add_to(snapshot);
  };
  callbacks.on_close = [this] {
    if (intakes_) intakes_->stop();
  };
  control_.emplace(
      control_options(config_, build_), board_, heartbeat_, log_,
      [] { return std::make_unique<SystemClock>(); }, std::move(callbacks));
}

void Daemon::make_reloader() {
  shard_->set_on_reloaded([this](bool applied) {
    if (!applied) return reload_state_.failed();
    const SystemClock now;
    reload_state_.succeeded(now.wall());
  });
  Reloader::Parts parts;
  parts.beside_the_shard = [this](const Config& changed) {
    log_.change(changed.logging.format, changed.logging.level);
    control_->set_compat(changed.admin.compat);
  };
  parts.shard = [this](Config changed, HostMatcher hosts) {
    shard_->reload(std::move(changed), std::move(hosts));
  };
  reloader_.emplace(file_, config_, reload_state_, log_, std::move(parts));
}

Status Daemon::start_intakes() {
  if (!Intakes::wanted(config_.intake)) return {};
  if (!config_.log.kafka.brokers.empty()) {
    if (Status status = start_outbox(); !status) return status;
  }
  intakes_.emplace(control_->context(), config_.intake, build_.version,
                   IntakeSeams{*stores_.journal(), &watches_, intake_clock_, intake_random_, log_});
  return intakes_->start();
}

// What the intakes take is kept in the journal until Kafka has it.
Status Daemon::start_outbox() {
  KafkaOutboxOptions options;
  for (const Endpoint& broker : config_.log.kafka.brokers) options.brokers.push_back(broker.text);
  for (const auto& [name, value] : config_.log.kafka.properties) {
    options.properties[name] = value.text;
  }
  kept_.emplace(*stores_.journal());
  outbox_.emplace(std::move(options), *kept_, outbox_clock_, log_);
  return outbox_->start();
}

void Daemon::add_to(MetricsSnapshot& snapshot) const {
  if (intakes_) intakes_->add_metrics(snapshot);
  if (!outbox_) return;
  snapshot.outbox = outbox_->metrics();
  const std::string trouble = outbox_->trouble();
  const auto waiting = static_cast<std::uint64_t>(snapshot.outbox->waiting);
  snapshot.ready.push_back({"outbox", trouble.empty(),
                            std::to_string(waiting) + " events wait for Kafka" +
                                (trouble.empty() ? "" : ": " + trouble)});
}

void Daemon::on_stop() {
  if (intakes_) intakes_->refuse();
  shard_->stop();
}

void Daemon::stop() {
  if (outbox_) outbox_->stop();
  stores_.stop_journal();
  watches_.close();
  if (control_) control_->stop();
}

ExitStatus Daemon::failed(const char* what, const Error& error) {
  log_.error(what, {{"why", error.detail}});
  return error.code == Errc::invalid ? ExitStatus::configuration : ExitStatus::failed;
}

}  // namespace purgeline
