// SimLog: a log in memory, and the Source and OffsetStore that read it. Deterministic: nothing
// depends on time or chance, answers come a fixed number of polls after their questions.
//
// The contract suite in tests/kafka holds it and the real Kafka source to the same behaviour.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "purgeline/source.h"
#include "purgeline/stores.h"

namespace purgeline::sim {

// What outlives the program: topics, committed positions, and the faults of the world.
class SimLog {
 public:
  struct Entry {
    WallTime time;
    std::string value;
  };
  struct Partition {
    std::int64_t low{0};
    std::deque<Entry> entries;
    [[nodiscard]] std::int64_t high() const {
      return low + static_cast<std::int64_t>(entries.size());
    }
  };

  void create_topic(const std::string& topic, std::int32_t partitions);
  void delete_topic(const std::string& topic) { topics_.erase(topic); }
  void add_partitions(const std::string& topic, std::int32_t total);
  Offset append(const std::string& topic, std::int32_t partition, WallTime time, std::string value);
  // The topic is deleted and made anew: empty, from offset 0, with as many partitions.
  void recreate_topic(const std::string& topic);
  // Another cluster with a copy of the same events at other offsets, and no positions.
  void move_to_cluster(std::string id, std::int64_t shift);
  // Retention: everything below is gone.
  void trim(const std::string& topic, std::int32_t partition, Offset low);

  void set_cluster(std::string id) { cluster_ = std::move(id); }
  void set_reachable(bool reachable) { reachable_ = reachable; }
  // Takes connections and never answers, like a stopped process.
  void set_frozen(bool frozen) { frozen_ = frozen; }
  void refuse_commits(std::uint32_t times) { refusals_ = times; }
  void forget_positions() { positions_.clear(); }
  // Called before each record that is handed over.
  using Watch = std::function<void(const PartitionName&, Offset, Priority)>;
  void set_watch(Watch watch) { watch_ = std::move(watch); }
  // Called when reading begins somewhere, for the first time or anew.
  void set_opened(std::function<void(const PartitionName&)> opened) { opened_ = std::move(opened); }
  // Called when a cursor is told that its offset is not in the log.
  void set_told(std::function<void(const PartitionName&)> told) { told_ = std::move(told); }
  // Asked before each record: true hands the one before it over once more.
  void set_redelivery(std::function<bool()> again) { again_ = std::move(again); }
  // Called whenever there may be more to read, so that a simulated loop can end its sleep.
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  [[nodiscard]] const std::string& cluster() const { return cluster_; }
  [[nodiscard]] const Partition* find(const PartitionName& name) const;
  [[nodiscard]] std::optional<Position> position(const std::string& group,
                                                 const PartitionName& name) const;

 private:
  friend class SimSource;
  friend class SimOffsetStore;
  using Name = std::pair<std::string, std::int32_t>;

  void wake() const {
    if (wake_) wake_();
  }

  std::map<std::string, std::vector<Partition>> topics_;
  std::map<std::pair<std::string, Name>, Position> positions_;  // by group and partition
  std::string cluster_{"sim-cluster"};
  bool reachable_{true};
  bool frozen_{false};
  std::uint32_t refusals_{0};
  std::function<void()> wake_;
  Watch watch_;
  std::function<void(const PartitionName&)> opened_;
  std::function<void(const PartitionName&)> told_;
  std::function<bool()> again_;
};

// Answers that come later: after so many polls, or with an error when the log was frozen until
// then.
class Answers {
 public:
  // `end` gets whether the log could be asked at all.
  void add(std::uint32_t polls, std::function<void(Status)> end);
  void poll(bool frozen, bool reachable);
  static constexpr std::uint32_t kTimeoutPolls = 400;

 private:
  struct Waiting {
    std::uint32_t polls;
    std::uint32_t waited;
    std::function<void(Status)> end;
  };
  std::deque<Waiting> waiting_;
};

struct SimSourceOptions {
  std::vector<std::string> topics;
  std::uint32_t answer_polls{2};    // how late answers come
  std::uint32_t metadata_polls{4};  // how late new topics and partitions are seen
  SimLog::Watch watch{};            // as SimLog::set_watch(), of this one alone
};

class SimSource final : public Source {
 public:
  SimSource(SimLog& log, SimSourceOptions options);

  void start(SourceListener& listener) override;
  void poll() override;
  CursorId open(PartitionId partition, Range range, std::uint32_t targets,
                Priority priority) override;
  void reposition(CursorId cursor, Offset from) override;
  void close(CursorId cursor) override;
  std::size_t read(CursorId cursor, std::size_t credit, RecordSink& sink) override;
  [[nodiscard]] Offset position(CursorId cursor) const override;
  [[nodiscard]] std::optional<LogEnds> ends(PartitionId partition) const override;
  void ask_ends(PartitionId partition, std::uint64_t question) override;
  void find(PartitionId partition, WallTime time, std::uint64_t question) override;
  void stop() override;

  [[nodiscard]] bool partition_is_new(PartitionId partition) const override;
  // The cluster that it has told of, which may be another one already.
  [[nodiscard]] const std::string& cluster() const { return cluster_; }
  // Some cursor would get a record now: a simulated loop need not sleep.
  [[nodiscard]] bool readable() const;

 private:
  struct Cursor {
    PartitionId partition;
    Range range;
    Offset position;
    Priority priority{Priority::live};
    bool standing{false};
    bool told{false};
  };

  void discover();
  [[nodiscard]] const SimLog::Partition* data(PartitionId partition) const;
  void hand_over(const Cursor& cursor, const SimLog::Partition& from, Offset offset,
                 RecordSink& sink);

  SimLog& log_;
  const SimSourceOptions options_;
  SourceListener* listener_{nullptr};
  Answers answers_;
  bool stopped_{false};
  std::uint32_t polls_{0};
  std::optional<bool> reachable_;
  std::string cluster_;
  bool discovered_{false};
  std::vector<PartitionName> names_;
  std::size_t old_{0};
  std::map<std::string, std::int32_t> known_;  // partitions numbered, by topic
  std::set<std::string> missing_;
  std::map<CursorId, Cursor> cursors_;
  std::uint32_t next_cursor_{0};
  std::map<PartitionId, LogEnds> heard_;
  std::string scratch_;
};

class SimOffsetStore final : public OffsetStore {
 public:
  // Brokers refuse metadata that is longer.
  static constexpr std::size_t kMaxClusterName = 4096;

  SimOffsetStore(SimLog& log, std::string group, std::uint32_t answer_polls = 2);

  void start(OffsetStoreListener& listener) override;
  void load(PartitionId partition, const PartitionName& name) override;
  void commit(std::span<const Commit> commits) override;
  void poll() override;

 private:
  SimLog& log_;
  const std::string group_;
  const std::uint32_t answer_polls_;
  OffsetStoreListener* listener_{nullptr};
  Answers answers_;
};

}  // namespace purgeline::sim
