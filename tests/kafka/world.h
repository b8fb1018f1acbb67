// World: a log with its faults, and one program that reads it. The contract suite sees nothing
// else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "purgeline/source.h"
#include "purgeline/stores.h"

namespace purgeline::contract {

// All that a source and a store said, in order.
class Heard final : public SourceListener, public OffsetStoreListener {
 public:
  struct Loss {
    CursorId cursor;
    Offset wanted;
  };
  struct Committed {
    PartitionId partition;
    Offset offset;
    Status status;
  };

  void on_partition(PartitionId partition, const PartitionName& name) override {
    partitions.emplace_back(name);
    ids.emplace(name.topic + ":" + std::to_string(name.partition), partition);
  }
  void on_topic_missing(const std::string& topic) override { missing.push_back(topic); }
  void on_topic_found(const std::string& topic) override { returned.push_back(topic); }
  void on_found(PartitionId, std::uint64_t question, Result<Offset> offset) override {
    found.emplace(question, std::move(offset));
  }
  void on_ends(PartitionId, std::uint64_t question, Result<LogEnds> answer) override {
    ends.emplace(question, std::move(answer));
  }
  void on_out_of_range(CursorId cursor, Offset wanted) override {
    losses.push_back({cursor, wanted});
  }
  void on_log_state(bool reachable, const std::string& why) override {
    states.push_back(reachable);
    whys.push_back(why);
  }
  void on_cluster(const std::string& cluster_id) override { clusters.push_back(cluster_id); }
  void on_loaded(PartitionId partition, Result<std::optional<Position>> position) override {
    loaded.emplace_back(partition, std::move(position));
  }
  void on_committed(PartitionId partition, Offset offset, Status status) override {
    committed.push_back({partition, offset, std::move(status)});
  }

  [[nodiscard]] bool knows(const std::string& topic, std::int32_t partition) const {
    return ids.contains(topic + ":" + std::to_string(partition));
  }
  [[nodiscard]] PartitionId id(const std::string& topic, std::int32_t partition) const {
    return ids.at(topic + ":" + std::to_string(partition));
  }

  std::vector<PartitionName> partitions;
  std::map<std::string, PartitionId> ids;
  std::vector<std::string> missing;
  std::vector<std::string> returned;
  std::map<std::uint64_t, Result<Offset>> found;
  std::map<std::uint64_t, Result<LogEnds>> ends;
  std::vector<Loss> losses;
  std::vector<bool> states;
  std::vector<std::string> whys;  // of the states
  std::vector<std::string> clusters;
  std::vector<std::pair<PartitionId, Result<std::optional<Position>>>> loaded;
  std::vector<Committed> committed;
};

// Keeps what it is given and checks that it comes in order.
class Taken final : public RecordSink {
 public:
  void on_record(const Record& record) override {
    if (!offsets.empty() && record.offset <= offsets.back()) ++disorder;
    offsets.push_back(record.offset);
    values.emplace_back(record.value);
    if (!record.timestamp) ++untimed;
    last_time = record.timestamp;
  }
  void clear() { *this = Taken(); }

  std::vector<Offset> offsets;
  std::vector<std::string> values;
  std::optional<WallTime> last_time;
  std::size_t disorder{0};
  std::size_t untimed{0};
};

class World {
 public:
  virtual ~World() = default;
  // Or one to each topic.
  [[nodiscard]] virtual bool has_partitions() const { return true; }

  // From outside. Each returns when the log has taken it.
  [[nodiscard]] virtual std::string unique(const std::string& word) = 0;
  virtual void create_topic(const std::string& topic, std::int32_t partitions) = 0;
  virtual void add_partitions(const std::string& topic, std::int32_t total) = 0;
  // Records whose values are their numbers in the order of appending, from 0 in each partition,
  // with timestamps one second apart from kFirstTime on.
  virtual void append(const std::string& topic, std::int32_t partition, std::int32_t count) = 0;
  virtual void trim(const std::string& topic, std::int32_t partition, Offset low) = 0;
  virtual void freeze() = 0;
  virtual void thaw() = 0;
  virtual void stop_log() = 0;
  virtual void start_log() = 0;

  // The program. A second start() ends the first one and takes up its group.
  virtual void start(const std::vector<std::string>& topics) = 0;
  [[nodiscard]] virtual Source& source() = 0;
  [[nodiscard]] virtual OffsetStore& store() = 0;
  [[nodiscard]] virtual bool partition_is_new(PartitionId partition) = 0;
  // Sleeps until woken or for a moment, then polls the source and the store.
  virtual void turn() = 0;

  Heard heard;
};

// A whole second, so that no rounding is in the way.
inline constexpr WallTime kFirstTime{std::chrono::seconds(1'700'000'000)};

}  // namespace purgeline::contract
