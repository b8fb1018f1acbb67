// PeerBarrier: which events the peers' backends are done with, and which peers are waited for.
//
// Place:  asked by Peers, which tells it what was heard and how far this host is; decides, and
//         touches nothing.
// Thread: the shard's.
// Bound:  kMaxPeers peers, a few words for each and partition.
//
// A peer that holds back an event for longer than the deadline is left out, whether it is silent or
// late: nobody waits for it any more. It is taken in again when it keeps up: when within the
// deadline it has passed what was the end of every partition, and of what was fenced there. Fences
// are given a little more time: they are told in steps, on a grid of each host's own. A mark may go
// back (a peer that restarts reads some events again): what it has passed is passed, what comes now
// waits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/readings.h"
#include "purgeline/peers.h"
#include "purgeline/types.h"

namespace purgeline {

class PeerBarrier : public PeerProgress {
 public:
  // How far this host's live reading of a partition is.
  struct Fact {
    PartitionId partition;
    Offset next;                   // to be read
    std::optional<Offset> oldest;  // event that waits for peers,
    MonoTime since{};              // since then
    // Everything below has been fenced on the first layer here; none: there are no fences.
    std::optional<Offset> fenced{};
    std::optional<Offset> oldest_fence{};  // that waits for peers, of the event there,
    MonoTime fence_since{};                // since then
  };
  struct Move {
    PeerId peer;
    bool leave_out{false};  // else it is taken in again
    std::string why;
  };

  PeerBarrier(std::vector<std::string> peers, Duration deadline, MonoTime now);

  // By how much fences of different hosts may come apart, and be told of later than they are done.
  void set_fence_slack(Duration slack) { fence_slack_ = slack; }

  // Partitions in order of their numbers.
  void learn(PartitionId partition, const PartitionName& name);
  [[nodiscard]] std::size_t known() const { return known_.size(); }
  // False: it is no peer of this host.
  bool hear(const PeerReport& report, MonoTime now);

  // All peers that are not left out have purged the event, or are done with its fence as well.
  [[nodiscard]] bool passed(PartitionId partition, Offset offset) const;
  [[nodiscard]] bool fenced(PartitionId partition, Offset offset) const;
  // One peer has purged all of [from, to).
  [[nodiscard]] bool passed(PeerId peer, PartitionId partition, Offset from, Offset to) const;

  // Who is to be left out or taken in. REQUIRES: the caller does what is said.
  [[nodiscard]] std::vector<Move> judge(std::span<const Fact> facts, MonoTime now);

  // A changed configuration. Numbers of peers that stay are as they were. Those that are gone.
  [[nodiscard]] std::vector<PeerId> change(const std::vector<std::string>& peers, Duration deadline,
                                           MonoTime now);

  // Everybody was heard, or has had time enough.
  [[nodiscard]] bool known_yet(MonoTime now) const;
  // Those that there are.
  [[nodiscard]] PeerMask here() const override { return here_; }
  [[nodiscard]] PeerMask left_out() const { return left_out_; }
  [[nodiscard]] const std::string& name(PeerId peer) const { return at(peer).name; }
  [[nodiscard]] std::optional<MonoTime> heard(PeerId peer) const { return at(peer).heard; }

  // PeerProgress
  [[nodiscard]] PeerMask missing(PartitionId partition, Offset from, Offset to) const override;
  [[nodiscard]] Offset unfenced(PeerId peer, PartitionId partition, Offset from,
                                Offset to) const override;

 private:
  struct Marked {
    Offset below, gap_from, gap_to;

    // Where that begins in [from, to) which is not done; `to`: nowhere.
    [[nodiscard]] Offset lacking(Offset from, Offset to) const {
      const bool in_gap = gap_from < gap_to && from < gap_to && gap_from < to;
      const Offset end = in_gap ? std::min(below, gap_from) : below;
      return std::clamp(end, from, to);
    }
    [[nodiscard]] bool has(Offset from, Offset to) const { return lacking(from, to) == to; }
  };
  struct Mark {
    Marked purged, fenced;

    [[nodiscard]] Offset unfenced(Offset from, Offset to) const {
      return std::min(purged.lacking(from, to), fenced.lacking(from, to));
    }
  };
  struct Peer {
    std::string name;
    std::optional<MonoTime> heard;  // last
    std::vector<Mark> marks;        // by PartitionId; none: nothing is passed
    // While it is left out: the ends that it is to pass, since when.
    std::vector<Offset> ends;  // by PartitionId
    std::vector<Offset> fence_ends;
    MonoTime ends_since{};
  };

  [[nodiscard]] const Peer& at(PeerId peer) const;
  [[nodiscard]] Peer& at(PeerId peer);
  [[nodiscard]] Mark mark(const Peer& peer, PartitionId partition) const;
  void add(const std::string& name);
  [[nodiscard]] bool holds_purge(PeerId peer, const Fact& fact, MonoTime now) const;
  [[nodiscard]] bool holds_fence(PeerId peer, const Fact& fact, MonoTime now) const;
  [[nodiscard]] std::string why_late(PeerId peer, const Fact& fact, MonoTime now) const;
  [[nodiscard]] bool keeps_up(Peer& peer, std::span<const Fact> facts, MonoTime now) const;
  void look_anew(Peer& peer, std::span<const Fact> facts, MonoTime now) const;

  Duration deadline_;
  Duration fence_slack_{0};
  MonoTime began_;           // waiting for the peers that there are
  std::vector<Peer> peers_;  // by PeerId; one without a name is a free place
  PeerMask here_{0};
  PeerMask left_out_{0};
  std::map<std::pair<std::string, std::int32_t>, PartitionId> known_;
};

}  // namespace purgeline
