// What the partitions tell of themselves.
#include <algorithm>

#include "app/partitions.h"

namespace purgeline {
namespace {

double seconds_of(Duration duration) {
  return static_cast<double>(duration.count()) * 1e-9;
}

}  // namespace

bool Partitions::all_reading() const {
  return !partitions_.empty() &&
         std::all_of(partitions_.begin(), partitions_.end(), [](const auto& partition) {
           return partition->state == State::reading || partition->state == State::left;
         });
}

std::uint64_t Partitions::backlog() const {
  std::uint64_t sum = 0;
  for (const auto& partition : partitions_) sum += readings_.backlog(partition->id);
  return sum;
}

void Partitions::measure() {
  for (auto& partition : partitions_) {
    const auto live = readings_.live(partition->id);
    if (!live || !committer_.knows(partition->id)) continue;
    const Reading& reading = readings_[*live];
    PartitionMetrics& metrics = partition->metrics;
    const Offset finished = reading.ledger->watermark().offset;
    const auto ends = source_.ends(partition->id);
    const std::int64_t end = ends ? std::max(ends->high, finished).value() : finished.value();
    const std::uint64_t backlog = readings_.backlog(partition->id);
    const auto catch_up = readings_.catch_up(partition->id);
    const bool catching_up = backlog > 0 || catch_up;
    metrics.catch_up_events = static_cast<double>(backlog);
    metrics.lag_events = static_cast<double>(end - finished.value()) + metrics.catch_up_events;
    // Lag in time is the age of what is not finished; an idle partition has none, however old its
    // newest event is.
    std::optional<WallTime> since = reading.ledger->oldest_unfinished();
    if (!since) since = reading.needed().time;
    if (end == finished.value()) since.reset();
    if (catching_up) since = readings_.finished_time(partition->id);
    metrics.lag_seconds = since ? std::max(0.0, seconds_of(clock_.wall() - *since)) : 0;
    metrics.position =
        reading.cursor ? static_cast<double>(source_.position(*reading.cursor).value()) : 0;
    const Committer::State& state = committer_.state(partition->id);
    metrics.committed = state.committed ? static_cast<double>(state.committed->value()) : 0;
    metrics.commits = state.commits;
    metrics.commit_failures = state.failures;
  }
}

}  // namespace purgeline
