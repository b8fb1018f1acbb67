// Simulated time: moves only when the simulated transport sleeps. And what is due when.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "purgeline/clock.h"

namespace purgeline::sim {

class SimClock : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  [[nodiscard]] bool wall_synchronised() const override { return true; }
  void refresh() override {}

  void move_to(MonoTime when) {
    if (when <= now_) return;
    wall_ += when - now_;
    now_ = when;
  }
  void jump_wall(Duration by) { wall_ += by; }

 private:
  MonoTime now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::hours(24 * 365 * 56)};
};

// What happens when, outside of the program: in order of time, then of asking.
class Agenda {
 public:
  void at(MonoTime when, std::function<void()> action) {
    actions_.emplace(std::pair(when, sequence_++), std::move(action));
  }
  [[nodiscard]] bool empty() const { return actions_.empty(); }
  [[nodiscard]] MonoTime next() const { return actions_.begin()->first.first; }
  void run_one() {
    const auto action = std::move(actions_.begin()->second);
    actions_.erase(actions_.begin());
    action();
  }

 private:
  std::map<std::pair<MonoTime, std::uint64_t>, std::function<void()>> actions_;
  std::uint64_t sequence_{0};
};

}  // namespace purgeline::sim
