// Hosts that tell each other how far they are, and what librdkafka's mock cluster can do to that.
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kafka/test_clock.h"
#include "purgeline/eventfd.h"
#include "sources/kafka_peers.h"

namespace purgeline::contract {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int16_t kFetch = 1;  // request number of Kafka's protocol

class Ears : public PeerListener {
 public:
  void on_peer(const PeerReport& report) override {
    if (!report.marks.empty()) heard = report.marks[0].purged.value();
  }
  std::int64_t heard{-1};
};

// Two hosts.
class KafkaPeersMock : public ::testing::Test {
 protected:
  KafkaPeersMock() : wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    std::array<char, 512> words{};
    rd_kafka_conf_set(conf, "log_level", "0", words.data(), words.size());
    owner_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, words.data(), words.size()));
    cluster_.reset(rd_kafka_mock_cluster_new(owner_.get(), 1));
    address_ = rd_kafka_mock_cluster_bootstraps(cluster_.get());
    EXPECT_EQ(rd_kafka_mock_topic_create(cluster_.get(), "peers", 1, 1),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  ~KafkaPeersMock() override {
    a_.reset();
    b_.reset();
    ::close(wake_fd_);
  }

  void start(Duration ask_timeout, const std::vector<std::string>& brokers,
             const std::map<std::string, std::string>& properties = {}) {
    for (auto* host : {&a_, &b_}) {
      KafkaPeersOptions options;
      options.kafka.brokers = brokers;
      options.kafka.group = "mock";
      options.kafka.properties = properties;
      options.kafka.ask_timeout = ask_timeout;
      options.topic = "peers";
      options.name = host == &a_ ? "a" : "b";
      options.ask_again = milliseconds(200);
      options.ask_new = std::chrono::hours(1);
      auto made = KafkaPeers::make(std::move(options), wake_fd_, clocks_[host == &a_ ? 0 : 1]);
      ASSERT_TRUE(made.has_value());
      *host = std::move(*made);
    }
  }
  // While both go on speaking, half a minute at most.
  bool until(const std::function<bool()>& done) {
    TestClock clock;
    for (const MonoTime end = clock.now() + seconds(30); clock.now() < end; clock.refresh()) {
      const PeerMark mark{{"resource-purge", 0}, Offset{++said_}, Offset{said_}, {}, {}};
      for (const auto& host : {a_.get(), b_.get()}) host->publish({&mark, 1});
      pollfd waiting{wake_fd_, POLLIN, 0};
      ::poll(&waiting, 1, 50);
      drain_eventfd(wake_fd_);
      a_->poll(ears_);
      if (done()) return true;
    }
    return false;
  }

  // Of both: which of them an error of the broker comes to is open.
  [[nodiscard]] std::string trouble() const { return a_->trouble() + b_->trouble(); }

  int wake_fd_;
  std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)> owner_{nullptr, rd_kafka_destroy};
  std::unique_ptr<rd_kafka_mock_cluster_t, void (*)(rd_kafka_mock_cluster_t*)> cluster_{
      nullptr, rd_kafka_mock_cluster_destroy};
  std::string address_;
  std::array<TestClock, 2> clocks_;
  std::unique_ptr<KafkaPeers> a_, b_;
  Ears ears_;
  std::int64_t said_{0};
};

TEST_F(KafkaPeersMock, TroubleThatIsOverIsNotToldForLonger) {
  start(seconds(10), {address_});
  ASSERT_TRUE(until([&] { return ears_.heard > 0 && trouble().empty(); }));
  const std::vector<rd_kafka_resp_err_t> errors(2, RD_KAFKA_RESP_ERR_INVALID_REQUEST);
  rd_kafka_mock_push_request_errors_array(cluster_.get(), kFetch, errors.size(), errors.data());
  ASSERT_TRUE(until([&] { return !trouble().empty(); }));
  const std::int64_t then = said_;
  EXPECT_TRUE(until([&] { return trouble().empty() && ears_.heard > then; })) << trouble();
}

TEST_F(KafkaPeersMock, ABrokerThatFailsBesideOthersIsNoTrouble) {
  std::vector<std::string> brokers{address_};
  for (int port = 1; port <= 4; ++port) brokers.push_back("127.0.0.1:" + std::to_string(port));
  start(seconds(10), brokers);
  EXPECT_FALSE(until([&] { return !a_->trouble().empty() || ears_.heard > 20; }) &&
               !a_->trouble().empty())
      << a_->trouble();
}

TEST_F(KafkaPeersMock, WhyBrokersFailIsToldWithoutSecrets) {
  start(seconds(1), {"127.0.0.1:1"}, {{"ssl.key.password", "Connect to"}});
  const auto told = [this](const char* words) {
    return a_->trouble().find(words) != std::string::npos;
  };
  EXPECT_TRUE(until([&] { return told("Connection refused"); })) << a_->trouble();
  EXPECT_TRUE(told("127.0.0.1:1: [hidden] ipv4#127.0.0.1:1 failed")) << a_->trouble();
  EXPECT_FALSE(told("Connect to")) << a_->trouble();
}

}  // namespace
}  // namespace purgeline::contract
