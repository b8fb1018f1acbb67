// The parts of the Kafka source that need no broker: settings, topics, commit metadata, the helper
// thread.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "sources/kafka_client.h"
#include "sources/kafka_conf.h"
#include "sources/kafka_helper.h"
#include "sources/kafka_offsets.h"
#include "sources/kafka_topics.h"
#include "sources/kafka_trouble.h"

namespace purgeline {
namespace {

KafkaOptions valid() {
  KafkaOptions options;
  options.brokers = {"a:1", "b:2"};
  options.topics = {"t"};
  options.group = "host";
  return options;
}

std::string value_of(const KafkaSettings& settings, const std::string& key) {
  std::string value;
  for (const auto& [name, set] : settings.properties) {
    if (name == key) value = set;  // the last one counts
  }
  return value;
}

TEST(KafkaSettings, PromisesCannotBeSetAway) {
  for (const char* key :
       {"group.id", "bootstrap.servers", "enable.auto.commit", "auto.offset.reset",
        "enable.auto.offset.store", "group.instance.id", "log.queue"}) {
    KafkaOptions options = valid();
    options.properties[key] = "x";
    const auto settings = kafka_settings(options);
    ASSERT_FALSE(settings.has_value()) << key;
    EXPECT_EQ(settings.error().code, Errc::invalid);
    EXPECT_NE(settings.error().detail.find(key), std::string::npos) << settings.error().detail;
  }
}

TEST(KafkaSettings, WhatIsMissingIsNamed) {
  KafkaOptions options = valid();
  options.brokers.clear();
  EXPECT_EQ(kafka_settings(options).error().detail, "log.kafka.brokers is empty");
  options = valid();
  options.topics.clear();
  EXPECT_EQ(kafka_settings(options).error().detail, "log.kafka.topics is empty");
  options = valid();
  options.group.clear();
  EXPECT_EQ(kafka_settings(options).error().detail, "log.kafka.group is empty");
}

TEST(KafkaSettings, OursAndTheOperators) {
  KafkaOptions options = valid();
  options.properties["queued.min.messages"] = "200000";
  options.properties["security.protocol"] = "ssl";
  const auto settings = kafka_settings(options);
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(value_of(*settings, "bootstrap.servers"), "a:1,b:2");
  EXPECT_EQ(value_of(*settings, "group.id"), "host");
  EXPECT_EQ(value_of(*settings, "enable.auto.commit"), "false");
  EXPECT_EQ(value_of(*settings, "auto.offset.reset"), "error");
  EXPECT_EQ(value_of(*settings, "queued.min.messages"), "200000");
  EXPECT_EQ(value_of(*settings, "security.protocol"), "ssl");
}

TEST(KafkaSettings, SecretsNeverReachALine) {
  KafkaOptions options = valid();
  options.properties["sasl.username"] = "reader";
  options.properties["sasl.password"] = "hunter2";
  options.properties["ssl.key.pem"] = "-----BEGIN";
  options.properties["sasl.oauthbearer.config"] = "principal=x";
  const auto settings = kafka_settings(options);
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(kafka_scrub(*settings, "reader hunter2 hunter2, -----BEGIN principal=x"),
            "reader [hidden] [hidden], [hidden] [hidden]");
  EXPECT_TRUE(kafka_secret("ssl.keystore.password"));
  EXPECT_FALSE(kafka_secret("ssl.ca.location"));
}

TEST(KafkaSettings, TheQueueIsDividedWithinBounds) {
  EXPECT_EQ(kafka_queue_kbytes(0), 16u * 1024);
  EXPECT_EQ(kafka_queue_kbytes(2), 16u * 1024);
  EXPECT_EQ(kafka_queue_kbytes(8), 8u * 1024);
  EXPECT_EQ(kafka_queue_kbytes(1000), 2u * 1024);
}

KafkaMetadata metadata(std::vector<KafkaMetadata::Topic> topics) {
  return {"c", std::move(topics)};
}

TEST(KafkaTopics, PartitionsAreFoundOnceAndMissingTopicsToldOnce) {
  KafkaTopics topics({"a", "b"});
  EXPECT_TRUE(topics.incomplete());
  auto change =
      topics.update(metadata({{"a", 2, false, ""}, {"b", 0, true, ""}, {"x", 9, false, ""}}));
  EXPECT_EQ(change.found.size(), 2u);
  EXPECT_EQ(change.missing, std::vector<std::string>{"b"});
  EXPECT_TRUE(topics.incomplete());
  change = topics.update(metadata({{"a", 2, false, ""}, {"b", 0, true, ""}}));
  EXPECT_TRUE(change.found.empty() && change.missing.empty());
  change = topics.update(metadata({{"a", 3, false, ""}, {"b", 1, false, ""}}));
  ASSERT_EQ(change.found.size(), 2u);
  EXPECT_EQ(change.returned, std::vector<std::string>{"b"});
  EXPECT_EQ(topics.name(change.found[0]), (PartitionName{"a", 2}));
  EXPECT_EQ(topics.name(change.found[1]), (PartitionName{"b", 0}));
  EXPECT_FALSE(topics.incomplete());
  EXPECT_FALSE(topics.is_new(PartitionId(1)));
  EXPECT_TRUE(topics.is_new(PartitionId(2)));
  // Deleted, told again; made anew, its partitions keep their numbers.
  change = topics.update(metadata({{"a", 3, false, ""}, {"b", 0, true, ""}}));
  EXPECT_EQ(change.missing, std::vector<std::string>{"b"});
  change = topics.update(metadata({{"a", 1, false, ""}, {"b", 1, false, ""}}));
  EXPECT_TRUE(change.found.empty() && change.missing.empty());
  EXPECT_EQ(change.returned, std::vector<std::string>{"b"});
  EXPECT_EQ(topics.partitions(), 4u);
  change = topics.update(metadata({{"a", 1, false, ""}, {"b", 1, false, ""}}));
  EXPECT_TRUE(change.returned.empty());
}

// Read from its first offset is only what the cluster itself said did not exist.
TEST(KafkaTopics, ATopicIsNewWhenTheClusterSaidThatItDidNotExist) {
  struct Row {
    const char* name;
    std::vector<KafkaMetadata::Topic> before;
    bool is_new;
  };
  const Row rows[] = {
      {"there from the first answer on", {}, false},
      {"an error at first", {{"a", 0, false, "no leader"}}, false},
      {"two errors at first", {{"a", 0, false, "x"}, {"a", 0, false, "not allowed"}}, false},
      {"not in the answer at first", {{"x", 1, false, ""}}, false},
      {"did not exist", {{"a", 0, true, ""}}, true},
      {"an error, then did not exist", {{"a", 0, false, "x"}, {"a", 0, true, ""}}, true},
      {"did not exist, then an error", {{"a", 0, true, ""}, {"a", 0, false, "x"}}, true},
  };
  for (const Row& row : rows) {
    KafkaTopics topics({"a"});
    for (const KafkaMetadata::Topic& topic : row.before) {
      static_cast<void>(topics.update(metadata({topic})));
    }
    const auto change = topics.update(metadata({{"a", 1, false, ""}}));
    ASSERT_EQ(change.found.size(), 1u) << row.name;
    EXPECT_EQ(topics.is_new(change.found[0]), row.is_new) << row.name;
  }
}

TEST(KafkaTopics, OneThatComesBackKeepsItsNumbersAndIsMissedAnew) {
  KafkaTopics topics({"a", "b"});
  ASSERT_EQ(topics.update({"c", {{"a", 2, false, ""}, {"b", 0, true, ""}}}).found.size(), 2u);
  EXPECT_TRUE(topics.incomplete());
  topics.change({"a"});
  EXPECT_FALSE(topics.incomplete()) << "nobody waits for b";
  topics.change({"b"});
  EXPECT_TRUE(topics.update({"c", {{"a", 3, false, ""}}}).found.empty()) << "not asked for";
  topics.change({"a", "b"});
  const auto change = topics.update({"c", {{"a", 3, false, ""}, {"b", 0, true, ""}}});
  ASSERT_EQ(change.found.size(), 1u);
  EXPECT_EQ(topics.name(change.found[0]), (PartitionName{"a", 2}));
  EXPECT_EQ(topics.partitions(), 3u);
  EXPECT_EQ(change.missing, std::vector<std::string>{"b"});
  topics.change({"a", "b"});
  EXPECT_TRUE(topics.update({"c", {{"b", 0, true, ""}}}).missing.empty()) << "no news";
}

TEST(KafkaTopics, AComplaintIsLoggedOncePerChange) {
  KafkaTopics topics({"a"});
  auto change = topics.update(metadata({{"a", 0, false, "not allowed"}}));
  EXPECT_EQ(change.complaints, std::vector<std::string>{"a: not allowed"});
  EXPECT_EQ(change.missing, std::vector<std::string>{"a"});
  change = topics.update(metadata({{"a", 0, false, "not allowed"}}));
  EXPECT_TRUE(change.complaints.empty() && change.missing.empty());
  change = topics.update(metadata({{"a", 1, false, ""}}));
  EXPECT_EQ(change.found.size(), 1u);
  EXPECT_EQ(change.returned, std::vector<std::string>{"a"});
  // A leader election is no reason to call a topic missing.
  change = topics.update(metadata({{"a", 0, false, "no leader"}}));
  EXPECT_TRUE(change.missing.empty());
  EXPECT_EQ(change.complaints.size(), 1u);
}

TEST(CommitMetadata, ReadsBackWhatItWrites) {
  const Position full{Offset(5), WallTime(std::chrono::milliseconds(1'700'000'000'123)), "abc"};
  EXPECT_EQ(commit_metadata(full), "v1 1700000000123 abc");
  const Position bare{Offset(5), std::nullopt, ""};
  EXPECT_EQ(commit_metadata(bare), "v1 - -");
  for (const Position& position : {full, bare}) {
    const Position back = parse_commit_metadata(position.offset, commit_metadata(position));
    EXPECT_EQ(back.offset, position.offset);
    EXPECT_EQ(back.event_time, position.event_time);
    EXPECT_EQ(back.cluster, position.cluster);
  }
}

TEST(CommitMetadata, WhatOthersWroteGivesTheOffsetOnly) {
  for (const char* foreign : {"", "v1", "v1 ", "v1 12", "v2 12 c", "v1 x c", "v1 -5 c", "v1 12x c",
                              "v1 99999999999999999999 c", "v1 9223372036854775807 c", "hello"}) {
    const Position position = parse_commit_metadata(Offset(7), foreign);
    EXPECT_EQ(position.offset, Offset(7));
    EXPECT_FALSE(position.event_time.has_value()) << foreign;
    EXPECT_EQ(position.cluster, "") << foreign;
  }
}

TEST(KafkaTime, WhatDoesNotFitBecomesTheLastTimeThereIs) {
  constexpr std::int64_t kLast = INT64_MAX / 1'000'000;
  const auto at = [](std::int64_t ms) {
    return std::optional(WallTime(std::chrono::milliseconds(ms)));
  };
  struct Row {
    std::int64_t ms;
    std::optional<WallTime> time;
  };
  const Row rows[] = {
      {-1, std::nullopt},
      {INT64_MIN, std::nullopt},
      {0, at(0)},
      {1'700'000'000'123, at(1'700'000'000'123)},
      {kLast, at(kLast)},
      {kLast + 1, at(kLast)},
      {1'700'000'000'123'456, at(kLast)},      // microseconds
      {1'700'000'000'123'456'789, at(kLast)},  // nanoseconds
      {INT64_MAX, at(kLast)},
  };
  for (const Row& row : rows) EXPECT_EQ(kafka_time(row.ms), row.time) << row.ms;
  // Whoever compares it with the present must not overflow either.
  EXPECT_LT(WallTime{} - *kafka_time(INT64_MAX), Duration::zero());
}

TEST(KafkaTrouble, EachBrokerIsNamedOnceWithItsLatestReason) {
  KafkaTrouble trouble;
  EXPECT_TRUE(trouble.empty());
  EXPECT_EQ(trouble.words("Local: Timed out", {"a:1", "b:2"}), "Local: Timed out; asked: a:1, b:2");
  trouble.add(
      "a:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Host is down (after 3ms in state UP)");
  trouble.add("ssl://b:2/1001: SSL handshake failed: no, really: no");
  trouble.add("ssl://b:2: Disconnected");
  trouble.add(
      "a:1/7: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT, 9 "
      "identical error(s) suppressed)");
  EXPECT_FALSE(trouble.empty());
  EXPECT_EQ(trouble.words("Local: Timed out", {"a:1"}),
            "a:1: Connect to ipv4#10.0.0.1:1 failed: Connection refused; ssl://b:2: Disconnected");
  trouble.clear();
  EXPECT_TRUE(trouble.empty());
  trouble.add("words without an address");
  EXPECT_EQ(trouble.words("", {}), "words without an address");
}

TEST(KafkaTrouble, ManyBrokersAreNotAllNamed) {
  KafkaTrouble trouble;
  for (int i = 0; i < 100; ++i) trouble.add("h" + std::to_string(i) + ":1/b: x");
  const std::string words = trouble.words("", {});
  EXPECT_NE(words.find("h7:1: x; and more"), std::string::npos) << words;
  EXPECT_EQ(words.find("h8"), std::string::npos) << words;
  trouble.clear();
  trouble.add("h:1/b: x");
  EXPECT_EQ(trouble.words("", {}), "h:1: x");
}

TEST(KafkaTrouble, TheLibrarysLinesAboutConnectionsAreForDebuggingOnly) {
  struct Row {
    int level;
    const char* facility;
    const char* line;
    int logged;
  };
  const Row rows[] = {{3, "FAIL", "a:1/bootstrap: Connect failed", 7},
                      {6, "FAIL", "a:1/7: Disconnected", 7},
                      {5, "REQTMOUT", "a:1/7: Timed out 1 in-flight requests", 7},
                      {3, "ERROR", "[thrd:a:1]: 2/2 brokers are down", 7},
                      {3, "ERROR", "Failed to acquire a token", 3},
                      {4, "CONFWARN", "a property has no effect", 4}};
  for (const Row& row : rows) {
    EXPECT_EQ(kafka_line_level(row.level, row.facility, row.line), row.logged) << row.line;
  }
}

class HelperTest : public ::testing::Test {
 protected:
  HelperTest() : wake_fd_(::eventfd(0, EFD_NONBLOCK)) {}
  ~HelperTest() override { ::close(wake_fd_); }

  void wait() {
    pollfd waiting{wake_fd_, POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 30'000), 1);
    std::uint64_t count = 0;
    ASSERT_EQ(::read(wake_fd_, &count, sizeof count), static_cast<ssize_t>(sizeof count));
  }

  int wake_fd_;
};

TEST_F(HelperTest, EndsRunOnTheCallersThreadInOrder) {
  KafkaHelper helper(wake_fd_, 8);
  std::vector<int> ends;
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(helper.submit([&ends, i, here]() -> KafkaHelper::End {
      EXPECT_NE(std::this_thread::get_id(), here);
      return [&ends, i, here] {
        EXPECT_EQ(std::this_thread::get_id(), here);
        ends.push_back(i);
      };
    }));
  }
  while (ends.size() < 5) {
    wait();
    helper.poll();
  }
  EXPECT_EQ(ends, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_F(HelperTest, AFullMailboxRefusesAndABlockedJobHoldsNobody) {
  std::promise<void> go;
  auto gate = go.get_future().share();
  KafkaHelper helper(wake_fd_, 2);
  int ended = 0;
  const auto job = [&ended, gate]() -> KafkaHelper::End {
    gate.wait();
    return [&ended] {
      ++ended;
    };
  };
  EXPECT_TRUE(helper.submit(job));
  EXPECT_TRUE(helper.submit(job));
  EXPECT_FALSE(helper.submit(job));
  helper.poll();
  EXPECT_EQ(ended, 0);
  go.set_value();
  while (ended < 2) {
    wait();
    helper.poll();
  }
  EXPECT_TRUE(helper.submit(job)) << "there is room again";
}

TEST_F(HelperTest, EndingDropsWhatWaits) {
  std::promise<void> go;
  auto gate = go.get_future().share();
  int ran = 0;
  bool ended = false;
  {
    KafkaHelper helper(wake_fd_, 4);
    std::promise<void> started;
    ASSERT_TRUE(helper.submit([&]() -> KafkaHelper::End {
      started.set_value();
      gate.wait();
      ++ran;
      return [&ended] {
        ended = true;
      };
    }));
    started.get_future().wait();
    std::thread later([&go] { go.set_value(); });
    later.join();
  }
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(ended);
}

}  // namespace
}  // namespace purgeline
