// Two caches that do nothing: they answer 204 to every request and count what they saw.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace purgeline::bench {

// In memory shared with the sink's process.
struct SinkCounts {
  static constexpr std::size_t kAges = 10000;
  static constexpr double kAgeStep = 0.0001;  // seconds
  volatile std::uint64_t requests;
  volatile std::uint64_t distinct;
  // By age, for pages whose names say when they were due ("At_" and nanoseconds).
  std::array<volatile std::uint64_t, kAges> ages;

  // The age that this share of them does not exceed, in seconds.
  [[nodiscard]] double age(double share) const;
};

struct NullSink {
  pid_t process;
  std::uint16_t ports[2];
  SinkCounts* counts;  // two of them
};

// In a process of its own, so that its CPU time is not the router's. Ends with its parent.
[[nodiscard]] NullSink start_null_sink();

}  // namespace purgeline::bench
