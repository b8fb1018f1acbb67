// Promise 4 where a frontend is filled from backends of several hosts that are peers.
//
// Then A1 of freshness.cc is the latest answer on the first layers of all hosts. That holds at each
// commit past an event, whatever has failed: a host commits when the peers have passed the event,
// also one that it has not waited for, and its frontends have been purged once more.
//
// Before the commit, where nothing failed, a frontend has the purge (and serves nothing older) a
// window and a round trip after A1, and what the news takes: peers.interval and the way through
// the topic; for a fence, up to three more steps of the grid, in which fences are counted. That is
// no time that can be said while a peer is left out or owes what is older, or while something that
// it said is lost or late; then the commit is the bound.
#include <algorithm>

#include "sim/checkers.h"

namespace purgeline::sim {
namespace {

// From its event to a dead letter on disk, at most, where the disk is not full for long.
constexpr Duration kDying = std::chrono::seconds(12);

}  // namespace

std::vector<std::uint16_t> Checker::first_of_peers() const {
  std::vector<std::uint16_t> ports;
  for (const Checker* peer : peers_) {
    const std::vector<std::uint16_t>& first = peer->epochs_.back().layers.front();
    ports.insert(ports.end(), first.begin(), first.end());
  }
  return ports;
}

// The same event as this host has met it; null: it does not know it.
const TrueEvent* Checker::same(const TrueEvent& event) const {
  const auto partition = partitions_.find(*event.log);
  if (partition == partitions_.end() || partition->second.events.empty()) return nullptr;
  const std::vector<TrueEvent>& events = partition->second.events;
  const std::int64_t index = event.offset - events.front().offset;
  if (index < 0 || static_cast<std::size_t>(index) >= events.size()) return nullptr;
  return &events[static_cast<std::size_t>(index)];
}

bool Checker::known_in_time(MonoTime from, MonoTime to) const {
  // A peer tells how far it is in order: what waits for its dead letter holds what is younger.
  const auto dead = std::lower_bound(dead_appended_.begin(), dead_appended_.end(), from - kDying);
  if (dead != dead_appended_.end() && *dead <= to) return false;
  const auto meets = [from, to](const Absence& absence) {
    return absence.meets(from, to);
  };
  if (std::any_of(peers_late_.begin(), peers_late_.end(), meets)) return false;
  return !peer_was_out(from, to);
}

bool Checker::peer_was_out(MonoTime from, MonoTime to) const {
  return std::any_of(peers_out_.begin(), peers_out_.end(), [from, to](const auto& host) {
    return std::any_of(host.second.begin(), host.second.end(),
                       [from, to](const Absence& absence) { return absence.meets(from, to); });
  });
}

// What a peer has missed, or a backlog that it had not passed, is purged here as soon as it has
// passed it; beside that it is purged in order where it is due.
bool Checker::owed_for_peers(const PurgeSeen& purge, MonoTime made) const {
  if (peers_.empty()) return false;
  const auto caught_up = std::lower_bound(caught_up_.begin(), caught_up_.end(), made);
  if (caught_up != caught_up_.end() && *caught_up <= purge.handed) return true;
  const auto reads = reads_.find(purge.url);
  const auto live = live_reads_.find(purge.url);
  const std::size_t of_all = reads == reads_.end() ? 0 : reads->second.size();
  const std::size_t of_live = live == live_reads_.end() ? 0 : live->second.size();
  return of_all > of_live || peer_was_out(made, purge.handed);
}

// When the peers' first layers serve nothing older and this host knows; never, when there is no
// telling.
MonoTime Checker::peers_fresh(const TrueEvent& event, MonoTime now) {
  if (!known_in_time(event.changed, now)) return MonoTime::max();
  MonoTime latest = event.changed;
  for (Checker* peer : peers_) {
    const TrueEvent* its = peer->same(event);
    if (its == nullptr) return MonoTime::max();
    for (const std::uint16_t port : peer->epochs_.back().layers.front()) {
      // A peer tells how far it is in order, so an older event that fails there holds this one.
      if (transport_.cache(port).faulty) return MonoTime::max();
      latest = std::max(latest, peer->fresh_from(*its, port, now));
    }
  }
  return latest == MonoTime::max() ? latest : latest + options_.travel;
}

// Fences of frontends are held against the peers' only where they wait for them.
bool Checker::armed(const PageRead& read) const {
  if (peers_.empty() || !options_.fences || options_.fence_barrier) return true;
  return epochs_.back().layer_of(read.port) == std::size_t{0};
}

void Checker::peer_left_out(const std::string& host, bool reason) {
  peers_out_[host].push_back({clock_.now()});
  if (!reason) fail(host + ", to which nothing has happened, is not waited for");
}

void Checker::peer_taken_in(const std::string& host) {
  std::vector<Absence>& absences = peers_out_[host];
  if (!absences.empty()) absences.back().to = clock_.now();
}

}  // namespace purgeline::sim
