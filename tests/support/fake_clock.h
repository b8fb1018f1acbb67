// A clock that moves only when a test says so, and chance that repeats.
#pragma once

#include "purgeline/clock.h"

namespace purgeline::test {

class FakeClock : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  [[nodiscard]] bool wall_synchronised() const override { return synchronised_; }
  void refresh() override {}

  void advance(Duration by) {
    now_ += by;
    wall_ += by;
  }
  void jump_wall(Duration by) { wall_ += by; }
  void set_synchronised(bool yes) { synchronised_ = yes; }

 private:
  MonoTime now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::hours(24 * 365 * 50)};
  bool synchronised_{true};
};

class FakeRandom : public Random {
 public:
  explicit FakeRandom(std::uint64_t seed = 1) : state_(seed) {}
  [[nodiscard]] std::uint64_t next() override {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace purgeline::test
