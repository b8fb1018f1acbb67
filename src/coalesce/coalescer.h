// Coalescer: per (target, key) at most one purge waiting and one in flight, however many events
// want it.
//
// Place:  between route and dispatch. Journeys (journeys.h) say which event wants which key on
// which
//         target; dispatch take()s what is due and the pipeline returns the outcome.
// Thread: the shard's.
// Bound:  keys and bytes as KeyTable; joins as many as events times the widest layer.
//
// The rule that keeps pages fresh: an event with version v may share a purge only when that purge
// starts after v. A waiting purge starts later than now, so everything may join it. One in flight,
// or the last one that was answered well, is shared only when its start is strictly after v: times
// are read once per turn, so an equal time says nothing about the order.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "coalesce/delay_line.h"
#include "coalesce/key_table.h"
#include "coalesce/pool.h"
#include "purgeline/clock.h"
#include "purgeline/delivery.h"
#include "purgeline/metrics.h"
#include "purgeline/ring.h"
#include "purgeline/source.h"

namespace purgeline {

struct CoalescerOptions {
  std::uint32_t keys{0};     // capacity in keys
  std::uint64_t bytes{0};    // capacity in bytes of URLs
  std::uint32_t joins{0};    // events that may wait, times the widest layer
  std::uint32_t targets{0};  // those that there are from the start, from 0; others are added
  Duration window{0};        // least time between the starts of two purges of one slot
  Duration lag{0};           // a purge covers only what is older than its start by more than this
  std::uint32_t min_share{10};  // percent of the purges that a backlog gets beside live events
};

// Told when a purge that an event shares has ended for good on one target.
class SettleSink {
 public:
  virtual ~SettleSink() = default;
  // `answered`: when the purge that covers the event was answered. `dead`: it was given up, on
  // disk.
  virtual void on_settled(std::uint32_t event, TargetId target, MonoTime answered, bool dead) = 0;
  // The target was left out before a purge that the event shares was answered: the event is not
  // done there, but nobody waits for it here any more.
  virtual void on_left_out(std::uint32_t event, TargetId target) = 0;
};

// Told what becomes of the purges of a key that has fences, before those who share them are.
class KeySink {
 public:
  virtual ~KeySink() = default;
  // One that was started then was answered well now, or is dead.
  virtual void on_purged(std::uint32_t key, TargetId target, MonoTime started, bool dead) = 0;
  // One that waited will not come, because its target is left out. `flying_since`: the start of
  // another that is in flight.
  virtual void on_dropped(std::uint32_t key, TargetId target, MonoTime flying_since) = 0;
};

class Coalescer : public DeliveryQueue {
 public:
  Coalescer(const CoalescerOptions& options, Clock& clock);
  void set_sink(SettleSink& sink) { sink_ = &sink; }
  void set_key_sink(KeySink& sink) { key_sink_ = &sink; }

  // ---- targets that come and go
  // REQUIRES: there is none with this number.
  void add_target(TargetId target);
  // REQUIRES: it is left out and idle.
  void remove_target(TargetId target);
  // Nothing waits for it, and nothing is in flight.
  [[nodiscard]] bool idle(TargetId target) const;
  void set_window(Duration window) { options_.window = window; }
  void set_lag(Duration lag) { options_.lag = lag; }
  void set_min_share(std::uint32_t percent) { options_.min_share = percent; }

  // ---- keys
  // REQUIRES: key_room() > 0. One user more; release() ends it.
  std::uint32_t hold(const Key& key, const KeyText& text);
  void share(std::uint32_t key) { keys_.add_user(key); }
  void release(std::uint32_t key) { keys_.release(key); }
  // Where the fences of the key begin, for the key sink.
  [[nodiscard]] std::uint32_t& first_fence(std::uint32_t key) { return keys_.first_fence(key); }
  [[nodiscard]] std::uint64_t byte_room() const { return keys_.byte_room(); }
  [[nodiscard]] std::uint64_t key_room() const { return keys_.room(); }
  [[nodiscard]] std::uint32_t join_room() const { return joins_.room(); }

  // ---- wanting a purge
  struct Want {
    CoalesceHow how;
    MonoTime answered{};  // for covered: when the covering purge was answered
  };
  // The event wants `key`, which it holds, purged on `target` after `version`. What is live is
  // taken before what belongs to a backlog. REQUIRES: the target is not left out.
  Want want(TargetId target, std::uint32_t key, MonoTime version, std::uint32_t event,
            Priority priority);
  // A purge that settles nothing: sent because the layer before does not answer. False when one
  // that starts after `version` is already there, or the target is left out.
  bool want_ahead(TargetId target, std::uint32_t key, MonoTime version, Priority priority);
  // For a fence: as want_ahead(), for a purge that starts at `due` or later. REQUIRES: it is due.
  bool want_since(TargetId target, std::uint32_t key, MonoTime due, Priority priority);
  // When the last good purge was answered, if it started at `due` or later.
  [[nodiscard]] std::optional<MonoTime> good_since(TargetId target, std::uint32_t key,
                                                   MonoTime due) const;

  // ---- targets that are behind
  // Nobody wants anything of the target from now on. What waits for it is dropped by drop_some(),
  // and what fails in flight at once.
  void leave_out(TargetId target);
  [[nodiscard]] bool left_out(TargetId target) const { return line(target).left_out; }
  // Drops up to `most` of what waits for a target that is left out; true when there may be more.
  // What waits for the end of an attempt in flight is dropped at that end.
  bool drop_some(TargetId target, std::size_t most);
  // REQUIRES: it is left out and nothing waits for it.
  void take_in(TargetId target);

  // ---- dispatch's side
  std::optional<Delivery> take(TargetId target) override;
  [[nodiscard]] bool ready(TargetId target) const override;
  // What the pipeline knows of a delivery in flight, for dead letters. Empty for a stale id.
  struct InFlight {
    TargetId target;
    KeyText text;
    std::uint32_t some_event;  // one event that shares it, kNone when it settles nothing
    std::uint32_t key;
    MonoTime started;
  };
  [[nodiscard]] std::optional<InFlight> find(DeliveryId id);
  // Ends an attempt. A dead outcome ends it for good: the caller has the dead letter on disk. False
  // for a stale id.
  bool complete(DeliveryId id, const Outcome& outcome);

  // ---- the loop's side
  // Earliest moment at which something becomes ready that is not.
  [[nodiscard]] std::optional<MonoTime> next_due() const;
  [[nodiscard]] std::uint64_t waiting(TargetId target) const;
  [[nodiscard]] std::optional<MonoTime> oldest_waiting(TargetId target) const;
  [[nodiscard]] std::uint64_t used_bytes() const { return keys_.used_bytes(); }
  [[nodiscard]] const std::array<std::uint64_t, kCoalesceHow>& counts() const { return counts_; }

 private:
  static constexpr MonoTime kNever = MonoTime::min();

  struct Join {
    std::uint32_t event{kNone};
    std::uint32_t next{kNone};
  };
  struct Slot : AttemptMarks {    // of the waiting delivery, or the one in flight
    MonoTime started{kNever};     // the attempt in flight
    MonoTime last_start{kNever};  // any attempt, for the window
    MonoTime good_start{kNever};  // the last attempt that was answered well
    MonoTime good_answer{kNever};
    MonoTime not_before{kNever};  // of the waiting delivery
    MonoTime waiting_since{kNever};
    std::uint32_t waiting_joins{kNone};
    std::uint32_t flying_joins{kNone};
    std::uint32_t generation{0};
    bool waiting{false};
    bool in_flight{false};
    bool live{false};       // the waiting delivery is wanted by a live event
    bool flew_live{false};  // so was the one in flight
    // Where the waiting delivery is: parked, delayed, or in the ring for its priority.
    bool parked{false};  // in no queue: an attempt for it is still in flight
    bool delayed{false};
    // A ring has an entry with this number. It may be one that is passed over: a delivery of a
    // backlog that a live event joins moves to the live ring and leaves its former entry behind.
    bool in_live{false};
    bool in_backlog{false};

    [[nodiscard]] bool& queued(bool of_live) { return of_live ? in_live : in_backlog; }
    // The target's marks stay: they count its answers, not this delivery's.
    void forget_attempts() {
      attempts = 0;
      lonely = denials = 0;
      alone = false;
    }
  };
  struct Line {  // what waits for one target
    explicit Line(std::size_t keys) : live(keys), backlog(keys), delayed(keys) {}
    Ring<std::uint32_t> live;  // slot numbers, each once
    Ring<std::uint32_t> backlog;
    DelayLine delayed;
    std::uint32_t waiting{0};     // slots with a waiting delivery
    std::uint32_t in_flight{0};   // and with one in flight
    std::uint32_t live_takes{0};  // since the backlog had one
    bool left_out{false};
    std::vector<std::unique_ptr<Slot[]>> slots;  // chunks of kSlotChunk keys, made when first used

    [[nodiscard]] Ring<std::uint32_t>& ring(bool of_live) { return of_live ? live : backlog; }
    [[nodiscard]] Slot* find(std::uint32_t key) const;
  };

  [[nodiscard]] std::uint32_t number(TargetId target, std::uint32_t key) const;
  [[nodiscard]] Slot& slot(std::uint32_t number) const;
  // The slot of a number that was never used is made.
  [[nodiscard]] Slot& make_slot(std::uint32_t number);
  [[nodiscard]] Line& line(TargetId target) const;
  [[nodiscard]] Line& line(std::uint32_t number) const { return line(target_of(number)); }
  // A delivery's number tells its target and its key, whatever targets there are.
  [[nodiscard]] static TargetId target_of(std::uint32_t number) {
    return TargetId{static_cast<std::uint16_t>(number % kMaxTargets)};
  }
  [[nodiscard]] static std::uint32_t key_of(std::uint32_t number) {
    return static_cast<std::uint32_t>(number / kMaxTargets);
  }
  void join(std::uint32_t& list, std::uint32_t event);
  void open(std::uint32_t number, Priority priority);
  void promote(std::uint32_t number);
  void enqueue(std::uint32_t number, bool first);
  std::uint32_t pop(Line& line, bool live);
  [[nodiscard]] bool first_counts(Line& line, bool live) const;
  void pass_over(Line& line, bool live);
  void due_now(Line& line, MonoTime now);
  [[nodiscard]] std::optional<bool> next_ring(Line& line);
  void fly(std::uint32_t number, MonoTime now);
  void drop(std::uint32_t number);
  void unpark(std::uint32_t number);
  void wait_again(std::uint32_t number, const Outcome& outcome);
  // Empties a list of those who share a purge and tells each.
  template <class Tell>
  void let_go(std::uint32_t& list, Tell tell);
  void count(CoalesceHow how) { ++counts_[static_cast<std::size_t>(how)]; }
  [[nodiscard]] Slot* in_flight(DeliveryId id);

  CoalescerOptions options_;
  Clock& clock_;
  SettleSink* sink_{nullptr};
  KeySink* key_sink_{nullptr};
  KeyTable keys_;
  Pool<Join> joins_;
  std::array<std::unique_ptr<Line>, kMaxTargets> lines_;  // by TargetId; empty: no such target
  std::array<std::uint64_t, kCoalesceHow> counts_{};
};

}  // namespace purgeline
