// What only librdkafka's mock cluster can do to a client: errors on order. In one process, no
// server.
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>

#include "kafka/kafka_admin.h"
#include "kafka/kafka_program.h"
#include "sources/kafka_offsets.h"

namespace purgeline::contract {
namespace {

constexpr std::int16_t kFetch = 1;  // request numbers of Kafka's protocol
constexpr std::int16_t kOffsetCommit = 8;
constexpr std::int16_t kOffsetFetch = 9;

class KafkaMock : public ::testing::Test {
 protected:
  static constexpr std::size_t kMaxTurns = 12'000;  // a hang guard

  KafkaMock() {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    std::array<char, 512> words{};
    rd_kafka_conf_set(conf, "log_level", "0", words.data(), words.size());
    owner_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, words.data(), words.size()));
    cluster_.reset(rd_kafka_mock_cluster_new(owner_.get(), 1));
    brokers_ = rd_kafka_mock_cluster_bootstraps(cluster_.get());
  }

  void create(const std::string& topic, int partitions) {
    ASSERT_EQ(rd_kafka_mock_topic_create(cluster_.get(), topic.c_str(), partitions, 1),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void append(const std::string& topic, std::int32_t partition, std::int64_t first, int count) {
    KafkaAdmin(brokers_).append(topic, partition, first, count, kFirstTime);
  }
  [[nodiscard]] KafkaOptions options(std::vector<std::string> topics) const {
    KafkaOptions made;
    made.brokers = {brokers_};
    made.topics = std::move(topics);
    made.group = "mock";
    made.metadata_interval = std::chrono::milliseconds(200);
    made.ask_timeout = std::chrono::seconds(3);
    return made;
  }
  void start(KafkaOptions with) {
    program_ = std::make_unique<KafkaProgram>(std::move(with), heard_);
  }
  [[nodiscard]] bool until(const std::function<bool()>& done) {
    for (std::size_t turns = 0; turns < kMaxTurns && !done(); ++turns) program_->turn();
    return done();
  }
  void fail_next(std::int16_t request, std::vector<rd_kafka_resp_err_t> errors) {
    rd_kafka_mock_push_request_errors_array(cluster_.get(), request, errors.size(), errors.data());
  }
  [[nodiscard]] bool logged(const std::string& words) const {
    return std::any_of(
        program_->lines.begin(), program_->lines.end(),
        [&](const std::string& line) { return line.find(words) != std::string::npos; });
  }
  [[nodiscard]] Source& source() { return program_->connection->source(); }
  [[nodiscard]] OffsetStore& store() { return program_->connection->offsets(); }

  std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)> owner_{nullptr, rd_kafka_destroy};
  std::unique_ptr<rd_kafka_mock_cluster_t, void (*)(rd_kafka_mock_cluster_t*)> cluster_{
      nullptr, rd_kafka_mock_cluster_destroy};
  std::string brokers_;
  Heard heard_;
  std::unique_ptr<KafkaProgram> program_;
};

TEST_F(KafkaMock, ACommitThatTheBrokerRefusesIsToldAndTheNextOneWorks) {
  create("t", 1);
  start(options({"t"}));
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
  const Commit one{heard_.id("t", 0), {"t", 0}, {Offset(5), kFirstTime, "c"}};
  fail_next(kOffsetCommit, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  store().commit(std::span(&one, 1));
  ASSERT_TRUE(until([&] { return heard_.committed.size() == 1; }));
  ASSERT_FALSE(heard_.committed[0].status.has_value());
  EXPECT_EQ(heard_.committed[0].status.error().code, Errc::permission);
  EXPECT_EQ(heard_.committed[0].offset, Offset(5));
  store().commit(std::span(&one, 1));
  ASSERT_TRUE(until([&] { return heard_.committed.size() == 2; }));
  EXPECT_TRUE(heard_.committed[1].status.has_value());
}

TEST_F(KafkaMock, MoreCommitsThanMayBeUnderWayAreRefusedAtOnce) {
  create("t", 1);
  start(options({"t"}));
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
  rd_kafka_mock_broker_set_rtt(cluster_.get(), 1, 200);
  for (std::int64_t offset = 0; offset <= 4; ++offset) {
    const Commit one{heard_.id("t", 0), {"t", 0}, {Offset(offset), kFirstTime, "c"}};
    store().commit(std::span(&one, 1));
  }
  static_assert(KafkaOffsetStore::kMaxInFlight == 4);
  store().poll();
  ASSERT_EQ(heard_.committed.size(), 1u);
  EXPECT_EQ(heard_.committed[0].offset, Offset(4));
  EXPECT_EQ(heard_.committed[0].status.error().code, Errc::unavailable);
  ASSERT_TRUE(until([&] { return heard_.committed.size() == 5; }));
}

TEST_F(KafkaMock, ALoadThatFailsSaysSo) {
  create("t", 1);
  start(options({"t"}));
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
  fail_next(kOffsetFetch, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  store().load(heard_.id("t", 0), {"t", 0});
  ASSERT_TRUE(until([&] { return heard_.loaded.size() == 1; }));
  EXPECT_FALSE(heard_.loaded[0].second.has_value());
}

TEST_F(KafkaMock, ReadingGoesOnAfterErrorsOfTheBroker) {
  create("t", 1);
  append("t", 0, 0, 50);
  start(options({"t"}));
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
  const CursorId cursor =
      source().open(heard_.id("t", 0), {Offset(0), std::nullopt}, 1, Priority::live);
  fail_next(kFetch, {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                     RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__TRANSPORT});
  Taken taken;
  ASSERT_TRUE(until([&] {
    static_cast<void>(source().read(cursor, 50, taken));
    return taken.offsets.size() >= 50;
  }));
  EXPECT_EQ(taken.disorder, 0u);
  EXPECT_EQ(taken.offsets.front(), Offset(0));
}

TEST_F(KafkaMock, ATopicThatMayNotBeSeenIsNamedWithTheReason) {
  create("t", 1);
  rd_kafka_mock_topic_set_error(cluster_.get(), "t", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  start(options({"t"}));
  ASSERT_TRUE(until([&] { return !heard_.missing.empty(); }));
  EXPECT_TRUE(logged("t: Broker: Topic authorization failed"));
  rd_kafka_mock_topic_set_error(cluster_.get(), "t", RD_KAFKA_RESP_ERR_NO_ERROR);
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
}

TEST_F(KafkaMock, DeadBrokersAreOneSentenceAndNoFurtherLines) {
  create("t", 1);
  KafkaOptions with = options({"t"});
  with.brokers = {"127.0.0.1:1", "localhost:1"};  // nothing listens there
  with.ask_timeout = std::chrono::milliseconds(500);
  start(std::move(with));
  ASSERT_TRUE(until([&] { return !heard_.states.empty(); }));
  EXPECT_EQ(heard_.states, std::vector<bool>{false});
  EXPECT_NE(heard_.whys[0].find(":1: Connect to"), std::string::npos) << heard_.whys[0];
  EXPECT_NE(heard_.whys[0].find("failed: Connection refused"), std::string::npos);
  EXPECT_EQ(heard_.whys[0].find("(after"), std::string::npos) << heard_.whys[0];
  ASSERT_TRUE(until([&] { return logged("brokers are down"); }));
  for (const std::string& line : program_->lines) EXPECT_EQ(line.front(), '7') << line;
}

TEST_F(KafkaMock, ASlowMetadataAnswerHoldsNoTurn) {
  create("t", 1);
  start(options({"t"}));
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
  rd_kafka_mock_broker_set_rtt(cluster_.get(), 1, 1000);
  source().ask_ends(heard_.id("t", 0), 1);
  std::size_t turns = 0;
  ASSERT_TRUE(until([&] {
    ++turns;
    return heard_.ends.contains(1);
  }));
  EXPECT_GE(turns, 20u);
}

TEST_F(KafkaMock, ManyPartitionsAreReadThroughOneWakeFd) {
  create("a", 8);
  create("b", 8);
  for (std::int32_t partition = 0; partition < 8; ++partition) {
    append("a", partition, 0, 20);
    append("b", partition, 0, 20);
  }
  start(options({"a", "b"}));
  ASSERT_TRUE(until([&] { return heard_.partitions.size() == 16; }));
  std::vector<CursorId> cursors;
  for (std::uint32_t id = 0; id < 16; ++id) {
    cursors.push_back(source().open(PartitionId(id), {Offset(0), std::nullopt}, 1, Priority::live));
  }
  std::vector<Taken> taken(16);
  ASSERT_TRUE(until([&] {
    std::size_t all = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      static_cast<void>(source().read(cursors[i], 3, taken[i]));
      all += taken[i].offsets.size();
    }
    return all == 320;
  }));
  EXPECT_GT(program_->wakes, 0u);
}

// A fetch that is stuck: the broker answers every question but delivers nothing.
TEST_F(KafkaMock, ASilentPartitionIsAssignedAgainWhenTheLogGrows) {
  create("t", 1);
  KafkaOptions with = options({"t"});
  with.stall_after = std::chrono::hours(1);
  start(std::move(with));
  ASSERT_TRUE(until([&] { return heard_.knows("t", 0); }));
  // Every fetch fails, for long: the records are there and never come.
  fail_next(kFetch,
            std::vector<rd_kafka_resp_err_t>(10'000, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION));
  const CursorId cursor =
      source().open(heard_.id("t", 0), {Offset(0), std::nullopt}, 1, Priority::live);
  Taken taken;
  EXPECT_EQ(source().read(cursor, 10, taken), 0u);
  append("t", 0, 0, 10);
  // Time passes in steps: the question after the end, and then the rest of the hour.
  ASSERT_TRUE(until([&] {
    program_->clock.advance(std::chrono::minutes(16));
    static_cast<void>(source().read(cursor, 10, taken));
    return logged("stalled at offset 0 while the log goes on to 10");
  }));
  rd_kafka_mock_clear_request_errors(cluster_.get(), kFetch);
  ASSERT_TRUE(until([&] {
    static_cast<void>(source().read(cursor, 10, taken));
    return taken.offsets.size() == 10;
  }));
  EXPECT_EQ(taken.offsets.front(), Offset(0));
}

TEST_F(KafkaMock, AWrongPropertyIsAnErrorWithItsName) {
  struct Row {
    const char* key;
    const char* value;
    const char* words;
  };
  const std::vector<Row> rows{
      {"no.such.key", "1", "log.kafka.properties.no.such.key: No such configuration property"},
      {"fetch.wait.max.ms", "soon", "log.kafka.properties.fetch.wait.max.ms: Invalid value"},
      {"auto.offset.reset", "latest", "log.kafka.properties.auto.offset.reset cannot be set"},
      {"security.protocol", "magic", "log.kafka.properties.security.protocol: Invalid value"},
      {"ssl.ca.location", "/nowhere/ca.pem", "log.kafka: "},
  };
  TestClock clock;
  for (const Row& row : rows) {
    KafkaOptions with = options({"t"});
    if (std::string(row.key) == "ssl.ca.location") with.properties["security.protocol"] = "ssl";
    with.properties[row.key] = row.value;
    const int wake_fd = ::eventfd(0, EFD_NONBLOCK);
    const auto made = KafkaConnection::make(std::move(with), wake_fd, clock);
    ::close(wake_fd);
    ASSERT_FALSE(made.has_value()) << row.key;
    EXPECT_NE(made.error().detail.find(row.words), std::string::npos) << made.error().detail;
  }
}

TEST_F(KafkaMock, EndingWhileQuestionsAreOpenIsClean) {
  // Before the group's coordinator is known, and with a commit that is on the wire.
  for (const bool coordinator : {false, true}) {
    heard_ = Heard();
    const std::string topic = coordinator ? "known" : "unknown";
    create(topic, 1);
    start(options({topic}));
    ASSERT_TRUE(until([&] { return heard_.knows(topic, 0); }));
    const PartitionId partition = heard_.id(topic, 0);
    const Commit one{partition, {topic, 0}, {Offset(5), kFirstTime, "c"}};
    if (coordinator) {
      store().commit(std::span(&one, 1));
      ASSERT_TRUE(until([&] { return heard_.committed.size() == 1; }));
    }
    rd_kafka_mock_broker_set_rtt(cluster_.get(), 1, 30'000);
    static_cast<void>(source().open(partition, {Offset(0), std::nullopt}, 1, Priority::live));
    source().ask_ends(partition, 1);
    store().load(partition, {topic, 0});
    store().commit(std::span(&one, 1));
    program_.reset();
    EXPECT_TRUE(heard_.ends.empty());
    rd_kafka_mock_broker_set_rtt(cluster_.get(), 1, 0);
  }
}

}  // namespace
}  // namespace purgeline::contract
