// KafkaOptions: which log to read, as the configuration says it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "purgeline/types.h"

namespace purgeline {

struct KafkaOptions {
  std::vector<std::string> brokers;
  std::vector<std::string> topics;
  std::string group;  // for the commit store only: partitions come by assign, nobody joins
  std::map<std::string, std::string> properties;  // handed to librdkafka as they are

  // Lines for the log, on the shard's thread, inside poll(). `level` as in syslog(3): 3 error, 4
  // warning, 6 info, 7 debug. The receiver limits the rate. Values of secret properties never
  // appear in a line.
  std::function<void(int level, std::string line)> log;

  // How often topics and partitions are asked for; once a second while one is missing.
  Duration metadata_interval{std::chrono::seconds(10)};
  // A partition whose end moves while nothing arrives for this long is assigned again.
  Duration stall_after{std::chrono::seconds(60)};
  // Longest wait of one question on the helper thread.
  Duration ask_timeout{std::chrono::seconds(5)};
};

}  // namespace purgeline
