#include "sources/kafka_topics.h"

#include <algorithm>
#include <set>

#include "purgeline/check.h"

namespace purgeline {

KafkaTopics::KafkaTopics(const std::vector<std::string>& topics) {
  change(topics);
}

void KafkaTopics::change(const std::vector<std::string>& topics) {
  const std::set<std::string> wanted(topics.begin(), topics.end());
  for (auto& [name, topic] : topics_) {
    topic.wanted = wanted.count(name) > 0;
    if (!topic.wanted) topic.told_missing = false;  // told anew when it is asked for anew
  }
  for (const std::string& name : wanted) topics_[name].wanted = true;
}

KafkaTopics::Change KafkaTopics::update(const KafkaMetadata& metadata) {
  Change change;
  for (const KafkaMetadata::Topic& told : metadata.topics) {
    const auto at = topics_.find(told.name);
    if (at == topics_.end() || !at->second.wanted)
      continue;  // not ours: another topic the client happens to know
    Topic& topic = at->second;
    if (told.trouble != topic.trouble) {
      topic.trouble = told.trouble;
      if (!told.trouble.empty()) change.complaints.push_back(told.name + ": " + told.trouble);
    }
    // A topic with a complaint and no partitions (a leader election, no right to see it) is neither
    // there nor gone when it has been seen before; when it never was, it must be named.
    topic.did_not_exist = topic.did_not_exist || told.missing;
    const bool gone = told.missing || (told.partitions == 0 && topic.partitions == 0);
    if (gone) {
      topic.present = false;
      if (!topic.told_missing) change.missing.push_back(told.name);
      topic.told_missing = true;
      continue;
    }
    if (told.partitions == 0) continue;
    if (topic.told_missing) change.returned.push_back(told.name);
    topic.present = true;
    topic.told_missing = false;
    const bool grown = topic.partitions > 0;
    for (; topic.partitions < told.partitions; ++topic.partitions) {
      change.found.emplace_back(static_cast<std::uint32_t>(names_.size()));
      names_.push_back(PartitionName{told.name, topic.partitions});
      new_.push_back(grown || topic.did_not_exist);
    }
  }
  return change;
}

const PartitionName& KafkaTopics::name(PartitionId partition) const {
  CHECK(partition.value() < names_.size());
  return names_[partition.value()];
}

bool KafkaTopics::is_new(PartitionId partition) const {
  CHECK(partition.value() < names_.size());
  return new_[partition.value()];
}

bool KafkaTopics::incomplete() const {
  return std::any_of(topics_.begin(), topics_.end(), [](const auto& entry) {
    return entry.second.wanted && !entry.second.present;
  });
}

}  // namespace purgeline
