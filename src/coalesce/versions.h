// Versions: for each event, an upper bound on this host's clock for the moment its change was made.
//
// Place:  between route and coalesce; one per partition.
// Thread: the shard's.
// Bound:  kSamples samples of (time, end of the partition).
//
// The version is the earliest of three bounds:
//   - the event's arrival here;
//   - the latest of its own time, the log's time and the sampled floor, plus the clock margin. The
//   floor
//     is the last moment at which we saw the partition end at or before the event: it was not in
//     the log then, whatever the clocks of others say. Samples are taken at most a margin apart, so
//     this bound holds for a live event even when its producer's clock is slow;
//   - the first moment at which we knew that the partition reached beyond the event.
// A version that is too late costs a purge. One that is too early leaves a stale page: wherever
// samples are missing, the bound they would have made is left out.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "purgeline/types.h"

namespace purgeline {

struct VersionInput {
  Offset offset;
  std::optional<WallTime> event_time;  // meta.dt
  std::optional<WallTime> log_time;    // the log's own timestamp
};

struct Version {
  MonoTime at{};
  bool future_dated{false};  // its time lies beyond now + margin; it counts as an event of now
};

struct VersionClocks {
  MonoTime now;
  WallTime wall;
  bool wall_trusted{true};         // false: the kernel says that the clock is not synchronised
  std::optional<Duration> margin;  // empty: clock_margin is off
};

class Versions {
 public:
  // What the log said of the partition's end, one past the last offset. Call it at least every
  // margin / 2 while the log can be reached, and on every change that is seen.
  void observe_end(MonoTime now, Offset end, Duration spacing);

  [[nodiscard]] Version of(const VersionInput& input, const VersionClocks& clocks) const;

 private:
  struct Sample {
    MonoTime first;  // when this end was first seen
    MonoTime last;   // and last seen
    Offset end;
  };
  static constexpr std::size_t kSamples = 32;

  struct Bounds {
    std::optional<MonoTime> floor;   // seen to end at or before the offset
    std::optional<MonoTime> beyond;  // seen to reach beyond it
    bool floor_known{true};          // false: the sample that would be the floor is gone
  };
  [[nodiscard]] Bounds bounds(Offset offset) const;
  [[nodiscard]] const Sample& at(std::size_t index) const;

  std::array<Sample, kSamples> samples_{};
  std::size_t head_{0};
  std::size_t size_{0};
  std::optional<Sample>
      oldest_;  // the first sample ever, kept for a backlog that was there before us
  bool evicted_{false};
};

}  // namespace purgeline
