// Topics and partitions that come and go, by the log's word or by the configuration's.
#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "app/partitions.h"
#include "purgeline/check.h"

namespace purgeline {

std::uint32_t Partitions::topic_index(const std::string& topic) {
  const auto found = std::find(topics_.begin(), topics_.end(), topic);
  const auto index = static_cast<std::uint32_t>(found - topics_.begin());
  if (found == topics_.end()) topics_.push_back(topic);
  return index;
}

void Partitions::on_partition(PartitionId id, const PartitionName& name) {
  CHECK(id.value() == partitions_.size());
  auto partition = std::make_unique<Partition>();
  partition->id = id;
  partition->name = name;
  partition->topic = topic_index(name.topic);
  partitions_.push_back(std::move(partition));
  load(*partitions_.back());
}

void Partitions::change_topics(const std::vector<std::string>& topics) {
  const auto wanted = [&topics](const std::string& topic) {
    return std::find(topics.begin(), topics.end(), topic) != topics.end();
  };
  update_watermarks();
  commit_now();
  std::set<std::string> left;
  for (auto& partition : partitions_) {
    const bool is = wanted(partition->name.topic);
    if (is == (partition->state != State::left)) continue;
    if (is) {
      load(*partition);
      continue;
    }
    if (left.insert(partition->name.topic).second) {
      log_.write(LogLevel::info, "topic removed",
                 {{"topic", partition->name.topic},
                  {"effect", "its position stays, in case it is configured again"}});
    }
    leave(partition);
  }
  std::erase_if(missing_, [&wanted](const auto& entry) { return !wanted(entry.first); });
  source_.change_topics(topics);
}

// As if it had never been read.
void Partitions::leave(std::unique_ptr<Partition>& partition) {
  if (readings_.live(partition->id)) readings_.abandon(partition->id);
  committer_.forget(partition->id);
  auto fresh = std::make_unique<Partition>();
  fresh->id = partition->id;
  fresh->name = partition->name;
  fresh->topic = partition->topic;
  fresh->state = State::left;
  partition = std::move(fresh);
}

void Partitions::on_topic_missing(const std::string& topic) {
  missing_[topic] = true;
  log_.write(LogLevel::warning, "topic missing",
             {{"topic", topic}, {"effect", "read once it exists"}});
}

void Partitions::on_topic_found(const std::string& topic) {
  missing_[topic] = false;
  log_.write(LogLevel::info, "topic appeared", {{"topic", topic}});
}

}  // namespace purgeline
