// A clock that costs nothing and moves only when it is refreshed.
#pragma once

#include <chrono>

#include "purgeline/clock.h"

namespace purgeline::bench {

class BenchClock : public Clock {
 public:
  explicit BenchClock(Duration step = std::chrono::microseconds(1)) : step_(step) {}
  [[nodiscard]] MonoTime now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return {}; }
  [[nodiscard]] bool wall_synchronised() const override { return true; }
  void refresh() override { now_ += step_; }

 private:
  Duration step_;
  MonoTime now_{std::chrono::hours(1)};
};

}  // namespace purgeline::bench
