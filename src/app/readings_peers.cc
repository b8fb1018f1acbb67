// What other hosts have to do with readings: what is read here before their backends were purged.
#include <algorithm>

#include "app/readings.h"
#include "purgeline/check.h"

namespace purgeline {

// One range for each peer and partition: purging what lies between once more is harmless.
void Readings::remember(Partition& partition, PeerId peer, const Missed& missed) {
  const auto [at, fresh] = partition.missed.try_emplace(peer, missed);
  if (fresh) return;
  Missed& whole = at->second;
  if (missed.from < whole.from) {
    whole.from = missed.from;
    whole.began = missed.began;
  }
  if (!whole.to || !missed.to)
    whole.to.reset();
  else
    whole.to = std::max(*whole.to, *missed.to);
  whole.purged = whole.purged && missed.purged;
}

// A backlog does not wait for peers.
void Readings::remember_missing(PartitionId id, Partition& partition, const Owed& range) {
  for (std::uint16_t p = 0; p < kMaxPeers; ++p) {
    const PeerId peer{p};
    if ((peers_->here() & mask_of(peer)) == 0) continue;
    const Offset from = peers_->unfenced(peer, id, range.from, range.to);
    if (from >= range.to) continue;
    const bool purged = (peers_->missing(id, from, range.to) & mask_of(peer)) == 0;
    remember(partition, peer, {from, range.began, range.to, purged});
  }
}

void Readings::let_go(PeerId peer) {
  CHECK((let_go_ & mask_of(peer)) == 0);
  let_go_ |= mask_of(peer);
  for (Partition& partition : partitions_) {
    if (!partition.live) continue;
    // Events below have no open fence that would wait for the peer.
    const Ledger::Watermark mark = released((*this)[*partition.live]);
    remember(partition, peer, {mark.offset, mark.time, {}});
  }
}

void Readings::wait_for(PeerId peer) {
  CHECK((let_go_ & mask_of(peer)) != 0);
  let_go_ &= ~mask_of(peer);
  for (Partition& partition : partitions_) {
    const auto missed = partition.missed.find(peer);
    if (missed == partition.missed.end() || missed->second.to) continue;
    missed->second.to = (*this)[*partition.live].ledger->next();
  }
}

void Readings::forget_peer(PeerId peer) {
  let_go_ &= ~mask_of(peer);
  for (Partition& partition : partitions_) partition.missed.erase(peer);
}

Offset Readings::end_of(const Partition& partition, const Missed& missed) const {
  return missed.to.value_or((*this)[*partition.live].ledger->next());
}

// Its purges, and its fences, came before this moment, and those that are owed come after it.
std::uint64_t Readings::settle_missed(PeerId peer, MonoTime now) {
  std::int64_t caught_up = 0;
  for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    const auto found = partition.missed.find(peer);
    if (found == partition.missed.end() || !found->second.to) continue;
    const Missed missed = found->second;
    const PartitionId id{i};
    const bool fenced = peers_->unfenced(peer, id, missed.from, *missed.to) >= *missed.to;
    const bool purged = (peers_->missing(id, missed.from, *missed.to) & mask_of(peer)) == 0;
    if (fenced)
      partition.missed.erase(found);
    else if (purged && !missed.purged)
      found->second.purged = true;
    else
      continue;
    const TargetMask behind = all_ & ~layers_[0];
    for (std::uint16_t t = 0; t < kMaxTargets; ++t) {
      if ((behind & mask_of(TargetId{t})) != 0) returned_[t] = now;
    }
    owe(partition, {behind, missed.from, *missed.to, missed.began, false});
    if (!missed.purged) caught_up += missed.to->value() - missed.from.value();
  }
  return static_cast<std::uint64_t>(caught_up);
}

std::uint64_t Readings::missed(PeerId peer) const {
  std::int64_t sum = 0;
  for (const Partition& partition : partitions_) {
    const auto missed = partition.missed.find(peer);
    if (missed == partition.missed.end()) continue;
    sum += end_of(partition, missed->second).value() - missed->second.from.value();
  }
  return static_cast<std::uint64_t>(sum);
}

// ---- what peers are told

void Readings::sample_first(std::uint64_t step) {
  for (auto& reading : readings_) {
    if (!reading || !reading->counts || (reading->targets & layers_[0]) == 0) continue;
    const Offset mark = reading->ledger->mask_watermark(layers_[0]);
    auto& samples = reading->first_samples;
    if (mark <= (samples.empty() ? reading->first_fenced : samples.back().mark)) continue;
    if (samples.size() == kMostSamples) samples.pop_back();
    samples.push_back({step, mark});
  }
}

void Readings::release_first(std::optional<std::uint64_t> oldest_open) {
  first_open_ = oldest_open.has_value();
  for (auto& reading : readings_) {
    if (!reading || (reading->targets & layers_[0]) == 0) continue;
    auto& samples = reading->first_samples;
    if (!first_open_) {
      samples.clear();
      reading->first_fenced = reading->ledger->mask_watermark(layers_[0]);
    }
    while (!samples.empty() && samples.front().step < *oldest_open) {
      reading->first_fenced = samples.front().mark;
      samples.pop_front();
    }
  }
}

// Everything below is fenced there. Other layers may have made that less than what was so before.
Offset Readings::first_fenced(Reading& reading) const {
  const Offset purged = reading.ledger->mask_watermark(layers_[0]);
  return first_open_ ? std::min(purged, reading.first_fenced) : purged;
}

Offset Readings::fenced(PartitionId id) {
  const Partition* partition = find(id);
  CHECK(partition != nullptr && partition->live);
  return first_fenced((*this)[*partition->live]);
}

// What is not read live is one gap: all that lies between included.
PeerMark Readings::first_layer(PartitionId id) {
  const Partition* partition = find(id);
  CHECK(partition != nullptr && partition->live);
  const TargetMask first = layers_[0];
  PeerMark mark;
  Reading& live = (*this)[*partition->live];
  mark.purged = live.ledger->mask_watermark(first);
  mark.fenced = first_fenced(live);
  const auto widen = [](Offset& gap_from, Offset& gap_to, Offset from, Offset to) {
    if (from >= to) return;
    const bool none = gap_from >= gap_to;
    gap_from = none ? from : std::min(gap_from, from);
    gap_to = none ? to : std::max(gap_to, to);
  };
  const auto gap = [&mark, &widen](Offset purged, Offset fenced, Offset to) {
    widen(mark.gap_from, mark.gap_to, purged, to);
    widen(mark.fence_gap_from, mark.fence_gap_to, fenced, to);
  };
  for (const auto& reading : readings_) {
    if (!reading || !reading->counts || reading->partition != id) continue;
    if (reading->priority == Priority::live || (reading->targets & first) == 0) continue;
    gap(reading->ledger->mask_watermark(first), first_fenced(*reading),
        reading->cursor ? *reading->to : reading->ledger->next());
  }
  for (const Owed& owed : partition->owed) {
    if ((owed.targets & first) != 0) gap(owed.from, owed.from, owed.to);
  }
  for (const auto& [target, away] : partition->away) {
    if ((mask_of(target) & first) != 0) gap(away.from, away.from, live.ledger->next());
  }
  mark.gap_from = std::min(mark.gap_from, mark.purged);
  mark.gap_to = std::min(mark.gap_to, mark.purged);
  mark.fence_gap_from = std::min(mark.fence_gap_from, mark.fenced);
  mark.fence_gap_to = std::min(mark.fence_gap_to, mark.fenced);
  return mark;
}

std::optional<PartitionId> Readings::take_abandoned() {
  if (abandoned_.empty()) return std::nullopt;
  const PartitionId last = abandoned_.back();
  abandoned_.pop_back();
  return last;
}

}  // namespace purgeline
