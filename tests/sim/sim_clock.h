// Simulated time: moves only when the simulated transport sleeps. And what is due when.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "support/fake_clock.h"

namespace purgeline::sim {

class SimClock : public test::FakeClock {
 public:
  void move_to(MonoTime when) {
    if (when > now()) advance(when - now());
  }
  // This host's wall clock is off by so much from now on; true_wall() is what it should show.
  void set_wrong(Duration by) {
    jump_wall(by - wrong_);
    wrong_ = by;
  }
  [[nodiscard]] WallTime true_wall() const { return wall() - wrong_; }

 private:
  Duration wrong_{0};
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
