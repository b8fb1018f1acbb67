// Peers: the frontends here wait for the backends of other hosts, and other hosts for the backends
// here.
//
// Place:  the Pipeline owns one while purge.peers names a topic; it stands between the link to the
//         other hosts, the barrier that decides, and the readings and journeys that act.
// Thread: the shard's.
// Bound:  what those bound.
//
// A live event that waits is purged from the frontends twice: at once, and when all peers have
// passed it; their fence waits likewise for those of the peers. What a peer that is left out has
// missed is remembered by the readings, which hold the commit for it; a backlog does not wait at
// all, and is remembered likewise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/partitions.h"
#include "app/peer_barrier.h"
#include "app/readings.h"
#include "coalesce/journeys.h"
#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"
#include "purgeline/peers.h"

namespace purgeline {

class Peers : private PeerListener {
 public:
  Peers(PeerLink& link, const PurgeConfig& config, Readings& readings, Partitions& partitions,
        Journeys& journeys, Clock& clock, EventLog& log);
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  // Whether an event of the reading has to wait for somebody.
  [[nodiscard]] bool waits(const Reading& reading, Offset offset) const;
  // Whether its fence has to.
  [[nodiscard]] bool fence_waits(const Reading& reading, Offset offset) const;
  // Lets go what has been passed, judges the peers, tells them how far this host is.
  void turn();
  [[nodiscard]] MonoTime next_due() const { return publish_at_; }
  void change(const PurgeConfig& config);
  void snapshot(MetricsSnapshot& out) const;

 private:
  void on_peer(const PeerReport& report) override;
  void pass();
  void pass_fences();
  void judge();
  void leave_out(const PeerBarrier::Move& move);
  void take_in(const PeerBarrier::Move& move);
  void settle_missed();
  void publish();
  void tell_trouble();
  void take_fence_times(const PurgeConfig& config);
  [[nodiscard]] std::vector<std::string> wanted(const PurgeConfig& config) const;

  PeerLink& link_;
  Readings& readings_;
  Partitions& partitions_;
  Journeys& journeys_;
  Clock& clock_;
  EventLog& log_;
  Duration interval_;
  PeerBarrier barrier_;
  std::vector<PeerMetrics> metrics_;  // by PeerId
  PeersMetrics all_metrics_;
  bool heard_{false};  // in this turn
  std::vector<PeerBarrier::Fact> facts_;
  std::vector<PeerMark> marks_, said_;
  MonoTime began_;
  MonoTime publish_at_;
  MonoTime say_again_;  // also when nothing has changed
  std::string trouble_;
};

}  // namespace purgeline
