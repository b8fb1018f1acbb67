// Committer: sends watermarks to the offset store, one commit per interval, never backwards.
//
// Place:  behind the ledgers.
// Thread: the shard's.
// Bound:  one commit in flight per partition; a newer watermark waits for its answer.
//
// A position that does not move is committed again every hour: Kafka forgets the offsets of a
// consumer without a group membership some days after its last commit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/stores.h"

namespace purgeline {

struct CommitterOptions {
  Duration interval{std::chrono::seconds(1)};
  Duration repeat{std::chrono::hours(1)};
  Duration answer_limit{
      std::chrono::seconds(30)};  // an unanswered commit counts as failed after it
};

class Committer {
 public:
  Committer(const CommitterOptions& options, OffsetStore& store, Clock& clock);

  void set_cluster(const std::string& cluster) { cluster_ = cluster; }
  // `committed`: what the store holds now, if that is where reading starts.
  void add(PartitionId partition, const PartitionName& name, std::optional<Offset> committed);
  // Everything below `position.offset` is finished.
  void update(PartitionId partition, Offset offset, std::optional<WallTime> time);

  // What was reached means nothing any more (the log was made anew): it is not committed, until the
  // next add().
  void forget(PartitionId partition);

  void turn();        // commits what has moved when the interval is over
  void commit_now();  // without waiting for the interval: at stop
  // Nothing has moved that is not committed.
  [[nodiscard]] bool settled() const;
  [[nodiscard]] std::optional<MonoTime> next_due() const;

  void on_committed(PartitionId partition, Offset offset, const Status& status);

  struct State {
    std::optional<Offset> committed;
    std::uint64_t commits{0};
    std::uint64_t failures{0};
    std::string last_error;  // empty after a success
  };
  [[nodiscard]] const State& state(PartitionId partition) const;

 private:
  struct Entry {
    bool known{false};
    PartitionName name;
    std::optional<Offset> reached;
    std::optional<WallTime> time;
    std::optional<Offset> asked;  // in flight
    MonoTime asked_at{};
    MonoTime confirmed_at{};
    State state;
  };
  [[nodiscard]] bool due(const Entry& entry) const;
  Entry& entry(PartitionId partition);

  CommitterOptions options_;
  OffsetStore& store_;
  Clock& clock_;
  std::string cluster_;
  std::vector<Entry> entries_;  // by PartitionId
  std::vector<Commit> batch_;
  MonoTime next_{};
};

}  // namespace purgeline
