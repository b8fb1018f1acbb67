// What Partitions makes of what a source tells: topics that come and go, and the state of the log.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "app/partitions.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

class NoSource final : public Source {
 public:
  void start(SourceListener&) override {}
  void poll() override {}
  [[nodiscard]] bool partition_is_new(PartitionId) const override { return false; }
  CursorId open(PartitionId, Range, std::uint32_t, Priority) override { return CursorId(0); }
  void reposition(CursorId, Offset) override {}
  void close(CursorId) override {}
  std::size_t read(CursorId, std::size_t, RecordSink&) override { return 0; }
  [[nodiscard]] Offset position(CursorId) const override { return Offset(0); }
  [[nodiscard]] std::optional<LogEnds> ends(PartitionId) const override { return std::nullopt; }
  void ask_ends(PartitionId, std::uint64_t number) override { question = number; }
  void find(PartitionId, WallTime, std::uint64_t number) override { question = number; }
  void stop() override {}
  void change_topics(const std::vector<std::string>& wanted) override { topics = wanted; }

  std::vector<std::string> topics;
  std::uint64_t question{0};
};

class NoStore final : public OffsetStore {
 public:
  void start(OffsetStoreListener& its) override { listener = &its; }
  void load(PartitionId, const PartitionName&) override {}
  void commit(std::span<const Commit> some) override {
    commits.insert(commits.end(), some.begin(), some.end());
  }
  void poll() override {}

  OffsetStoreListener* listener{nullptr};
  std::vector<Commit> commits;
};

class Lines final : public EventLog {
 public:
  void write(LogLevel, std::string_view event, LogFields fields) override {
    events.push_back(std::string(event) + " " + fields.begin()->second);
  }
  std::vector<std::string> events;
};

struct PartitionsTest : ::testing::Test {
  // The partition is found, its position is the end of what there is.
  void settle(PartitionId id, std::int64_t position) {
    log_store.listener->on_loaded(id, Position{Offset(position), clock.wall(), "here"});
    local_store.listener->on_loaded(id, std::optional<Position>());
    for (int i = 0; i < 4 && partitions.at(id).state != Partitions::State::reading; ++i) {
      partitions.on_ends(id, source.question, LogEnds{Offset(0), Offset(position)});
      partitions.on_found(id, source.question, Offset(position));
    }
  }

  NoSource source;
  NoStore log_store;
  NoStore local_store;
  test::FakeClock clock;
  Lines log;
  Readings readings{source, {{TargetId{0}}}, 100};
  Partitions partitions{PartitionOptions{}, readings, source, log_store, local_store, clock, log};
};

TEST_F(PartitionsTest, ATopicThatIsMadeAgainIsNotMissingAnyMore) {
  partitions.on_partition(PartitionId(0), {"t", 0});
  partitions.on_topic_missing("t");
  EXPECT_TRUE(partitions.missing_topics().at("t"));
  partitions.on_topic_found("t");  // its partitions have been told before, and are not again
  EXPECT_FALSE(partitions.missing_topics().at("t"));
  EXPECT_EQ(log.events, (std::vector<std::string>{"topic missing t", "topic appeared t"}));
}

TEST_F(PartitionsTest, TheLogCountsAsReachableOnceItHasAnswered) {
  EXPECT_FALSE(partitions.reachable());
  EXPECT_EQ(partitions.trouble(), "not yet: no broker has answered since the start");
  partitions.on_log_state(false, "a:1: refused");
  EXPECT_FALSE(partitions.reachable());
  EXPECT_EQ(partitions.trouble(), "a:1: refused");
  EXPECT_EQ(partitions.log_errors(), 1u);
  partitions.on_log_state(true, "");
  partitions.on_log_state(true, "");
  EXPECT_TRUE(partitions.reachable());
  EXPECT_EQ(partitions.log_errors(), 1u);
  EXPECT_EQ(log.events,
            (std::vector<std::string>{"log unreachable a:1: refused", "log reachable "}));
}

TEST_F(PartitionsTest, NothingIsCommittedBetweenTwoClusters) {
  const PartitionId id(0);
  partitions.start();
  partitions.on_cluster("here");
  partitions.on_partition(id, {"t", 0});
  settle(id, 5);
  ASSERT_TRUE(partitions.all_reading());
  partitions.on_cluster("there");
  EXPECT_FALSE(partitions.all_reading());
  for (int i = 0; i < 3; ++i) {
    clock.advance(std::chrono::seconds(2));
    partitions.turn();
  }
  EXPECT_TRUE(log_store.commits.empty());
  EXPECT_TRUE(local_store.commits.empty());
}

TEST_F(PartitionsTest, ATopicThatIsConfiguredAgainGoesOnFromItsPosition) {
  partitions.start();
  partitions.on_cluster("here");
  partitions.on_partition(PartitionId(0), {"stays", 0});
  partitions.on_partition(PartitionId(1), {"goes", 0});
  settle(PartitionId(0), 5);
  settle(PartitionId(1), 7);
  ASSERT_TRUE(partitions.all_reading());

  partitions.on_topic_missing("other");
  partitions.change_topics({"stays"});
  EXPECT_EQ(source.topics, std::vector<std::string>{"stays"});
  EXPECT_EQ(log.events.back(), "topic removed goes");
  EXPECT_TRUE(partitions.missing_topics().empty());
  EXPECT_TRUE(readings.live(PartitionId(0)));
  EXPECT_FALSE(readings.live(PartitionId(1)));
  EXPECT_TRUE(partitions.all_reading()) << "nobody waits for it";
  partitions.on_cluster("there");
  partitions.on_cluster("here");
  settle(PartitionId(0), 5);
  EXPECT_FALSE(readings.live(PartitionId(1))) << "a change of the cluster does not bring it back";
  clock.advance(std::chrono::minutes(1));
  partitions.turn();  // after such a pause every partition that is read looks for its place anew
  settle(PartitionId(0), 5);
  EXPECT_FALSE(readings.live(PartitionId(1)));

  partitions.change_topics({"goes", "stays"});
  EXPECT_FALSE(partitions.all_reading());
  settle(PartitionId(1), 7);
  EXPECT_TRUE(partitions.all_reading());
  EXPECT_EQ(partitions.at(PartitionId(1)).chosen.offset, Offset(7));
}

}  // namespace
}  // namespace purgeline
