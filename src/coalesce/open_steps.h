// OpenSteps: time in steps, and how many fences are open of what arrived in each.
//
// Place:  under Fences. What was finished up to the end of a step may be committed once neither it
//         nor a step before it has an open fence.
// Thread: the shard's.
// Bound:  kMost steps. While the oldest of so many is open the newest one does not end: it then
//         holds the commit of more than it has to, which is safe.
#pragma once

#include <cstdint>
#include <optional>

#include "purgeline/check.h"
#include "purgeline/ring.h"
#include "purgeline/types.h"

namespace purgeline {

class OpenSteps {
 public:
  using Number = std::uint64_t;

  explicit OpenSteps(MonoTime now) : steps_(kMost) { steps_.push_back({now, 0}); }

  // The current step, when it has lasted for `length` and ends now: the next one begins.
  std::optional<Number> end(MonoTime now, Duration length) {
    if (now - steps_.back().began < length || steps_.full()) return std::nullopt;
    const Number ended = first_ + steps_.size() - 1;
    steps_.push_back({now, 0});
    forget();
    return ended;
  }
  // Something is open of what arrives now; returns the step to close() it in.
  Number open() {
    ++steps_.back().open;
    return first_ + steps_.size() - 1;
  }
  void close(Number step) {
    CHECK(step >= first_ && step - first_ < steps_.size() && steps_[step - first_].open > 0);
    --steps_[step - first_].open;
    forget();
  }
  // Nothing is open of what arrived before it. Empty: nothing is open at all.
  [[nodiscard]] std::optional<Number> oldest() const {
    if (steps_[0].open == 0) return std::nullopt;
    return first_;
  }
  [[nodiscard]] MonoTime oldest_began() const { return steps_[0].began; }

 private:
  static constexpr std::size_t kMost = 1024;

  struct Step {
    MonoTime began{};
    std::uint32_t open{0};
  };
  void forget() {
    for (; steps_.size() > 1 && steps_.front().open == 0; ++first_) steps_.pop_front();
  }

  Ring<Step> steps_;  // never empty; the last one is the current
  Number first_{0};   // of steps_[0]
};

}  // namespace purgeline
