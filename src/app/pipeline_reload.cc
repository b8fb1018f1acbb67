// A changed configuration, applied to the stages under load.
#include <utility>

#include "app/pipeline.h"
#include "app/stage_options.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr std::size_t kDropBatch = 4096;  // deliveries of a target that was removed, per turn

}  // namespace

// Nothing is changed before it is sure that all can be.
Pipeline::Reloaded Pipeline::reload(const PurgeConfig& config, const LogConfig& log,
                                    HostMatcher& hosts) {
  CHECK(config.coalesce.capacity == config_.coalesce.capacity);
  CHECK(config.coalesce.bytes == config_.coalesce.bytes);
  CHECK(config.fence.capacity == config_.fence.capacity);
  if (draining_) return Reloaded::later;
  const std::optional<TargetTable::Change> change = targets_.plan(config.layers);
  if (!change) return targets_.leaving().empty() ? Reloaded::impossible : Reloaded::later;
  if (!journeys_.change_layers(change->layers)) return Reloaded::later;
  config_ = config;
  catch_up_ = log.catch_up;
  router_.change(std::move(hosts), config.max_age);
  journeys_.set_layer_deadline(config.layer_deadline);
  coalescer_.set_window(config.coalesce.window);
  coalescer_.set_lag(coalescing_lag(config));
  coalescer_.set_min_share(log.catch_up.min_share);
  absences_.set_behind_after(config.behind_after);
  audit_.change(config);
  set_fence_times();
  partitions_.change(partition_options(config, log));
  if (!log.kafka.brokers.empty()) partitions_.change_topics(log.kafka.topics);
  change_targets(*change);
  if (peers_) peers_->change(config);
  return Reloaded::applied;
}

// In this order: what those that leave are owed is known before their deliveries are let go.
void Pipeline::change_targets(const TargetTable::Change& change) {
  for (const TargetId id : change.removed) {
    log_.write(LogLevel::info, "target removed",
               {{"target", targets_[id].name},
                {"layer", targets_[id].layer},
                {"missed", std::to_string(readings_.missed(id))},
                {"effect", "no position waits for it any more"}});
  }
  if (change.reordered) readings_.owe_all(clock_.now());
  readings_.change_layers(change.layers);
  for (const TargetId id : change.removed) {
    journeys_.remove(id);
    dispatcher_.remove(id, clock_.now() + config_.drain_grace);
    absences_.remove(id);
    audit_.remove(id);
  }
  targets_.apply(change);
  for (const TargetSpec& spec : change.added) {
    coalescer_.add_target(spec.id);
    probes_.reset(spec.id);
    absences_.add(spec.id);
    dispatcher_.add(spec);
    audit_.add(spec);
    facts_[spec.id.value()] = AbsenceFacts{};
    if (watches_ != nullptr)
      watches_->name(spec.id, targets_[spec.id].layer, targets_[spec.id].name);
    log_.write(LogLevel::info, "target added",
               {{"target", targets_[spec.id].name},
                {"layer", targets_[spec.id].layer},
                {"effect", "gets what is read from now on"}});
  }
  for (const TargetSpec& spec : change.kept) {
    dispatcher_.alter(spec);
    audit_.alter(spec);
  }
  if (!change.reordered) return;
  log_.write(LogLevel::info, "layers in another order",
             {{"effect", "events that were not finished are purged once more, in the new order"}});
}

// Those that were removed: what waits for them is dropped a little at a time, and their numbers are
// free when nobody speaks of them any more.
void Pipeline::see_off() {
  const std::vector<TargetId> leaving = targets_.leaving();
  for (const TargetId id : leaving) {
    more_to_drop_ = coalescer_.drop_some(id, kDropBatch) || more_to_drop_;
    if (!coalescer_.idle(id) || !dispatcher_.idle(id) || journeys_.refers(id)) continue;
    dispatcher_.forget(id);
    journeys_.forget(id);
    targets_.forget(id);
  }
}

}  // namespace purgeline
