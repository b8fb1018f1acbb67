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
    std::vector<std::string> returned;    // were missing and are there
    std::vector<std::string> complaints;  // lines for the log
  };

  explicit KafkaTopics(const std::vector<std::string>& topics);

  // Others from now on. Those that are gone keep the numbers of their partitions.
  void change(const std::vector<std::string>& topics);

  // What is different from the answer before. Each partition is found once; a topic is missing
  // again only after it existed.
  [[nodiscard]] Change update(const KafkaMetadata& metadata);

  [[nodiscard]] std::size_t partitions() const { return names_.size(); }
  [[nodiscard]] const PartitionName& name(PartitionId partition) const;
  // The cluster said before that its topic did not exist, or had fewer partitions, so nothing of it
  // was ever missed: it is read from its first offset. A topic that the cluster only could not or
  // would not tell about is as old as it may be.
  [[nodiscard]] bool is_new(PartitionId partition) const;
  // A configured topic has no partitions yet.
  [[nodiscard]] bool incomplete() const;

 private:
  struct Topic {
    bool wanted{false};
    std::int32_t partitions{0};  // numbered so far
    bool present{false};
    bool told_missing{false};
    bool did_not_exist{false};  // once, in the cluster's own words
    std::string trouble;
  };

  std::map<std::string, Topic, std::less<>> topics_;
  std::vector<PartitionName> names_;  // by PartitionId
  std::vector<bool> new_;             // by PartitionId
};

}  // namespace purgeline
