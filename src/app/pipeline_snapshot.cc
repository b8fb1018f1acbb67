// What the pipeline tells of itself: metrics and readiness.
#include <algorithm>
#include <memory>
#include <utility>

#include "app/pipeline.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr Duration kTellBacklog = std::chrono::seconds(30);

// Once per publication at most, and only when something was refused since the last.
void list_refused(const RejectRing& rejects, Partitions& partitions, MetricsSnapshot& out) {
  if (out.refused_ever == rejects.added()) return;
  auto list = std::make_shared<std::vector<RefusedInput>>();
  list->reserve(rejects.size());
  for (std::size_t i = 0; i < rejects.size(); ++i) {
    const Reject& reject = rejects.newest(i);
    list->push_back({reject.reason, partitions.at(reject.partition).name, reject.offset, reject.at,
                     reject.text, reject.size});
  }
  out.refused = std::move(list);
  out.refused_ever = rejects.added();
}

}  // namespace

void Pipeline::snapshot(MetricsSnapshot& out) {
  metrics_.events_unfinished = journeys_.unfinished();
  metrics_.events_capacity = static_cast<double>(config_.coalesce.capacity);
  metrics_.url_bytes = static_cast<double>(coalescer_.used_bytes());
  metrics_.stalled = stalled_ ? 1 : 0;
  metrics_.cold = partitions_.cold() ? 1 : 0;
  metrics_.coalesced = coalescer_.counts();
  metrics_.sent_ahead = journeys_.sent_ahead();
  const Fences& fences = journeys_.fences();
  metrics_.fences_open = fences.open();
  metrics_.fences_capacity = fences.capacity();
  metrics_.fences_oldest = static_cast<double>(fences.oldest_age().count()) * 1e-9;
  metrics_.fetch_time =
      static_cast<double>(audit_.fetch_time().value_or(Duration{0}).count()) * 1e-9;
  metrics_.fence_events = fences.counts().events;
  metrics_.rebounds = fences.counts().rebounds;
  metrics_.fence_purges = fences.counts().purges;
  metrics_.dead_letters_waiting = static_cast<double>(dying_.size());
  metrics_.log_errors = partitions_.log_errors();
  out.shard = metrics_;

  topics_.resize(partitions_.topics().size());
  out.topics.clear();
  for (std::size_t i = 0; i < topics_.size(); ++i) {
    out.topics.push_back({partitions_.topics()[i], topics_[i]});
  }
  partitions_.measure();
  out.partitions.clear();
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    if (partitions_[i].state == Partitions::State::left) continue;
    out.partitions.push_back({partitions_[i].name, partitions_[i].metrics});
  }
  out.targets.clear();
  for (const TargetId id : targets_.here()) {
    const Target& target = targets_[id];
    MetricsSnapshot::Target row;
    row.layer = target.layer;
    row.target = target.name;
    row.state = dispatcher_.state(target.id);
    row.metrics = dispatcher_.metrics(target.id);
    row.metrics.state = static_cast<double>(row.state);
    row.metrics.behind = absences_.behind(target.id) ? 1 : 0;
    row.metrics.missed = static_cast<double>(readings_.missed(target.id));
    row.metrics.waiting = static_cast<double>(coalescer_.waiting(target.id));
    const auto oldest = coalescer_.oldest_waiting(target.id);
    row.metrics.oldest_waiting =
        oldest ? static_cast<double>((clock_.now() - *oldest).count()) * 1e-9 : 0;
    out.targets.push_back(std::move(row));
  }
  list_refused(rejects_, partitions_, out);
  audit_.snapshot(out);
  out.ready = readiness();
  if (peers_) peers_->snapshot(out);
  out.taken = clock_.now();
}

// A layer is ready when one of its targets answered well last, and it was a cache that did.
void Pipeline::check_layers(std::vector<ReadyCheck>& checks) const {
  for (std::size_t l = 0; l < config_.layers.size(); ++l) {
    const std::string& name = config_.layers[l].name;
    bool ok = false;
    std::string detail;
    for (const TargetId id : targets_.here()) {
      const Target& target = targets_[id];
      if (target.layer != name) continue;
      const TargetState state = dispatcher_.state(target.id);
      const bool unproven = state == TargetState::up && dispatcher_.unproven(target.id);
      ok = ok || (state == TargetState::up && !unproven);
      detail += (detail.empty() ? "" : ", ") + target.name + " " +
                (unproven ? "unproven" : target_state_name(state));
    }
    checks.push_back({"layer " + name, ok, detail});
  }
  std::string unproven;
  for (const TargetId id : targets_.here()) {
    if (dispatcher_.unproven(id)) unproven += (unproven.empty() ? "" : ", ") + targets_[id].name;
  }
  checks.push_back({"purges proven", unproven.empty(),
                    unproven.empty() ? "no answer came from behind a cache"
                                     : unproven + ": the answers may be an origin's, which purges "
                                                  "nothing; see conf/purge.vcl"});
}

std::vector<ReadyCheck> Pipeline::readiness() {
  std::vector<ReadyCheck> checks;
  checks.push_back({"log", partitions_.reachable(),
                    partitions_.reachable() ? "reachable" : partitions_.trouble()});

  std::string missing;
  for (const auto& [topic, is_missing] : partitions_.missing_topics()) {
    if (is_missing) missing += (missing.empty() ? "" : ", ") + topic;
  }
  std::string sources = partitions_.size() == 0 ? "no partition known yet" : "";
  if (partitions_.size() > 0) {
    sources =
        partitions_.all_reading() ? "all partitions are read" : "positions are being looked up";
  }
  const std::uint64_t backlog = partitions_.backlog();
  if (backlog > 0) {
    sources += "; catching up, " + std::to_string(backlog) + " events are left";
    if (metrics_.catch_up_seconds > 0) {
      sources += " for about " +
                 std::to_string(static_cast<std::uint64_t>(metrics_.catch_up_seconds)) + " s";
    }
  }
  if (!missing.empty()) sources += "; topics that are missing: " + missing;
  checks.push_back({"sources", partitions_.all_reading(), sources});

  check_layers(checks);
  checks.push_back(
      {"not cold", !partitions_.cold(),
       partitions_.cold() ? partitions_.cold_reason() : "nothing was lost before reading"});
  std::string behind;
  for (const TargetId id : targets_.here()) {
    const Target& target = targets_[id];
    if (!absences_.behind(target.id)) continue;
    behind += (behind.empty() ? "" : ", ") + target.name + " has missed " +
              std::to_string(readings_.missed(target.id)) + " events";
  }
  checks.push_back(
      {"nobody behind", behind.empty(), behind.empty() ? "all targets are purged live" : behind});
  checks.push_back({"not stalled", !stalled_,
                    stalled_ ? "dead letters cannot be written and the table is full" : "reading"});
  const bool full = journeys_.fences().full();
  checks.push_back({"fences", !full,
                    full ? "the table is full (purge.fence.capacity): events are purged, but read "
                           "again for their fences"
                         : "every event's fence is registered"});
  checks.push_back({"dead letters", !dead_letter_trouble_,
                    dead_letter_trouble_ ? dead_letter_why_ : "writable"});
  const std::string commit = partitions_.commit_trouble();
  checks.push_back({"commits", commit.empty(), commit.empty() ? "confirmed" : commit});
  if (draining_) checks.push_back({"not stopping", false, "the daemon is stopping"});
  return checks;
}

void Pipeline::tell_fences() {
  const bool full = journeys_.fences().full();
  if (full == std::exchange(fences_full_, full)) return;
  if (full) {
    log_.write(LogLevel::error, "fences full",
               {{"open", std::to_string(journeys_.fences().open())},
                {"effect", "events are purged, and read again later for their fences"}});
  } else {
    log_.write(LogLevel::info, "fences have room",
               {{"open", std::to_string(journeys_.fences().open())}});
  }
}

// How fast the backlog shrinks, and a line now and then for who waits for its end.
void Pipeline::report_backlog() {
  const Duration passed = clock_.now() - backlog_at_;
  if (passed < std::chrono::seconds(1)) return;
  tell_fences();
  const std::uint64_t left = partitions_.backlog();
  const double done = left < backlog_left_ ? static_cast<double>(backlog_left_ - left) : 0.0;
  const double rate = done * 1e9 / static_cast<double>(passed.count());
  const bool first_look = backlog_left_ == 0;
  backlog_rate_ = first_look ? 0 : backlog_rate_ == 0 ? rate : backlog_rate_ * 0.7 + rate * 0.3;
  // One that was told to begin may have come and gone since the last look.
  const bool over = (!first_look || partitions_.catch_ups() != backlogs_over_) && left == 0;
  backlog_left_ = left;
  backlog_at_ = clock_.now();
  metrics_.catch_up_seconds =
      left > 0 && backlog_rate_ > 0 ? static_cast<double>(left) / backlog_rate_ : 0;
  // The first look knows no rate, so it has nothing to tell that the backlog's begin did not.
  if (!over && (left == 0 || first_look || clock_.now() - backlog_told_ < kTellBacklog)) return;
  backlog_told_ = clock_.now();
  if (over) {
    backlogs_over_ = partitions_.catch_ups();
    log_.info("caught up", {{"effect", "all of the log is read live"}});
    return;
  }
  log_.info(
      "catching up",
      {{"events_left", std::to_string(left)},
       {"per_second", std::to_string(static_cast<std::uint64_t>(backlog_rate_))},
       {"seconds_left", metrics_.catch_up_seconds > 0
                            ? std::to_string(static_cast<std::uint64_t>(metrics_.catch_up_seconds))
                            : "unknown"}});
}

}  // namespace purgeline
