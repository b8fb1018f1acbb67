// Dispatcher: sends deliveries to the caches and reports what became of each.
//
// Place:  after coalesce. Takes deliveries from the DeliveryQueue only when they can be written,
// and
//         reports exactly one outcome for each to the OutcomeSink, always from within turn().
// Thread: the shard's.
// Bound:  per target connections * depth deliveries; nothing is queued here.
//
// Order: `unanswered` deliveries of one connection are reported last first. The queue's owner puts
// each back at the front of its line, so that the line has its old order again afterwards.
//
// All targets are settled before any takes something new: an answer of one layer lets the purge of
// the next start in the same turn.
#pragma once

#include <memory>
#include <vector>

#include "dispatch/target.h"

namespace purgeline {

class Dispatcher {
 public:
  // `targets`: each with a number of its own.
  Dispatcher(DispatchOptions options, std::vector<TargetSpec> targets, Transport& transport,
             Resolver& resolver, Clock& clock, Random& random, DeliveryQueue& queue,
             OutcomeSink& sink);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void set_listener(TargetListener* listener);

  // ---- a changed configuration
  // REQUIRES: there is none with its number.
  void add(TargetSpec target);
  // Other limits of a target that stays.
  void alter(const TargetSpec& target);
  // It takes nothing more; what is in flight as at drain(). forget() when it is idle.
  void remove(TargetId target, MonoTime until);
  [[nodiscard]] bool idle(TargetId target) const { return at(target).idle(); }
  void forget(TargetId target);
  // Requests that have no answer yet.
  [[nodiscard]] std::size_t in_flight(TargetId target) const { return at(target).in_flight(); }

  // Call after each turn of the transport, with a refreshed clock.
  void turn();
  // When turn() has something to do that no event of the transport announces; MonoTime::max() for
  // never.
  [[nodiscard]] MonoTime next_due() const;

  // Takes nothing more. What is in flight may be answered until `until` and is then reported
  // unanswered; connections are closed. Once.
  void drain(MonoTime until);
  // Nothing in flight and no connection: after drain(), the transport may go.
  [[nodiscard]] bool idle() const;

  [[nodiscard]] TargetState state(TargetId target) const;
  [[nodiscard]] bool unproven(TargetId target) const { return at(target).unproven(); }
  [[nodiscard]] TargetMetrics metrics(TargetId target) const;

 private:
  template <class Use>
  void each(Use use) const {
    for (const auto& target : targets_) {
      if (target) use(*target);
    }
  }
  [[nodiscard]] Target& at(TargetId target) const;

  const DispatchOptions options_;
  DispatchSeams seams_;
  TargetListener* listener_{nullptr};
  std::vector<std::unique_ptr<Target>> targets_;  // by TargetId; empty: there is none
};

}  // namespace purgeline
