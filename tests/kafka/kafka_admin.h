// KafkaAdmin: what tests do to a cluster from outside: topics, records, retention.
#pragma once

#include <cstdint>
#include <string>

#include "purgeline/types.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;

namespace purgeline::contract {

// Thread: the test's. Every call waits until the cluster has done it, and throws when it refuses.
class KafkaAdmin {
 public:
  explicit KafkaAdmin(const std::string& brokers);
  KafkaAdmin(const KafkaAdmin&) = delete;
  KafkaAdmin& operator=(const KafkaAdmin&) = delete;
  ~KafkaAdmin();

  // Asks once, and waits for a moment.
  [[nodiscard]] bool reachable() const;
  void create_topic(const std::string& topic, std::int32_t partitions);
  void add_partitions(const std::string& topic, std::int32_t total);
  void delete_below(const std::string& topic, std::int32_t partition, Offset low);
  // Values and times are numbers from `first` on, a second apart from `start` on.
  void append(const std::string& topic, std::int32_t partition, std::int64_t first,
              std::int32_t count, WallTime start);

 private:
  void know(const std::string& topic, std::int32_t partition);

  rd_kafka_s* client_;
  rd_kafka_queue_s* answers_;
};

}  // namespace purgeline::contract
