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
    peer->marks[known->second.value()] = {mark.purged, mark.fenced, mark.gap_from, mark.gap_to};
  }
  return true;
}

PeerBarrier::Mark PeerBarrier::mark(const Peer& peer, PartitionId partition) const {
  return partition.value() < peer.marks.size() ? peer.marks[partition.value()] : Mark{};
}

bool PeerBarrier::all(PartitionId partition, Offset offset, bool fence) const {
  for (std::uint16_t i = 0; i < peers_.size(); ++i) {
    if ((here_ & ~left_out_ & mask_of(PeerId{i})) == 0) continue;
    const Mark its = mark(peers_[i], partition);
    if (!its.has(fence ? its.fenced : its.purged, offset, offset.next())) return false;
  }
  return true;
}

bool PeerBarrier::passed(PartitionId partition, Offset offset) const {
  return all(partition, offset, false);
}

bool PeerBarrier::fenced(PartitionId partition, Offset offset) const {
  return all(partition, offset, true);
}

bool PeerBarrier::passed(PeerId peer, PartitionId partition, Offset from, Offset to) const {
  const Mark its = mark(at(peer), partition);
  return its.has(its.purged, from, to);
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
      return fact.oldest && now - fact.since >= deadline_ &&
             !passed(id, fact.partition, *fact.oldest, fact.oldest->next());
    });
    if (late == facts.end()) continue;
    left_out_ |= mask_of(id);
    moves.push_back({id, true, why_late(peer, *late, now)});
    look_anew(peer, facts, now);
  }
  return moves;
}

std::string PeerBarrier::why_late(const Peer& peer, const Fact& fact, MonoTime now) const {
  if (!peer.heard) return "it has not been heard since this start";
  if (now - *peer.heard >= deadline_) {
    return "it has not been heard for " + seconds_text(now - *peer.heard);
  }
  const Mark its = mark(peer, fact.partition);
  return "its backends have not been purged of offset " + std::to_string(fact.oldest->value()) +
         ", but up to " + std::to_string(its.purged.value());
}

void PeerBarrier::look_anew(Peer& peer, std::span<const Fact> facts, MonoTime now) const {
  peer.ends.assign(known_.size(), Offset{});
  for (const Fact& fact : facts) peer.ends[fact.partition.value()] = fact.next;
  peer.ends_since = now;
}

// Heard since, so that a silent one is not taken in while nothing happens.
bool PeerBarrier::keeps_up(Peer& peer, std::span<const Fact> facts, MonoTime now) const {
  if (now - peer.ends_since > deadline_) {
    look_anew(peer, facts, now);
    return false;
  }
  if (!peer.heard || *peer.heard <= peer.ends_since) return false;
  return std::all_of(facts.begin(), facts.end(), [&](const Fact& fact) {
    if (fact.partition.value() >= peer.ends.size()) return false;
    const Offset end = peer.ends[fact.partition.value()];
    if (end <= Offset{}) return true;
    return mark(peer, fact.partition)
        .has(mark(peer, fact.partition).purged, Offset(end.value() - 1), end);
  });
}

}  // namespace purgeline
