// Two caches that do nothing: they answer 204 to every request and count what they saw.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace purgeline::bench {

struct SinkCounts {  // in memory shared with the sink's process
  volatile std::uint64_t requests;
  volatile std::uint64_t distinct;
};

struct NullSink {
  pid_t process;
  std::uint16_t ports[2];
  SinkCounts* counts;  // two of them
};

// In a process of its own, so that its CPU time is not the router's. Ends with its parent.
[[nodiscard]] NullSink start_null_sink();

}  // namespace purgeline::bench
