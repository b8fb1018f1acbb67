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
}

// A backlog does not wait for peers.
void Readings::remember_missing(PartitionId id, Partition& partition, const Owed& range) {
  const PeerMask missing = peers_->missing(id, range.from, range.to);
  for (std::uint16_t p = 0; p < kMaxPeers; ++p) {
    if ((missing & mask_of(PeerId{p})) == 0) continue;
    remember(partition, PeerId{p}, {range.from, range.began, range.to});
  }
}

void Readings::let_go(PeerId peer) {
  CHECK((let_go_ & mask_of(peer)) == 0);
  let_go_ |= mask_of(peer);
  for (Partition& partition : partitions_) {
    if (!partition.live) continue;
    const Ledger::Watermark mark = (*this)[*partition.live].needed();
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

// Its purges came before this moment, and those that are owed come after it.
bool Readings::settle_missed(PeerId peer, MonoTime now) {
  bool any = false;
  for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    const auto found = partition.missed.find(peer);
    if (found == partition.missed.end() || !found->second.to) continue;
    const Missed missed = found->second;
    if ((peers_->missing(PartitionId{i}, missed.from, *missed.to) & mask_of(peer)) != 0) continue;
    partition.missed.erase(found);
    const TargetMask behind = all_ & ~layers_[0];
    for (std::uint16_t t = 0; t < kMaxTargets; ++t) {
      if ((behind & mask_of(TargetId{t})) != 0) returned_[t] = now;
    }
    owe(partition, {behind, missed.from, *missed.to, missed.began, false});
    any = any || missed.from < *missed.to;
  }
  return any;
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

// What is not read live is one gap: all that lies between included.
PeerMark Readings::first_layer(PartitionId id) {
  const Partition* partition = find(id);
  CHECK(partition != nullptr && partition->live);
  const TargetMask first = layers_[0];
  PeerMark mark;
  Ledger& live = *(*this)[*partition->live].ledger;
  mark.purged = live.mask_watermark(first);
  mark.fenced = std::min(mark.purged, released((*this)[*partition->live]).offset);
  const auto gap = [&mark](Offset from, Offset to) {
    if (from >= to) return;
    const bool none = mark.gap_from >= mark.gap_to;
    mark.gap_from = none ? from : std::min(mark.gap_from, from);
    mark.gap_to = none ? to : std::max(mark.gap_to, to);
  };
  for (const auto& reading : readings_) {
    if (!reading || !reading->counts || reading->partition != id) continue;
    if (reading->priority == Priority::live || (reading->targets & first) == 0) continue;
    gap(reading->ledger->mask_watermark(first),
        reading->cursor ? *reading->to : reading->ledger->next());
  }
  for (const Owed& owed : partition->owed) {
    if ((owed.targets & first) != 0) gap(owed.from, owed.to);
  }
  for (const auto& [target, away] : partition->away) {
    if ((mask_of(target) & first) != 0) gap(away.from, live.next());
  }
  mark.gap_from = std::min(mark.gap_from, mark.purged);
  mark.gap_to = std::min(mark.gap_to, mark.purged);
  return mark;
}

}  // namespace purgeline
