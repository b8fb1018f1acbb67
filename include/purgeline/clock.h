// The Clock and Random seams: the only ways to time and chance.
#pragma once

#include <cstdint>

#include "purgeline/types.h"

namespace purgeline {

// Thread: each thread owns its own Clock.
class Clock {
 public:
  virtual ~Clock() = default;
  // The moment this turn of the loop began: constant during a turn, read anew by refresh(). Two
  // things done in one turn therefore carry the same time, which is why comparisons with a version
  // are strict.
  [[nodiscard]] virtual MonoTime now() const = 0;
  // The wall clock, read together with now().
  [[nodiscard]] virtual WallTime wall() const = 0;
  // False when the kernel says that the wall clock is not synchronised (adjtimex: STA_UNSYNC).
  [[nodiscard]] virtual bool wall_synchronised() const = 0;
  // Starts a new turn.
  virtual void refresh() = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  [[nodiscard]] virtual std::uint64_t next() = 0;
  // Uniform in [0, bound); bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

}  // namespace purgeline
