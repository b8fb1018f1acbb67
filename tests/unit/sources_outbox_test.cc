// The forwarder without a broker: what it says of its trouble.
#include "sources/kafka_outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "support/fake_clock.h"

namespace purgeline {
namespace {

// One event that waits for ever.
class OneEvent : public OutboxLog {
 public:
  void topics(std::vector<OutboxTopic>& out) const override {
    out = {{"topic", Offset(0), Offset(1)}};
  }
  [[nodiscard]] Status read(const std::string&, Offset from, OutboxVisitor& visitor) override {
    static_cast<void>(visitor.on_event({from, WallTime{}, "", "{}"}));
    return {};
  }
  void trim(const std::string&, Offset) override {}
  void watch(int) override {}
  void unwatch(int) override {}
};

// Keeps the reason for which the outbox waits.
class Why : public EventLog {
 public:
  void write(LogLevel, std::string_view event, LogFields fields) override {
    if (event != "outbox waits") return;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [name, value] : fields) {
        if (name == "why") why_ = value;
      }
    }
    told_.notify_all();
  }
  std::string wait() {
    std::unique_lock lock(mutex_);
    told_.wait_for(lock, std::chrono::seconds(30), [this] { return !why_.empty(); });
    return why_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  std::string why_;
};

// Its thread waits for the end of its patience, whatever the host's clock says.
class Ticking : public test::FakeClock {
 public:
  void refresh() override { advance(std::chrono::milliseconds(50)); }
};

TEST(KafkaOutbox, ShowsNoSecretInItsTrouble) {
  KafkaOutboxOptions options;
  options.brokers = {"127.0.0.1:1"};
  // A part of what librdkafka says when nobody listens there.
  options.properties = {{"ssl.key.password", "Connect to"}};
  OneEvent outbox;
  Why why;
  Ticking clock;
  KafkaOutbox forwarder(options, outbox, clock, why);
  ASSERT_TRUE(forwarder.start());
  EXPECT_THAT(why.wait(),
              testing::AllOf(testing::HasSubstr("127.0.0.1:1"), testing::HasSubstr("[hidden]"),
                             testing::Not(testing::HasSubstr("Connect to"))));
  EXPECT_THAT(forwarder.trouble(), testing::HasSubstr("[hidden]"));
  forwarder.stop();
}

}  // namespace
}  // namespace purgeline
