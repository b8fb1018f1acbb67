// FetchTime: how long a fetch from the origin may last (F), as far as copies have shown that it is
// longer than was configured.
//
// Place:  beside the Auditor, which finds copies that outlived their fence; app/audit hands what is
//         in force to the fences. Pure: no clock of its own.
// Thread: the shard's.
// Bound:  between what is configured and `most`.
//
// A fetch that is known to have lasted for so long raises F to half as much again. Each kCalm
// without another the excess halves, and what is left of it is dropped when it is less than a
// sixteenth of what is configured.
#pragma once

#include <chrono>
#include <optional>

#include "purgeline/types.h"

namespace purgeline::audit {

class FetchTime {
 public:
  static constexpr Duration kCalm = std::chrono::hours(1);

  // Without fences there is no time; without `most` it stays as it is. What was learnt is kept as
  // far as it is within the new bounds.
  void configure(std::optional<Duration> fetch_time, std::optional<Duration> most, MonoTime now);

  [[nodiscard]] std::optional<Duration> in_force() const { return in_force_; }
  // A fetch has lasted for at least so long, and its copy outlived the fence. True: raised.
  bool raise(Duration at_least, MonoTime now);
  // True: lowered, because nothing was found for long.
  bool turn(MonoTime now);
  // When turn() will lower it; MonoTime::max() for never.
  [[nodiscard]] MonoTime next_due() const;

 private:
  std::optional<Duration> configured_;
  std::optional<Duration> in_force_;
  Duration most_{0};
  MonoTime since_{};  // the last violation, or lowering
};

}  // namespace purgeline::audit
