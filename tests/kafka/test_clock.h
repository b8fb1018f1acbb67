// TestClock: the host's clocks, for tests that talk to real servers.
#pragma once

#include <chrono>

#include "purgeline/clock.h"

namespace purgeline::contract {

class TestClock final : public Clock {
 public:
  TestClock() { refresh(); }
  [[nodiscard]] MonoTime now() const override { return now_ + ahead_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  [[nodiscard]] bool wall_synchronised() const override { return true; }
  void refresh() override {
    now_ = MonoTime(std::chrono::steady_clock::now().time_since_epoch());
    wall_ = WallTime(std::chrono::system_clock::now().time_since_epoch());
  }
  // Lets hours pass.
  void advance(Duration by) { ahead_ += by; }

 private:
  MonoTime now_{};
  WallTime wall_{};
  Duration ahead_{};
};

}  // namespace purgeline::contract
