// Readings: which ranges of each partition are being read, for which targets, and which are still
// owed to somebody. What is committed is the lowest offset that any of them needs.
//
// Place:  between the source's cursors and the ledgers; Partitions says where the live reading of
//         a partition begins, the Pipeline which targets are behind.
// Thread: the shard's.
// Bound:  per partition one live reading, one catch-up reading, and kMostOwed ranges; those that
//         end are kept until their last event is settled and its fences are answered.
//
// Purges are idempotent and newer ones cover older ones, so ranges can be read side by side and in
// any order. A range that was read for some targets only is owed to the others, and to the layers
// behind each of them: those may have been filled again from its old copies.
//
// What is finished is committed, or said not to be owed any more, only when the fences of what
// arrived until then have been answered as well: a sample of what is finished is taken at the end
// of each step of time, and released when no step up to it has an open fence.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "ack/ledger.h"
#include "purgeline/peers.h"
#include "purgeline/source.h"
#include "purgeline/types.h"

namespace purgeline {

// How far other hosts are, whose backends fill the frontends here.
class PeerProgress {
 public:
  virtual ~PeerProgress() = default;
  // Those that have not purged all of [from, to), whether they are waited for or not.
  [[nodiscard]] virtual PeerMask missing(PartitionId partition, Offset from, Offset to) const = 0;
  // Where that begins in [from, to) of which a peer is not done with the fences; `to`: nowhere.
  [[nodiscard]] virtual Offset unfenced(PeerId peer, PartitionId partition, Offset from,
                                        Offset to) const = 0;
  // Those that there are.
  [[nodiscard]] virtual PeerMask here() const = 0;
};

struct Reading {
  PartitionId partition;
  Priority priority{Priority::live};
  TargetMask targets{0};
  TargetMask owed_to{0};     // for a catch-up: those it is for; `targets` has also what lies behind
  bool unread{false};        // a catch-up of what nobody has read before
  std::optional<Offset> to;  // exclusive; empty for live
  std::optional<CursorId> cursor;  // empty: nothing more is read
  bool counts{true};               // its offsets still mean something
  // No version of its events is earlier: the last return of those it is owed to. While they were
  // away, layers before them may have answered for these events after a purge that they got.
  MonoTime floor{MonoTime::min()};
  std::optional<WallTime> began;  // time of the last event before it
  std::unique_ptr<Ledger> ledger;
  // What was finished at the end of a step of time in which a fence may be open yet, oldest first;
  // and what was finished before the oldest step that has one.
  struct Sample {
    std::uint64_t step{0};
    Ledger::Watermark mark;
  };
  std::deque<Sample> samples;
  Ledger::Watermark released;
  // Likewise of the first layer alone, where there are peers to be told.
  struct FirstSample {
    std::uint64_t step{0};
    Offset mark;
  };
  std::deque<FirstSample> first_samples;
  Offset first_fenced;

  // Everything below is finished.
  [[nodiscard]] Ledger::Watermark needed() const {
    Ledger::Watermark mark = ledger->watermark();
    if (!mark.time) mark.time = began;
    return mark;
  }
};

class Readings {
 public:
  static constexpr std::size_t kMostOwed = 32;
  static constexpr std::size_t kMostSamples = 32;
  static constexpr std::size_t kMostEnding = 64;  // for each partition there is

  // `layers`: in refill order.
  Readings(Source& source, const std::vector<std::vector<TargetId>>& layers,
           std::size_t ledger_capacity);

  // The live reading of a partition begins at `from`. What lies between `finished` and there is
  // owed to all. REQUIRES: it has none. `began`: the time of the last event before `finished`.
  void open_live(PartitionId partition, Offset from, std::optional<WallTime> began,
                 Offset finished);
  // It goes on at `to`, which is not before what it has read. What lies between is owed to all
  // (`owed`), or is not in the log any more.
  void jump(PartitionId partition, Offset to, bool owed);
  // A catch-up goes on at `to`: what lies before is not in the log any more.
  void skip(std::uint32_t reading, Offset to);
  // The partition's offsets mean nothing any more: all reading of it ends and nothing is owed.
  void abandon(PartitionId partition);

  // A target is left out of all readings from now on, or is there again: it is owed what it
  // missed. REQUIRES: called before the events of its deliveries are settled.
  void leave_out(TargetId target);
  void take_in(TargetId target, MonoTime now);

  // Other targets, or another order of layers. Those that are gone are owed nothing any more; what
  // lies behind them gets what they have missed, for it may have been filled again from their old
  // copies. Those that are new get what is read from now on.
  void change_layers(const std::vector<std::vector<TargetId>>& layers);
  // Before change_layers() to another order: all that is not finished is owed once more to all whom
  // it has concerned, and every purge for it starts after `now`.
  void owe_all(MonoTime now);

  // The event at `offset`, which a reading has just noted, is to be read again for its fence.
  void owe_fence(std::uint32_t reading, Offset offset);

  // A step of time has ended, before anything of the next one arrived.
  void end_step(std::uint64_t step);
  // The oldest step that has an open fence, and that has one open on the first layer; empty when
  // none is open.
  void release_samples(std::optional<std::uint64_t> oldest_open,
                       std::optional<std::uint64_t> oldest_of_first_layer);

  // Opens what is owed, ends what is done.
  void turn();

  // ---- peers
  // What a peer has not purged, or not fenced, when it is read here is remembered. It is owed to
  // all layers behind the first when the peer has purged it, and again when it has fenced it.
  void set_peers(const PeerProgress& peers) { peers_ = &peers; }
  // No further catch-up begins while it is held.
  void hold_backlog(bool held) { backlog_held_ = held; }
  // Live events do not wait for the peer, or do again from now on.
  void let_go(PeerId peer);
  void wait_for(PeerId peer);
  // It is no peer any more: nothing waits for it.
  void forget_peer(PeerId peer);
  // Owes what was remembered of it as far as it has purged or fenced that; how many offsets it has
  // purged since they were read here.
  std::uint64_t settle_missed(PeerId peer, MonoTime now);
  // In offsets over all partitions.
  [[nodiscard]] std::uint64_t missed(PeerId peer) const;
  // How far the first layer is, for the peers of this host: all but the name. It depends on no
  // other layer, nor on a peer: hosts that wait for each other would wait for ever. REQUIRES: the
  // partition has a live reading.
  [[nodiscard]] PeerMark first_layer(PartitionId partition);
  // Its `fenced`.
  [[nodiscard]] Offset fenced(PartitionId partition);
  // A partition whose offsets have come to mean nothing since the last call, while there are peers.
  [[nodiscard]] std::optional<PartitionId> take_abandoned();

  // The number of the live, and of the catch-up reading.
  [[nodiscard]] std::optional<std::uint32_t> live(PartitionId partition) const;
  [[nodiscard]] std::optional<std::uint32_t> catch_up(PartitionId partition) const;
  [[nodiscard]] Reading& operator[](std::uint32_t reading) { return *readings_[reading]; }
  [[nodiscard]] const Reading& operator[](std::uint32_t reading) const {
    return *readings_[reading];
  }
  [[nodiscard]] std::optional<std::uint32_t> find(CursorId cursor) const;

  [[nodiscard]] bool catching_up() const;
  // The position that is to be committed. REQUIRES: the partition has a live reading.
  [[nodiscard]] Ledger::Watermark needed(PartitionId partition) const;
  // The time of the last event before which all is finished, whether its fence is open or not.
  [[nodiscard]] std::optional<WallTime> finished_time(PartitionId partition) const;
  // Offsets that a backlog still has to read: of the catch-up and of all that is owed to targets
  // which are there.
  [[nodiscard]] std::uint64_t backlog(PartitionId partition) const;
  // What a target that is left out has missed so far, in offsets over all partitions.
  [[nodiscard]] std::uint64_t missed(TargetId target) const;

 private:
  struct Owed {
    TargetMask targets{0};
    Offset from;
    Offset to;
    std::optional<WallTime> began;
    bool unread{false};  // by anybody
  };
  struct Away {  // where a target was left out of the live reading
    Offset from;
    std::optional<WallTime> began;
  };
  struct Missed {  // read here before a peer has fenced it
    Offset from;
    std::optional<WallTime> began;
    std::optional<Offset> to;  // none: up to what is read, while it is not waited for
    bool purged{false};        // it had purged it, or what that makes necessary was owed
  };
  struct Partition {
    std::optional<std::uint32_t> live, catch_up;
    std::vector<Owed> owed;
    std::map<TargetId, Away> away;
    std::map<PeerId, Missed> missed;
  };

  Partition& at(PartitionId partition);
  [[nodiscard]] const Partition* find(PartitionId partition) const;
  std::uint32_t add(std::unique_ptr<Reading> reading);
  void close_cursor(Reading& reading);
  void owe(Partition& partition, const Owed& range);
  void open_catch_up(PartitionId id, Partition& partition);
  [[nodiscard]] TargetMask with_layers_behind(TargetMask targets) const;
  void set_layers(const std::vector<std::vector<TargetId>>& layers);
  void release(TargetId target, TargetMask behind);
  void join_unread(TargetMask added);
  [[nodiscard]] Ledger::Watermark released(const Reading& reading) const {
    return fences_open_ ? reading.released : reading.needed();
  }
  [[nodiscard]] bool done(const Reading& reading) const;
  template <class MarkOf>
  [[nodiscard]] Ledger::Watermark lowest(PartitionId partition, MarkOf mark_of) const;
  void remember(Partition& partition, PeerId peer, const Missed& missed);
  void remember_missing(PartitionId id, Partition& partition, const Owed& range);
  void sample_first(std::uint64_t step);
  void release_first(std::optional<std::uint64_t> oldest_open);
  [[nodiscard]] Offset first_fenced(Reading& reading) const;
  [[nodiscard]] Offset end_of(const Partition& partition, const Missed& missed) const;

  Source& source_;
  const std::size_t ledger_capacity_;
  std::vector<TargetMask> layers_;
  TargetMask all_{0};
  TargetMask left_out_{0};
  bool fences_open_{false};
  bool first_open_{false};  // on the first layer
  std::size_t ending_{0};   // readings that wait for their last events, or fences
  const PeerProgress* peers_{nullptr};
  PeerMask let_go_{0};
  bool backlog_held_{false};
  std::vector<PartitionId> abandoned_;
  std::array<MonoTime, kMaxTargets> returned_;
  std::vector<std::unique_ptr<Reading>> readings_;  // empty places are used again
  std::vector<Partition> partitions_;               // by PartitionId
};

}  // namespace purgeline
