// PeerBarrier: which events the peers' backends are done with, and which peers are waited for.
//
// Place:  asked by Peers, which tells it what was heard and how far this host is; decides, and
//         touches nothing.
// Thread: the shard's.
// Bound:  kMaxPeers peers, a few words for each and partition.
//
// A peer that holds back an event for longer than the deadline is left out, whether it is silent or
// late: nobody waits for it any more. It is taken in again when it keeps up: when within the
// deadline it has passed what was the end of every partition. A mark may go back (a peer that
// restarts reads some events again): what it has passed is passed, what comes now waits.
#pragma once

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
  };
  struct Move {
    PeerId peer;
    bool leave_out{false};  // else it is taken in again
    std::string why;
  };

  PeerBarrier(std::vector<std::string> peers, Duration deadline, MonoTime now);

  // Partitions in order of their numbers.
  void learn(PartitionId partition, const PartitionName& name);
  [[nodiscard]] std::size_t known() const { return known_.size(); }
  // False: it is no peer of this host.
  bool hear(const PeerReport& report, MonoTime now);

  // All peers that are not left out have purged the event, or are done with its fence.
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
  [[nodiscard]] PeerMask here() const { return here_; }
  [[nodiscard]] PeerMask left_out() const { return left_out_; }
  [[nodiscard]] const std::string& name(PeerId peer) const { return at(peer).name; }
  [[nodiscard]] std::optional<MonoTime> heard(PeerId peer) const { return at(peer).heard; }

  // PeerProgress
  [[nodiscard]] PeerMask missing(PartitionId partition, Offset from, Offset to) const override;

 private:
  struct Mark {
    Offset purged, fenced, gap_from, gap_to;

    [[nodiscard]] bool has(Offset below, Offset from, Offset to) const {
      const bool in_gap = gap_from < gap_to && from < gap_to && gap_from < to;
      return to <= below && !in_gap;
    }
  };
  struct Peer {
    std::string name;
    std::optional<MonoTime> heard;  // last
    std::vector<Mark> marks;        // by PartitionId; none: nothing is passed
    // While it is left out: the ends that it is to pass, since when.
    std::vector<Offset> ends;  // by PartitionId
    MonoTime ends_since{};
  };

  [[nodiscard]] const Peer& at(PeerId peer) const;
  [[nodiscard]] Peer& at(PeerId peer);
  [[nodiscard]] Mark mark(const Peer& peer, PartitionId partition) const;
  void add(const std::string& name);
  [[nodiscard]] bool all(PartitionId partition, Offset offset, bool fence) const;
  [[nodiscard]] std::string why_late(const Peer& peer, const Fact& fact, MonoTime now) const;
  [[nodiscard]] bool keeps_up(Peer& peer, std::span<const Fact> facts, MonoTime now) const;
  void look_anew(Peer& peer, std::span<const Fact> facts, MonoTime now) const;

  Duration deadline_;
  MonoTime began_;           // waiting for the peers that there are
  std::vector<Peer> peers_;  // by PeerId; one without a name is a free place
  PeerMask here_{0};
  PeerMask left_out_{0};
  std::map<std::pair<std::string, std::int32_t>, PartitionId> known_;
};

}  // namespace purgeline
