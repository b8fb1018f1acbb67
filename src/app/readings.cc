#include "app/readings.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {

Readings::Readings(Source& source, const std::vector<std::vector<TargetId>>& layers,
                   std::size_t ledger_capacity)
    : source_(source), ledger_capacity_(ledger_capacity) {
  returned_.fill(MonoTime::min());
  set_layers(layers);
}

void Readings::set_layers(const std::vector<std::vector<TargetId>>& layers) {
  layers_.clear();
  all_ = 0;
  for (const auto& layer : layers) {
    TargetMask mask = 0;
    for (const TargetId target : layer) mask |= mask_of(target);
    CHECK((mask & all_) == 0);
    layers_.push_back(mask);
    all_ |= mask;
  }
  CHECK(all_ != 0);
}

Readings::Partition& Readings::at(PartitionId partition) {
  if (partitions_.size() <= partition.value()) partitions_.resize(partition.value() + 1);
  return partitions_[partition.value()];
}

const Readings::Partition* Readings::find(PartitionId partition) const {
  return partition.value() < partitions_.size() ? &partitions_[partition.value()] : nullptr;
}

std::uint32_t Readings::add(std::unique_ptr<Reading> reading) {
  reading->released = reading->needed();
  reading->first_fenced = reading->released.offset;
  const auto free = std::find(readings_.begin(), readings_.end(), nullptr);
  const auto number = static_cast<std::uint32_t>(free - readings_.begin());
  if (free == readings_.end())
    readings_.push_back(std::move(reading));
  else
    *free = std::move(reading);
  return number;
}

std::optional<std::uint32_t> Readings::live(PartitionId partition) const {
  const Partition* of = find(partition);
  return of == nullptr ? std::nullopt : of->live;
}

std::optional<std::uint32_t> Readings::catch_up(PartitionId partition) const {
  const Partition* of = find(partition);
  return of == nullptr ? std::nullopt : of->catch_up;
}

std::optional<std::uint32_t> Readings::find(CursorId cursor) const {
  for (std::uint32_t i = 0; i < readings_.size(); ++i) {
    if (readings_[i] && readings_[i]->cursor == cursor) return i;
  }
  return std::nullopt;
}

void Readings::close_cursor(Reading& reading) {
  if (reading.cursor) source_.close(*reading.cursor);
  reading.cursor.reset();
}

// ---- live

void Readings::open_live(PartitionId id, Offset from, std::optional<WallTime> began,
                         Offset finished) {
  Partition& partition = at(id);
  CHECK(!partition.live && partition.owed.empty() && partition.away.empty());
  CHECK(finished <= from);
  auto reading = std::make_unique<Reading>();
  reading->partition = id;
  reading->targets = all_;
  reading->began = began;
  reading->ledger = std::make_unique<Ledger>(from, kMaxTargets, ledger_capacity_);
  reading->cursor = source_.open(id, Range{from, {}}, all_, Priority::live);
  partition.live = add(std::move(reading));
  const TargetMask there = all_ & ~left_out_;
  for (std::uint16_t t = 0; t < kMaxTargets; ++t) {
    if ((left_out_ & mask_of(TargetId{t})) == 0) continue;
    partition.away[TargetId{t}] = {there != 0 ? finished : from, began};
  }
  owe(partition, {there != 0 ? there : all_, finished, from, began, true});
  for (std::uint16_t p = 0; p < kMaxPeers; ++p) {
    if ((let_go_ & mask_of(PeerId{p})) != 0) remember(partition, PeerId{p}, {from, began, {}});
  }
}

void Readings::jump(PartitionId id, Offset to, bool owed) {
  Partition& partition = at(id);
  CHECK(partition.live);
  Reading& reading = (*this)[*partition.live];
  const Offset from = reading.ledger->next();
  CHECK(to >= from);
  if (owed) {
    const TargetMask there = all_ & ~left_out_;
    owe(partition, {there != 0 ? there : all_, from, to, reading.needed().time, true});
  }
  reading.ledger->skip_to(to);
  source_.reposition(*reading.cursor, to);
}

void Readings::skip(std::uint32_t number, Offset to) {
  Reading& reading = (*this)[number];
  CHECK(reading.priority == Priority::catch_up && reading.cursor && to <= *reading.to);
  reading.ledger->skip_to(std::max(to, reading.ledger->next()));
  if (to == *reading.to)
    close_cursor(reading);
  else
    source_.reposition(*reading.cursor, to);
}

void Readings::abandon(PartitionId id) {
  // Also those that have read all of theirs and wait for its end.
  for (auto& reading : readings_) {
    if (!reading || reading->partition != id) continue;
    close_cursor(*reading);
    reading->counts = false;
  }
  at(id) = Partition{};
  if (peers_ != nullptr) abandoned_.push_back(id);
}

// ---- targets that are left out

TargetMask Readings::with_layers_behind(TargetMask targets) const {
  TargetMask behind = 0;
  bool deeper = false;
  for (const TargetMask layer : layers_) {
    if (deeper) behind |= layer;
    deeper = deeper || (layer & targets) != 0;
  }
  return targets | behind;
}

void Readings::leave_out(TargetId target) {
  CHECK((left_out_ & mask_of(target)) == 0);
  left_out_ |= mask_of(target);
  for (std::uint32_t i = 0; i < readings_.size(); ++i) {
    if (!readings_[i] || !readings_[i]->counts) continue;
    Reading& reading = *readings_[i];
    if ((reading.targets & mask_of(target)) == 0) continue;
    Partition& partition = at(reading.partition);
    // Its fences are dropped, so what it has had may lack them.
    Ledger::Watermark missed = released(reading);
    const Offset unfinished = reading.ledger->target_watermark(target);
    missed.offset = fences_open_ ? std::min(missed.offset, unfinished) : unfinished;
    if (reading.priority == Priority::live) {
      partition.away[target] = {missed.offset, missed.time};
      continue;
    }
    const Offset end = reading.cursor ? *reading.to : reading.ledger->next();
    // Nobody is left whom it was opened for; what lies behind them is read again with them.
    const bool last = (reading.owed_to & ~left_out_) == 0;
    const bool unread = last && reading.unread && reading.cursor;
    owe(partition, {mask_of(target), missed.offset, end, missed.time, unread});
    if (last) close_cursor(reading);
  }
}

void Readings::take_in(TargetId target, MonoTime now) {
  CHECK((left_out_ & mask_of(target)) != 0);
  returned_[target.value()] = now;
  left_out_ &= ~mask_of(target);
  for (Partition& partition : partitions_) {
    const auto away = partition.away.find(target);
    if (away == partition.away.end()) continue;
    const Offset next = (*this)[*partition.live].ledger->next();
    const Away missed = away->second;
    partition.away.erase(away);
    if (missed.from < next)
      owe(partition, {mask_of(target), missed.from, next, missed.began, false});
  }
}

// ---- other targets and layers

void Readings::change_layers(const std::vector<std::vector<TargetId>>& layers) {
  const TargetMask before = all_;
  TargetMask after = 0;
  for (const auto& layer : layers) {
    for (const TargetId target : layer) after |= mask_of(target);
  }
  for (std::uint16_t t = 0; t < kMaxTargets; ++t) {
    const TargetMask bit = mask_of(TargetId{t});
    if ((before & ~after & bit) == 0) continue;
    release(TargetId{t}, with_layers_behind(bit) & after);
  }
  set_layers(layers);
  join_unread(after & ~before);
  for (auto& reading : readings_) {
    if (!reading || !reading->counts || !reading->cursor) continue;
    if (reading->priority == Priority::live) {
      reading->targets = all_;
      continue;
    }
    reading->targets = with_layers_behind(reading->owed_to);
    if ((reading->owed_to & ~left_out_) == 0) close_cursor(*reading);
  }
}

// `behind`: those behind it that stay.
void Readings::release(TargetId target, TargetMask behind) {
  const TargetMask bit = mask_of(target);
  for (Partition& partition : partitions_) {
    std::vector<Owed> owed;
    owed.swap(partition.owed);
    for (Owed range : owed) {
      if ((range.targets & bit) != 0) range.targets = (range.targets & ~bit) | behind;
      owe(partition, range);  // none: nothing is owed
    }
    const auto away = partition.away.find(target);
    if (away == partition.away.end()) continue;
    const Offset next = (*this)[*partition.live].ledger->next();
    owe(partition, {behind, away->second.from, next, away->second.began, false});
    partition.away.erase(away);
  }
  for (auto& reading : readings_) {
    if (!reading || (reading->owed_to & bit) == 0) continue;
    reading->owed_to = (reading->owed_to & ~bit) | (behind & ~left_out_);
  }
  left_out_ &= ~bit;
  returned_[target.value()] = MonoTime::min();
}

// What nobody has read yet is read for those that are new as well.
void Readings::join_unread(TargetMask added) {
  if (added == 0) return;
  for (Partition& partition : partitions_) {
    for (Owed& owed : partition.owed) {
      if (owed.unread) owed.targets |= added;
    }
  }
  for (auto& reading : readings_) {
    if (reading && reading->cursor && reading->unread) reading->owed_to |= added;
  }
}

// An event that is finished on some targets only is finished in no order at all once the order
// changes: what lay behind those that miss it may have been filled again from their old copies, and
// may lie before them from now on.
void Readings::owe_all(MonoTime now) {
  returned_.fill(now);
  for (Partition& partition : partitions_) {
    std::vector<Owed> owed;
    owed.swap(partition.owed);
    for (Owed range : owed) {
      range.targets = with_layers_behind(range.targets);
      range.unread = true;
      owe(partition, range);
    }
    for (const auto& [target, away] : partition.away) {
      const TargetMask whom = with_layers_behind(mask_of(target)) & ~mask_of(target);
      owe(partition, {whom, away.from, (*this)[*partition.live].ledger->next(), away.began, true});
    }
  }
  for (const auto& reading : readings_) {
    if (!reading || !reading->counts) continue;
    const bool live = reading->priority == Priority::live;
    const TargetMask whom = live ? all_ : with_layers_behind(reading->owed_to);
    if (!live && reading->cursor) reading->owed_to = whom & ~left_out_;
    Partition& partition = at(reading->partition);
    const Ledger::Watermark from = released(*reading);
    owe(partition, {whom, from.offset, reading->ledger->next(), from.time, true});
  }
}

// Ranges that are the same, or touch and are owed to the same targets, become one. When there are
// too many, the two that are nearest to each other do, with what lies between them: purging it once
// more is harmless.
void Readings::owe(Partition& partition, const Owed& range) {
  if (range.from >= range.to || range.targets == 0) return;
  for (Owed& other : partition.owed) {
    const bool same = other.from == range.from && other.to == range.to;
    const bool touch =
        other.targets == range.targets && other.from <= range.to && range.from <= other.to;
    if (!same && !touch) continue;
    other.targets |= range.targets;
    other.from = std::min(other.from, range.from);
    other.to = std::max(other.to, range.to);
    other.began = std::min(other.began, range.began);
    other.unread = other.unread || range.unread;
    return;
  }
  partition.owed.push_back(range);
  std::sort(partition.owed.begin(), partition.owed.end(),
            [](const Owed& a, const Owed& b) { return a.from < b.from; });
  if (partition.owed.size() <= kMostOwed) return;
  std::size_t nearest = 0;
  std::int64_t least = INT64_MAX;
  for (std::size_t i = 0; i + 1 < partition.owed.size(); ++i) {
    const std::int64_t gap = partition.owed[i + 1].from.value() - partition.owed[i].to.value();
    if (gap < least) least = gap, nearest = i;
  }
  Owed& first = partition.owed[nearest];
  const Owed& second = partition.owed[nearest + 1];
  first.targets |= second.targets;
  first.to = std::max(first.to, second.to);
  first.began = std::min(first.began, second.began);
  first.unread = first.unread || second.unread;
  partition.owed.erase(partition.owed.begin() + static_cast<std::ptrdiff_t>(nearest) + 1);
}

// ---- fences

void Readings::owe_fence(std::uint32_t number, Offset offset) {
  const Reading& reading = (*this)[number];
  const TargetMask targets = reading.targets & ~left_out_;  // the others are owed it anyway
  // Peers may have its fence open as well, as with what nobody has read.
  const bool unread = peers_ != nullptr;
  owe(at(reading.partition), {targets, offset, offset.next(), reading.needed().time, unread});
}

void Readings::end_step(std::uint64_t step) {
  if (first_open_) sample_first(step);
  if (!fences_open_) return;
  for (auto& reading : readings_) {
    if (!reading || !reading->counts) continue;
    const Ledger::Watermark mark = reading->needed();
    auto& samples = reading->samples;
    const Offset known = samples.empty() ? reading->released.offset : samples.back().mark.offset;
    if (mark.offset == known) continue;
    // The older ones can be released sooner; the newest comes with whatever is newer.
    if (samples.size() == kMostSamples) samples.pop_back();
    samples.push_back({step, mark});
  }
}

void Readings::release_samples(std::optional<std::uint64_t> oldest_open,
                               std::optional<std::uint64_t> oldest_of_first_layer) {
  if (peers_ != nullptr) release_first(oldest_of_first_layer);
  fences_open_ = oldest_open.has_value();
  for (auto& reading : readings_) {
    if (!reading) continue;
    if (!fences_open_) {
      reading->samples.clear();
      reading->released = reading->needed();
    }
    while (!reading->samples.empty() && reading->samples.front().step < *oldest_open) {
      reading->released = reading->samples.front().mark;
      reading->samples.pop_front();
    }
  }
}

bool Readings::done(const Reading& reading) const {
  if (reading.cursor || reading.ledger->unfinished_span() > 0) return false;
  return !reading.counts || released(reading).offset == reading.ledger->watermark().offset;
}

void Readings::turn() {
  for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    if (partition.catch_up) {
      Reading& reading = (*this)[*partition.catch_up];
      if (reading.cursor && source_.position(*reading.cursor) >= *reading.to) {
        close_cursor(reading);
      }
      // What it has read is on its way and holds the commit; the next one may begin.
      if (!reading.cursor) partition.catch_up.reset();
    }
    const bool may = ending_ < kMostEnding * partitions_.size() && !backlog_held_;
    if (!partition.catch_up && !partition.owed.empty() && may) {
      open_catch_up(PartitionId{i}, partition);
    }
  }
  for (auto& reading : readings_) {
    if (reading && done(*reading)) reading.reset();
  }
  ending_ = static_cast<std::size_t>(
      std::count_if(readings_.begin(), readings_.end(),
                    [](const auto& reading) { return reading && !reading->cursor; }));
}

// The oldest range that somebody waits for who is there.
void Readings::open_catch_up(PartitionId id, Partition& partition) {
  const auto due =
      std::find_if(partition.owed.begin(), partition.owed.end(),
                   [this](const Owed& owed) { return (owed.targets & ~left_out_) != 0; });
  if (due == partition.owed.end()) return;
  const Owed range = *due;
  if (range.unread && peers_ != nullptr) remember_missing(id, partition, range);
  auto reading = std::make_unique<Reading>();
  reading->partition = id;
  reading->priority = Priority::catch_up;
  reading->owed_to = range.targets & ~left_out_;
  reading->targets = with_layers_behind(reading->owed_to);
  reading->unread = range.unread;
  reading->to = range.to;
  reading->began = range.began;
  for (std::uint16_t t = 0; t < kMaxTargets; ++t) {
    if ((reading->owed_to & mask_of(TargetId{t})) == 0) continue;
    reading->floor = std::max(reading->floor, returned_[t]);
  }
  reading->ledger = std::make_unique<Ledger>(range.from, kMaxTargets, ledger_capacity_);
  reading->cursor =
      source_.open(id, Range{range.from, range.to}, reading->targets, Priority::catch_up);
  partition.owed.erase(due);
  // Who is not there stays owed, also as one of those behind.
  const TargetMask absent = (range.targets | reading->targets) & left_out_;
  if (absent != 0) owe(partition, {absent, range.from, range.to, range.began, false});
  partition.catch_up = add(std::move(reading));
}

// ---- what is known

bool Readings::catching_up() const {
  return std::any_of(partitions_.begin(), partitions_.end(),
                     [](const Partition& partition) { return partition.catch_up.has_value(); });
}

// `mark_of`: what a reading has done.
template <class MarkOf>
Ledger::Watermark Readings::lowest(PartitionId id, MarkOf mark_of) const {
  const Partition* partition = find(id);
  CHECK(partition != nullptr && partition->live);
  Ledger::Watermark lowest = mark_of((*this)[*partition->live]);
  const auto consider = [&lowest](Offset offset, std::optional<WallTime> time) {
    if (offset < lowest.offset) lowest = {offset, time};
  };
  for (const auto& reading : readings_) {
    if (!reading || !reading->counts || reading->partition != id || done(*reading)) continue;
    const Ledger::Watermark mark = mark_of(*reading);
    consider(mark.offset, mark.time);
  }
  for (const Owed& owed : partition->owed) consider(owed.from, owed.began);
  for (const auto& [target, away] : partition->away) consider(away.from, away.began);
  for (const auto& [peer, missed] : partition->missed) consider(missed.from, missed.began);
  return lowest;
}

Ledger::Watermark Readings::needed(PartitionId id) const {
  return lowest(id, [this](const Reading& reading) { return released(reading); });
}

std::optional<WallTime> Readings::finished_time(PartitionId id) const {
  return lowest(id, [](const Reading& reading) { return reading.needed(); }).time;
}

std::uint64_t Readings::backlog(PartitionId id) const {
  const Partition* partition = find(id);
  if (partition == nullptr) return 0;
  std::int64_t left = 0;
  if (partition->catch_up) {
    const Reading& reading = (*this)[*partition->catch_up];
    if (reading.cursor) {
      left += std::max<std::int64_t>(
          0, reading.to->value() - source_.position(*reading.cursor).value());
    }
  }
  for (const Owed& owed : partition->owed) {
    if ((owed.targets & ~left_out_) != 0) left += owed.to.value() - owed.from.value();
  }
  return static_cast<std::uint64_t>(left);
}

std::uint64_t Readings::missed(TargetId target) const {
  std::int64_t sum = 0;
  for (const Partition& partition : partitions_) {
    // Ranges may lie upon each other; those that are owed stand in the order of their beginnings.
    Offset reached, end{INT64_MAX};
    const auto away = partition.away.find(target);
    if (away != partition.away.end()) {
      end = away->second.from;
      sum += (*this)[*partition.live].ledger->next().value() - end.value();
    }
    for (const Owed& owed : partition.owed) {
      if ((owed.targets & mask_of(target)) == 0) continue;
      const Offset from = std::max(owed.from, reached), to = std::min(owed.to, end);
      if (from >= to) continue;
      sum += to.value() - from.value();
      reached = to;
    }
  }
  return static_cast<std::uint64_t>(sum);
}

}  // namespace purgeline
