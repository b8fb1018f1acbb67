// A log to read: librdkafka's mock cluster, filled, in a process of its own.
#pragma once

#include <sys/types.h>

#include <string>

namespace purgeline::bench {

struct LogPlan {
  long events{0};  // there from the start
  int partitions{64};
  long each{1};         // how often each URL comes, one time right after the other
  std::size_t size{0};  // events are filled up to this size
  bool paced{false};    // read while it is produced
};

struct MockLog {
  pid_t process;
  std::string brokers;
  int orders;  // for produce()
};

// Purge events of about 317 bytes, as MediaWiki sends them, over the partitions of the topic
// "purge". Returns when they are all there. The mock keeps 5 MB per partition.
[[nodiscard]] MockLog start_mock_log(const LogPlan& plan);

// From now on `rate` distinct events a second, for so many seconds. Their URLs say when each was
// due (null_sink.h). Returns at once; orders are carried out one after the other.
void produce(const MockLog& log, long rate, long seconds);

}  // namespace purgeline::bench
