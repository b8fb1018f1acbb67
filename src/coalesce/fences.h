// Fences: the second purge that each event owes its URL.
//
// Place:  beside the journeys, over the coalescer. A fetch that was under way when the URL was
//         purged may store the old copy after it; the fence is a purge that starts when such a
//         fetch has ended, first on the first layer, then on each further one `hit_time` after all
//         targets of the one before have answered.
// Thread: the shard's.
// Bound:  `capacity` fences. An event whose fence finds no room is the caller's to remember.
//
// A fence asks for no purge of its own when another good one of the URL starts at or after its due
// time. It is compared with that time only, never with a version. Due times of the first layer lie
// on a grid, so that events of one URL that come close together owe one fence; each URL's grid
// begins elsewhere, so that not all that is due in one step is due at once.
//
// A rebound is one more fence of the event, due at a delay of its own after the version.
//
// A fence that is lost must come back, so what arrived in a step of time is not to be committed
// while a fence of it, or of an earlier step, is open (OpenSteps). How many of them are open on the
// first layer is counted likewise, for other hosts: nothing there depends on anything here but
// this.
//
// A fence that waits for peers does so between the first layer and the next, until the caller says
// that they have fenced what stands where its latest event does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "coalesce/coalescer.h"
#include "coalesce/delay_line.h"
#include "coalesce/layer_plans.h"
#include "coalesce/open_steps.h"
#include "coalesce/pool.h"
#include "purgeline/clock.h"
#include "purgeline/metrics.h"
#include "purgeline/source.h"
#include "purgeline/types.h"

namespace purgeline {

struct FenceTimes {
  Duration origin_lag{0};              // L
  std::optional<Duration> fetch_time;  // F; empty: no fences
  Duration hit_time{0};                // H
  std::vector<Duration> rebounds{};    // that rise
};

// Where an event stands in the log; nowhere by default: it comes from nobody's log.
struct EventOrigin {
  PartitionId partition{kNone};
  Offset offset;

  [[nodiscard]] bool known() const { return partition != PartitionId{kNone}; }
};

struct FenceInput {
  std::uint32_t key{kNone};  // held by the caller
  MonoTime version{};
  TargetMask targets{0};
  Priority priority{Priority::live};
  EventOrigin origin;
  bool peers{false};  // the next layer's waits for other hosts. REQUIRES: the origin is known
  bool passed_by_peers{false};  // or they have fenced the event by now, and not before
};

// Names a fence that may be gone.
struct FenceRef {
  std::uint32_t index{kNone};
  std::uint32_t generation{0};
};

// Told that events which wait for a fence go on: those of park(), the newest first.
class FenceWaiter {
 public:
  virtual ~FenceWaiter() = default;
  virtual void on_fence_due(std::uint32_t newest_event) = 0;
};

class Fences : public KeySink {
 public:
  Fences(std::uint32_t capacity, const FenceTimes& times, LayerPlans& plans, Coalescer& coalescer,
         Clock& clock, FenceWaiter& waiter);

  // For the events that are accepted from now on.
  void set_times(const FenceTimes& times) { times_ = times; }
  [[nodiscard]] bool on() const {
    return times_.fetch_time.has_value() || !times_.rebounds.empty();
  }

  // ---- events
  // Registers the fence of an event that goes by the current plan, and its rebounds. Empty: there
  // is no room for all of them.
  // A name of nothing: it is owed none, because all that it needs has been done.
  std::optional<FenceRef> owe(const FenceInput& input);
  // Whether the fence waits for its time on this layer, with all layers before it done: then the
  // event's purge there, started at that time, is its fence as well.
  [[nodiscard]] bool waits(FenceRef fence, std::size_t layer) const;
  // The event goes on when the fence is due. REQUIRES: waits(). Returns the event parked before it.
  std::uint32_t park(FenceRef fence, std::uint32_t event);

  // How many more fences are certain to fit, and those of how many events of a backlog.
  [[nodiscard]] std::uint64_t room() const;
  [[nodiscard]] std::uint64_t backlog_room() const;
  // While a backlog is worked through it gets at least `min_share` percent of the places.
  void set_catching_up(bool catching_up, std::uint32_t min_share);
  // Hardly any place is left.
  [[nodiscard]] bool tight() const { return on() && room() * 8 < fences_.capacity(); }

  // ---- the loop's side
  void turn();  // asks for the purges of what has become due
  [[nodiscard]] std::optional<MonoTime> next_due() const { return line_.next_due(); }
  // The step of time that ends now, and the oldest that has an open fence.
  std::optional<OpenSteps::Number> end_step();
  [[nodiscard]] std::optional<OpenSteps::Number> oldest_open() const { return steps_.oldest(); }
  // The oldest that has one open on the first layer.
  [[nodiscard]] std::optional<OpenSteps::Number> oldest_open_first() const {
    return first_steps_.oldest();
  }

  // ---- peers
  // The one of a partition's fences that has waited for peers for longest.
  struct PeerWait {
    Offset offset;  // of its latest event
    MonoTime since{};
  };
  [[nodiscard]] std::optional<PeerWait> first_for_peers(PartitionId partition) const;
  // They have fenced it: it is due a hit time from now. REQUIRES: there is one.
  void pass_peers(PartitionId partition);
  // The partition's offsets mean nothing any more, so nothing of it waits.
  void forget_offsets(PartitionId partition);
  [[nodiscard]] std::uint32_t waiting_for_peers() const { return waiting_for_peers_; }

  // An event whose fence a purge of the key on the target, started then, would serve.
  [[nodiscard]] std::optional<EventOrigin> origin_of(std::uint32_t key, TargetId target,
                                                     MonoTime started) const;

  struct Counts {
    std::array<std::uint64_t, kFenceHow> events{};
    std::array<std::uint64_t, kFenceHow> rebounds{};
    std::array<std::uint64_t, kFencePurges> purges{};
    [[nodiscard]] std::uint64_t of(FenceHow how) const {
      return events[static_cast<std::size_t>(how)];
    }
    [[nodiscard]] std::uint64_t of(FencePurge how) const {
      return purges[static_cast<std::size_t>(how)];
    }
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }
  // An event has found no room, and there has hardly been any since.
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] std::uint32_t open() const { return open_; }
  [[nodiscard]] std::uint32_t capacity() const { return fences_.capacity(); }
  [[nodiscard]] Duration oldest_age() const;

  // KeySink: what became of purges of a key that has fences.
  void on_purged(std::uint32_t key, TargetId target, MonoTime started, bool dead) override;
  void on_dropped(std::uint32_t key, TargetId target, MonoTime flying_since) override;

 private:
  struct Fence {
    MonoTime first_due{};       // on the first layer that it concerns
    MonoTime due{};             // on this layer; while it is held: since when
    MonoTime answered{};        // latest answer of this layer
    OpenSteps::Number step{0};  // of the arrival
    EventOrigin origin;         // of the first event; of the latest one where it waits for peers
    std::uint32_t key{kNone};
    std::uint32_t next_of_key{kNone};
    std::uint32_t parked{kNone};  // the newest event that waits; while it is held: the next one
    std::uint32_t generation{0};
    TargetMask targets{0};
    // Of this layer: those it concerns, those without a good purge since it was due, those that
    // it has asked for one.
    TargetMask concerned{0};
    TargetMask pending{0};
    TargetMask asked{0};
    std::uint8_t plan{0};
    std::uint8_t layer{0};
    bool timed{false};   // in the line
    bool partly{false};  // somebody was passed over; nobody joins it any more
    bool live{false};
    bool backlog{false};  // counted as one of a backlog
    bool peers{false};    // is to wait for them
    bool held{false};     // waits for them
    bool rebound{false};  // counted for commits, and not for peers

    // It lacks nothing as yet.
    [[nodiscard]] bool idle() const { return timed || held; }
  };
  struct Held {  // in the order in which they began to wait
    std::uint32_t first{kNone}, last{kNone};
  };

  [[nodiscard]] MonoTime on_grid(MonoTime time, std::uint32_t key) const;
  [[nodiscard]] Duration step() const;
  [[nodiscard]] std::uint32_t find(const FenceInput& input, MonoTime due, bool rebound) const;
  [[nodiscard]] std::uint8_t first_layer(TargetMask targets) const;
  [[nodiscard]] std::uint64_t backlog_places() const;
  std::optional<FenceRef> owe_one(const FenceInput& input, std::uint8_t layer, Duration after,
                                  bool rebound);
  std::uint32_t make(const FenceInput& input, std::uint8_t layer, MonoTime due, bool rebound);
  [[nodiscard]] bool look(std::uint32_t index);
  [[nodiscard]] bool next_layer(std::uint32_t index);
  void hold(std::uint32_t index);
  void wait(std::uint32_t index);
  void go_on(std::uint32_t index);
  void settle(std::uint32_t index, TargetId target);
  void count(FencePurge how, std::uint64_t times) {
    counts_.purges[static_cast<std::size_t>(how)] += times;
  }
  void end(std::uint32_t index);

  FenceTimes times_;
  LayerPlans& plans_;
  Coalescer& coalescer_;
  Clock& clock_;
  FenceWaiter& waiter_;
  Pool<Fence> fences_;
  DelayLine line_;
  OpenSteps steps_;
  OpenSteps first_steps_;   // of the same numbers: those that are open on the first layer
  std::vector<Held> held_;  // by PartitionId, as far as there was one
  std::uint32_t waiting_for_peers_{0};
  std::uint64_t least_byte_room_;  // what fences leave for the URLs of events
  std::uint64_t reserved_{0};
  std::uint32_t open_{0};
  std::uint32_t backlog_{0};
  bool full_{false};
  Counts counts_;
};

}  // namespace purgeline
