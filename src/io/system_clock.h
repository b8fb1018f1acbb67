// The real Clock and Random.
#pragma once

#include <cstdint>

#include "purgeline/clock.h"

namespace purgeline {

// Thread: one per thread. Bound: two reads of the kernel's clocks per turn.
class SystemClock : public Clock {
 public:
  SystemClock() { refresh(); }
  [[nodiscard]] MonoTime now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  [[nodiscard]] bool wall_synchronised() const override { return synchronised_; }
  void refresh() override;

 private:
  MonoTime now_{};
  WallTime wall_{};
  MonoTime asked_at_{
      MonoTime::min()};  // when the kernel was last asked whether the clock is synchronised
  bool synchronised_{true};
};

// For jitter, not for secrets.
class SystemRandom : public Random {
 public:
  SystemRandom();  // seeded by the kernel
  [[nodiscard]] std::uint64_t next() override;

 private:
  std::uint64_t state_;
};

}  // namespace purgeline
