#include "ack/committer.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {

Committer::Committer(const CommitterOptions& options, OffsetStore& store, Clock& clock)
    : options_(options), store_(store), clock_(clock), next_(clock.now() + options.interval) {}

Committer::Entry& Committer::entry(PartitionId partition) {
  CHECK(partition.value() < entries_.size());
  CHECK(entries_[partition.value()].known);
  return entries_[partition.value()];
}

void Committer::add(PartitionId partition, const PartitionName& name,
                    std::optional<Offset> committed) {
  if (entries_.size() <= partition.value()) entries_.resize(partition.value() + 1);
  Entry& entry = entries_[partition.value()];
  entry = Entry{};
  entry.known = true;
  entry.name = name;
  entry.confirmed_at = clock_.now();
  entry.state.committed = committed;
}

void Committer::update(PartitionId partition, Offset offset, std::optional<WallTime> time) {
  Entry& entry = this->entry(partition);
  CHECK(!entry.reached || offset >= *entry.reached);
  entry.reached = offset;
  if (time) entry.time = time;
}

void Committer::forget(PartitionId partition) {
  Entry& entry = this->entry(partition);
  entry.reached.reset();
  entry.time.reset();
}

bool Committer::due(const Entry& entry) const {
  if (!entry.known || entry.asked || !entry.reached) return false;
  if (!entry.state.committed || *entry.reached != *entry.state.committed) return true;
  return clock_.now() - entry.confirmed_at >= options_.repeat;
}

void Committer::turn() {
  if (clock_.now() < next_) return;
  next_ = clock_.now() + options_.interval;
  for (Entry& entry : entries_) {
    if (!entry.asked || clock_.now() - entry.asked_at < options_.answer_limit) continue;
    entry.asked.reset();
    ++entry.state.failures;
    entry.state.last_error = "the commit was not answered";
  }
  commit_now();
}

void Committer::commit_now() {
  batch_.clear();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (!due(entry)) continue;
    entry.asked = entry.reached;
    entry.asked_at = clock_.now();
    batch_.push_back(Commit{PartitionId{static_cast<std::uint32_t>(i)}, entry.name,
                            Position{*entry.reached, entry.time, cluster_}});
  }
  if (!batch_.empty()) store_.commit(batch_);
}

void Committer::on_committed(PartitionId partition, Offset offset, const Status& status) {
  Entry& entry = this->entry(partition);
  if (!entry.asked || *entry.asked != offset) return;  // given up earlier
  entry.asked.reset();
  if (!status) {
    ++entry.state.failures;
    entry.state.last_error = status.error().detail;
    return;
  }
  ++entry.state.commits;
  entry.state.last_error.clear();
  entry.state.committed = offset;
  entry.confirmed_at = clock_.now();
}

bool Committer::settled() const {
  return std::all_of(entries_.begin(), entries_.end(), [](const Entry& entry) {
    return !entry.known || !entry.reached ||
           (entry.state.committed && *entry.state.committed == *entry.reached);
  });
}

std::optional<MonoTime> Committer::next_due() const {
  const bool something = std::any_of(entries_.begin(), entries_.end(), [this](const Entry& entry) {
    return entry.asked.has_value() || due(entry);
  });
  if (!something) return std::nullopt;
  return next_;
}

const Committer::State& Committer::state(PartitionId partition) const {
  CHECK(partition.value() < entries_.size());
  return entries_[partition.value()].state;
}

}  // namespace purgeline
