// Hosts that tell each other how far they are, through a real Apache Kafka.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kafka/kafka_admin.h"
#include "kafka/real_broker.h"
#include "kafka/test_clock.h"
#include "purgeline/eventfd.h"
#include "sources/kafka_peers.h"

namespace purgeline::contract {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::unique_ptr<RealBroker> broker;

class Broker final : public ::testing::Environment {
 public:
  void SetUp() override { broker = std::make_unique<RealBroker>(); }
  void TearDown() override { broker.reset(); }
};
const auto* const environment = ::testing::AddGlobalTestEnvironment(new Broker);  // gtest owns it

class Host : public PeerListener {
 public:
  Host(const std::string& topic, const std::string& name)
      : wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    KafkaPeersOptions options;
    options.kafka.brokers = {broker->address()};
    options.kafka.group = name;
    options.kafka.ask_timeout = seconds(10);
    options.topic = topic;
    options.name = name;
    options.ask_again = milliseconds(200);
    options.ask_new = milliseconds(500);
    auto made = KafkaPeers::make(std::move(options), wake_fd_, clock_);
    EXPECT_TRUE(made.has_value());
    if (made) peers = std::move(*made);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host() override {
    peers.reset();
    ::close(wake_fd_);
  }

  void say(std::int64_t purged) {
    const PeerMark mark{{"resource-purge", 0}, Offset{purged}, Offset{purged}, {}, {}};
    peers->publish({&mark, 1});
  }
  void on_peer(const PeerReport& report) override {
    const std::int64_t mark = report.marks.empty() ? -1 : report.marks[0].purged.value();
    heard[report.host] = mark;
    lowest = std::min(lowest, mark);
  }
  // Sleeps until it is woken, as the shard does.
  void turn(Duration limit) {
    pollfd waiting{wake_fd_, POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(std::chrono::ceil<milliseconds>(limit).count()));
    drain_eventfd(wake_fd_);
    peers->poll(*this);
  }

  std::unique_ptr<KafkaPeers> peers;
  std::map<std::string, std::int64_t> heard;
  std::int64_t lowest{INT64_MAX};

 private:
  TestClock clock_;
  int wake_fd_;
};

struct KafkaPeersTest : testing::Test {
  // Until `done`, half a minute at most; `also` before each look.
  static bool until(
      Host& host, const std::function<bool()>& done, const std::function<void()>& also = [] {}) {
    TestClock clock;
    for (const MonoTime end = clock.now() + seconds(30); clock.now() < end; clock.refresh()) {
      also();
      host.turn(milliseconds(100));
      if (done()) return true;
    }
    return false;
  }
  static std::string topic() {
    static int number = 0;
    return "peers-" + std::to_string(++number);
  }

  KafkaAdmin admin{broker->address()};
};

TEST_F(KafkaPeersTest, HostsHearEachOtherAndNotThemselves) {
  const std::string name = topic();
  admin.create_topic(name, 3);
  Host a(name, "a");
  Host b(name, "b");
  Host c(name, "c");
  std::int64_t mark = 0;
  const auto all_say = [&] {
    ++mark;
    for (Host* host : {&a, &b, &c}) host->say(mark);
    b.turn(milliseconds(0));
    c.turn(milliseconds(0));
  };
  EXPECT_TRUE(until(
      a, [&] { return a.heard.size() == 2 && b.heard.size() == 2; }, all_say));
  EXPECT_EQ(a.heard.count("a"), 0u);
  b.say(1000);
  EXPECT_TRUE(until(a, [&] { return a.heard["b"] == 1000; })) << "the latest, without another word";
  EXPECT_EQ(a.peers->trouble(), "");
}

TEST_F(KafkaPeersTest, WhatWasSaidBeforeIsNotHeard) {
  const std::string name = topic();
  admin.create_topic(name, 1);
  Host a(name, "a");
  Host witness(name, "w");
  ASSERT_TRUE(until(
      witness, [&] { return witness.heard["a"] == 5; }, [&] { a.say(5); }));
  Host b(name, "b");
  ASSERT_TRUE(until(
      witness, [&] { return witness.heard["b"] == 1; }, [&] { b.say(1); }));
  ASSERT_TRUE(until(
      b, [&] { return b.heard["a"] == 6; }, [&] { a.say(6); }));
  EXPECT_EQ(b.lowest, 6) << "it began at the end";
}

TEST_F(KafkaPeersTest, WhatIsNoReportIsPassedOverAndSaid) {
  const std::string name = topic();
  admin.create_topic(name, 1);
  Host a(name, "a");
  Host b(name, "b");
  ASSERT_TRUE(until(
      a, [&] { return a.heard["b"] == 1; }, [&] { b.say(1); }));
  admin.append(name, 0, 1, 5, WallTime{seconds(1700000000)});
  EXPECT_TRUE(until(a, [&] { return !a.peers->trouble().empty(); }));
  EXPECT_NE(a.peers->trouble().find("a message is not understood: it is no report of a peer"),
            std::string::npos)
      << a.peers->trouble();
  EXPECT_TRUE(until(
      a, [&] { return a.heard["b"] == 2; }, [&] { b.say(2); }));
  EXPECT_EQ(a.peers->trouble(), "");
}

TEST_F(KafkaPeersTest, ATopicThatDoesNotExistIsSaidAndUsedOnceItDoes) {
  const std::string name = topic();
  Host a(name, "a");
  Host b(name, "b");
  EXPECT_TRUE(until(a, [&] { return !a.peers->trouble().empty(); }));
  EXPECT_EQ(a.peers->trouble(), "topic " + name + ": it does not exist");
  admin.create_topic(name, 2);
  EXPECT_TRUE(until(
      a, [&] { return a.heard["b"] == 3; }, [&] { b.say(3); }));
  EXPECT_TRUE(until(
      a, [&] { return a.peers->trouble().empty(); }, [&] { a.say(3); }))
      << a.peers->trouble();
}

TEST_F(KafkaPeersTest, PartitionsThatAreAddedAreHeardToo) {
  const std::string name = topic();
  admin.create_topic(name, 1);
  Host a(name, "a");
  Host b(name, "b");
  ASSERT_TRUE(until(
      a, [&] { return a.heard["b"] == 1; }, [&] { b.say(1); }));
  admin.add_partitions(name, 7);
  // Where a host's messages go to changes with the number of partitions.
  std::vector<std::unique_ptr<Host>> more;
  for (int i = 0; i < 6; ++i) {
    more.push_back(std::make_unique<Host>(name, "more-" + std::to_string(i)));
  }
  EXPECT_TRUE(until(
      a, [&] { return a.heard.size() == 1 + more.size(); },
      [&] {
        for (const auto& host : more) host->say(9);
      }));
}

TEST_F(KafkaPeersTest, ABrokerThatIsFrozenHoldsNobody) {
  const std::string name = topic();
  admin.create_topic(name, 1);
  Host a(name, "a");
  Host b(name, "b");
  ASSERT_TRUE(until(
      a, [&] { return a.heard["b"] == 1; }, [&] { b.say(1); }));
  broker->freeze();
  TestClock clock;
  MonoTime before = clock.now();
  Duration longest{0};
  for (int i = 0; i < 50; ++i) {
    b.say(100 + i);
    a.turn(milliseconds(0));
    clock.refresh();
    longest = std::max(longest, clock.now() - before);
    a.turn(milliseconds(100));
    clock.refresh();
    before = clock.now();
  }
  broker->thaw();
  EXPECT_LT(longest, seconds(5));  // a question to the broker takes twice as long
  EXPECT_TRUE(until(
      a, [&] { return a.heard["b"] >= 149; }, [&] { b.say(149); }));
}

TEST_F(KafkaPeersTest, APropertyThatIsRefusedIsNamed) {
  KafkaPeersOptions options;
  options.kafka.brokers = {broker->address()};
  options.kafka.group = "g";
  options.kafka.properties = {{"no.such.thing", "1"}};
  options.topic = "t";
  options.name = "a";
  TestClock clock;
  const auto made = KafkaPeers::make(std::move(options), -1, clock);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, Errc::invalid);
  EXPECT_NE(made.error().detail.find("no.such.thing"), std::string::npos);
}

}  // namespace
}  // namespace purgeline::contract
