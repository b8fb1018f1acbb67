// KafkaTopics: which partitions exist, and under which number Purgeline knows them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "purgeline/record.h"
#include "purgeline/types.h"

namespace purgeline {

// A cluster's answer about the topics of the configuration.
struct KafkaMetadata {
  struct Topic {
    std::string name;
    std::int32_t partitions{0};
    bool missing{false};  // the cluster says that it does not exist
    std::string trouble;  // any other complaint about it, in the library's words
  };
  std::string cluster;
  std::vector<Topic> topics;
};

// Place: inside the Kafka source. Thread: the shard's.
// Bound: the partitions of the configured topics; numbers are never given back.
class KafkaTopics {
 public:
  struct Change {
    std::vector<PartitionId> found;
    std::vector<std::string> missing;
    std::vector<std::string> complaints;  // lines for the log
  };

  explicit KafkaTopics(const std::vector<std::string>& topics);

  // What is different from the answer before. Each partition is found once; a topic is missing
  // again only after it existed.
  [[nodiscard]] Change update(const KafkaMetadata& metadata);

  [[nodiscard]] std::size_t partitions() const { return names_.size(); }
  [[nodiscard]] const PartitionName& name(PartitionId partition) const;
  // It appeared after the first answer of the cluster, so nothing of it was ever missed: it is read
  // from its first offset.
  [[nodiscard]] bool is_new(PartitionId partition) const;
  // A configured topic has no partitions yet.
  [[nodiscard]] bool incomplete() const;

 private:
  struct Topic {
    std::int32_t partitions{0};  // numbered so far
    bool present{false};
    bool told_missing{false};
    std::string trouble;
  };

  std::map<std::string, Topic, std::less<>> topics_;
  std::vector<PartitionName> names_;  // by PartitionId
  std::size_t old_{0};                // partitions below this number were there at the first answer
  bool answered_{false};
};

}  // namespace purgeline
