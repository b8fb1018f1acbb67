// A log to read: librdkafka's mock cluster, filled, in a process of its own.
#pragma once

#include <sys/types.h>

#include <string>

namespace purgeline::bench {

struct MockLog {
  pid_t process;
  std::string brokers;
};

// `events` distinct purge events of about 317 bytes, as MediaWiki sends them, over `partitions` of
// the topic "purge". Returns when they are all there. The mock keeps 5 MB per partition.
[[nodiscard]] MockLog start_mock_log(long events, int partitions);

}  // namespace purgeline::bench
