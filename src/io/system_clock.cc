#include "io/system_clock.h"

#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>

#include "purgeline/check.h"

namespace purgeline {
namespace {

Duration read_clock(clockid_t id) {
  timespec time{};
  CHECK(clock_gettime(id, &time) == 0);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

void SystemClock::refresh() {
  now_ = MonoTime(read_clock(CLOCK_MONOTONIC));
  wall_ = WallTime(read_clock(CLOCK_REALTIME));
  if (asked_at_ != MonoTime::min() && now_ - asked_at_ < std::chrono::seconds(1)) return;
  asked_at_ = now_;
  timex state{};
  // A sandbox that refuses the question says nothing about the clock: then it is trusted.
  const int answer = adjtimex(&state);
  synchronised_ = answer < 0 || (state.status & STA_UNSYNC) == 0;
}

SystemRandom::SystemRandom() : state_(0) {
  if (getrandom(&state_, sizeof state_, GRND_NONBLOCK) != sizeof state_) {
    state_ = static_cast<std::uint64_t>(read_clock(CLOCK_MONOTONIC).count());
  }
}

// splitmix64: every state gives a full period, and jitter needs no more.
std::uint64_t SystemRandom::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace purgeline
