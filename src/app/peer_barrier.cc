#include "app/peer_barrier.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

std::string seconds_text(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

}  // namespace

PeerBarrier::PeerBarrier(std::vector<std::string> peers, Duration deadline, MonoTime now)
    : deadline_(deadline), began_(now) {
  for (const std::string& name : peers) add(name);
}

const PeerBarrier::Peer& PeerBarrier::at(PeerId peer) const {
  CHECK((here_ & mask_of(peer)) != 0);
  return peers_[peer.value()];
}

PeerBarrier::Peer& PeerBarrier::at(PeerId peer) {
  CHECK((here_ & mask_of(peer)) != 0);
  return peers_[peer.value()];
}

void PeerBarrier::add(const std::string& name) {
  const auto free = std::find_if(peers_.begin(), peers_.end(),
                                 [](const Peer& peer) { return peer.name.empty(); });
  const auto number = static_cast<std::uint16_t>(free - peers_.begin());
  CHECK(number < kMaxPeers && !name.empty());
  if (free == peers_.end())
    peers_.emplace_back().name = name;
  else
    free->name = name;
  here_ |= mask_of(PeerId{number});
}

std::vector<PeerId> PeerBarrier::change(const std::vector<std::string>& peers, Duration deadline,
                                        MonoTime now) {
  deadline_ = deadline;
  std::vector<PeerId> gone;
  for (std::uint16_t i = 0; i < peers_.size(); ++i) {
    const PeerId id{i};
    if ((here_ & mask_of(id)) == 0) continue;
    if (std::find(peers.begin(), peers.end(), peers_[i].name) != peers.end()) continue;
    peers_[i] = Peer{};
    here_ &= ~mask_of(id);
    left_out_ &= ~mask_of(id);
    gone.push_back(id);
  }
  for (const std::string& name : peers) {
    const auto known = std::find_if(peers_.begin(), peers_.end(),
                                    [&](const Peer& peer) { return peer.name == name; });
    if (known != peers_.end()) continue;
    add(name);
    began_ = now;
  }
  return gone;
}

void PeerBarrier::learn(PartitionId partition, const PartitionName& name) {
  CHECK(partition.value() == known_.size());
  known_[{name.topic, name.partition}] = partition;
}

bool PeerBarrier::hear(const PeerReport& report, MonoTime now) {
  const auto peer = std::find_if(peers_.begin(), peers_.end(),
                                 [&](const Peer& one) { return one.name == report.host; });
  if (peer == peers_.end() || report.host.empty()) return false;
  peer->heard = now;
  peer->marks.assign(known_.size(), Mark{});
  for (const PeerMark& mark : report.marks) {
    const auto known = known_.find({mark.name.topic, mark.name.partition});
    if (known == known_.end()) continue;  // it reads more than this host, or earlier
    peer->marks[known->second.value()] = {{mark.purged, mark.gap_from, mark.gap_to},
                                          {mark.fenced, mark.fence_gap_from, mark.fence_gap_to}};
  }
  return true;
}

PeerBarrier::Mark PeerBarrier::mark(const Peer& peer, PartitionId partition) const {
  return partition.value() < peer.marks.size() ? peer.marks[partition.value()] : Mark{};
}

bool PeerBarrier::passed(PartitionId partition, Offset offset) const {
  for (std::uint16_t i = 0; i < peers_.size(); ++i) {
    if ((here_ & ~left_out_ & mask_of(PeerId{i})) == 0) continue;
    if (!mark(peers_[i], partition).purged.has(offset, offset.next())) return false;
  }
  return true;
}

bool PeerBarrier::fenced(PartitionId partition, Offset offset) const {
  for (std::uint16_t i = 0; i < peers_.size(); ++i) {
    if ((here_ & ~left_out_ & mask_of(PeerId{i})) == 0) continue;
    if (mark(peers_[i], partition).unfenced(offset, offset.next()) == offset) return false;
  }
  return true;
}

bool PeerBarrier::passed(PeerId peer, PartitionId partition, Offset from, Offset to) const {
  return mark(at(peer), partition).purged.has(from, to);
}

Offset PeerBarrier::unfenced(PeerId peer, PartitionId partition, Offset from, Offset to) const {
  return mark(at(peer), partition).unfenced(from, to);
}

PeerMask PeerBarrier::missing(PartitionId partition, Offset from, Offset to) const {
  PeerMask missing = 0;
  for (std::uint16_t i = 0; i < peers_.size(); ++i) {
    const PeerId id{i};
    if ((here_ & mask_of(id)) != 0 && !passed(id, partition, from, to)) missing |= mask_of(id);
  }
  return missing;
}

bool PeerBarrier::known_yet(MonoTime now) const {
  if (now - began_ >= deadline_) return true;
  return std::all_of(peers_.begin(), peers_.end(),
                     [](const Peer& peer) { return peer.name.empty() || peer.heard; });
}

// ---- who is waited for

std::vector<PeerBarrier::Move> PeerBarrier::judge(std::span<const Fact> facts, MonoTime now) {
  std::vector<Move> moves;
  for (std::uint16_t i = 0; i < peers_.size(); ++i) {
    const PeerId id{i};
    if ((here_ & mask_of(id)) == 0) continue;
    Peer& peer = peers_[i];
    if ((left_out_ & mask_of(id)) != 0) {
      if (!keeps_up(peer, facts, now)) continue;
      left_out_ &= ~mask_of(id);
      moves.push_back({id, false, "it keeps up"});
      continue;
    }
    const auto late = std::find_if(facts.begin(), facts.end(), [&](const Fact& fact) {
      return holds_purge(id, fact, now) || holds_fence(id, fact, now);
    });
    if (late == facts.end()) continue;
    left_out_ |= mask_of(id);
    moves.push_back({id, true, why_late(id, *late, now)});
    look_anew(peer, facts, now);
  }
  return moves;
}

bool PeerBarrier::holds_purge(PeerId peer, const Fact& fact, MonoTime now) const {
  return fact.oldest && now - fact.since >= deadline_ &&
         !passed(peer, fact.partition, *fact.oldest, fact.oldest->next());
}

bool PeerBarrier::holds_fence(PeerId peer, const Fact& fact, MonoTime now) const {
  if (!fact.oldest_fence || now - fact.fence_since < deadline_ + fence_slack_) return false;
  const Offset offset = *fact.oldest_fence;
  return unfenced(peer, fact.partition, offset, offset.next()) == offset;
}

std::string PeerBarrier::why_late(PeerId id, const Fact& fact, MonoTime now) const {
  const Peer& peer = at(id);
  if (!peer.heard) return "it has not been heard since this start";
  if (now - *peer.heard >= deadline_) {
    return "it has not been heard for " + seconds_text(now - *peer.heard);
  }
  const Mark its = mark(peer, fact.partition);
  const bool purge = holds_purge(id, fact, now);
  const Offset offset = purge ? *fact.oldest : *fact.oldest_fence;
  const Offset below = purge ? its.purged.below : its.fenced.below;
  return std::string("its backends have not been ") + (purge ? "purged" : "fenced") +
         " of offset " + std::to_string(offset.value()) + ", but up to " +
         std::to_string(below.value());
}

void PeerBarrier::look_anew(Peer& peer, std::span<const Fact> facts, MonoTime now) const {
  peer.ends.assign(known_.size(), Offset{});
  peer.fence_ends.assign(known_.size(), Offset{});
  for (const Fact& fact : facts) {
    peer.ends[fact.partition.value()] = fact.next;
    peer.fence_ends[fact.partition.value()] = fact.fenced.value_or(Offset{});
  }
  peer.ends_since = now;
}

// Heard since, so that a silent one is not taken in while nothing happens.
bool PeerBarrier::keeps_up(Peer& peer, std::span<const Fact> facts, MonoTime now) const {
  if (now - peer.ends_since > deadline_ + fence_slack_) {
    look_anew(peer, facts, now);
    return false;
  }
  if (!peer.heard || *peer.heard <= peer.ends_since) return false;
  return std::all_of(facts.begin(), facts.end(), [&](const Fact& fact) {
    const std::size_t number = fact.partition.value();
    if (number >= peer.ends.size()) return false;
    const Mark its = mark(peer, fact.partition);
    const Offset end = peer.ends[number];
    const Offset fenced = peer.fence_ends[number];
    const auto before = [](Offset offset) {
      return Offset(offset.value() - 1);
    };
    return (end <= Offset{} || its.purged.has(before(end), end)) &&
           (fenced <= Offset{} || its.unfenced(before(fenced), fenced) == fenced);
  });
}

}  // namespace purgeline
