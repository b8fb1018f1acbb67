// TargetProbes: a purge of a URL that nobody has, for a target that is not known to be up and has
// nothing else to do.
//
// Place:  between dispatch and the coalescer, in front of the queue. Without it a quiet host would
// not
//         know whether its caches answer until somebody edits a page, and would never be ready.
// Thread: the shard's.
// Bound:  one probe per target.
#pragma once

#include <optional>
#include <vector>

#include "purgeline/check.h"
#include "purgeline/clock.h"
#include "purgeline/delivery.h"

namespace purgeline {

class TargetProbes : public DeliveryQueue {
 public:
  TargetProbes(DeliveryQueue& queue, std::size_t targets, Clock& clock)
      : queue_(queue), clock_(clock), probes_(targets) {}

  // The dispatcher's word on a target, told before each of its turns.
  void set_state(TargetId target, TargetState state) {
    probes_[target.value()].wanted = state != TargetState::up;
  }

  // The number is another target's from now on. REQUIRES: no probe is in flight.
  void reset(TargetId target) {
    Probe& probe = probes_[target.value()];
    CHECK(!probe.in_flight);
    const std::uint32_t generation = probe.generation;
    probe = Probe{};
    probe.generation = generation;
  }

  // A delivery of the target may be what makes it close: next time a probe goes first, which tells
  // the one from the other.
  void suspect(TargetId target) { probes_[target.value()].first = true; }

  std::optional<Delivery> take(TargetId target) override {
    Probe& probe = probes_[target.value()];
    const bool first = probe.first && due(probe);
    if (!first && queue_.ready(target)) {
      if (auto delivery = queue_.take(target)) return delivery;
    }
    if (!due(probe)) return std::nullopt;
    probe.first = false;
    probe.in_flight = true;
    Delivery delivery;
    delivery.id = {kFirstSlot + target.value(), ++probe.generation};
    delivery.target = target;
    delivery.probe = true;
    delivery.host = "purgeline.invalid";
    delivery.path = "/purgeline-probe";
    return delivery;
  }
  [[nodiscard]] bool ready(TargetId target) const override {
    return queue_.ready(target) || due(probes_[target.value()]);
  }

  // True when the outcome was a probe's.
  bool on_outcome(DeliveryId id, const Outcome&) {
    if (id.slot < kFirstSlot) return false;
    Probe& probe = probes_[id.slot - kFirstSlot];
    CHECK(probe.in_flight && probe.generation == id.generation);
    probe.in_flight = false;
    probe.not_before = clock_.now() + std::chrono::seconds(1);
    return true;
  }
  [[nodiscard]] std::optional<MonoTime> next_due() const {
    std::optional<MonoTime> earliest;
    for (const Probe& probe : probes_) {
      if (!probe.wanted || probe.in_flight || probe.not_before <= clock_.now()) continue;
      if (!earliest || probe.not_before < *earliest) earliest = probe.not_before;
    }
    return earliest;
  }

 private:
  static constexpr std::uint32_t kFirstSlot = UINT32_MAX - 1024;  // no delivery of the coalescer's

  struct Probe {
    bool wanted{true};
    bool in_flight{false};
    bool first{false};  // before what the queue has
    std::uint32_t generation{0};
    MonoTime not_before{MonoTime::min()};
  };
  [[nodiscard]] bool due(const Probe& probe) const {
    return probe.wanted && !probe.in_flight && probe.not_before <= clock_.now();
  }

  DeliveryQueue& queue_;
  Clock& clock_;
  std::vector<Probe> probes_;
};

}  // namespace purgeline
