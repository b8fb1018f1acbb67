// The whole pipeline before a cache that refuses one URL: what is not on disk yet is not committed.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "app/pipeline.h"
#include "sim/sim_clock.h"
#include "sim/sim_source.h"
#include "sim/sim_transport.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTopic = "resource-purge";
constexpr std::uint16_t kPort = 1000;

// Takes what it is given, and says that it is on disk when the test does.
class SlowDisk : public DeadLetters {
 public:
  void start(DeadLetterListener& listener) override { listener_ = &listener; }
  [[nodiscard]] bool put(std::uint64_t ticket, const DeadLetter& letter) override {
    if (full) return false;
    EXPECT_FALSE(ticket_.has_value()) << "only one URL is refused";
    ticket_ = ticket;
    given = letter;
    return true;
  }
  void poll() override {
    if (written && ticket_) listener_->on_dead_letter_kept(*std::exchange(ticket_, std::nullopt));
  }

  bool full{false};
  bool written{false};
  std::optional<DeadLetter> given;

 private:
  DeadLetterListener* listener_{nullptr};
  std::optional<std::uint64_t> ticket_;
};

class NoLog : public EventLog {
 public:
  void write(LogLevel, std::string_view, LogFields) override {}
};

class NoResolver : public Resolver {
 public:
  void resolve(std::string, std::uint16_t, ResolveHandler&) override { CHECK(false); }
  void cancel(ResolveHandler&) override {}
  void poll() override {}
};

PurgeConfig one_cache() {
  PurgeConfig config;
  config.max_useful_age = std::chrono::hours(24);
  config.behind_after = seconds(60);
  config.coalesce.window = milliseconds(100);
  config.coalesce.clock_margin = seconds(2);
  config.coalesce.capacity = 100;
  config.coalesce.bytes = 1 << 20;
  LayerConfig layer;
  layer.name = "backend";
  layer.targets.push_back({"127.0.0.1:1000", "127.0.0.1", kPort, ""});
  layer.connections = 1;
  layer.depth = 4;
  layer.connect_timeout = layer.request_timeout = seconds(1);
  layer.max_attempts = 3;
  config.layers = {layer};
  return config;
}

struct Bench {
  Bench()
      : transport(clock, agenda, random, faults, trace),
        log_store(log, "group"),
        local_store(log, "local") {
    log.create_topic(kTopic, 1);
    source.emplace(log, sim::SimSourceOptions{{kTopic}, 2, 4});
    faults.stop();
    sim::SimTarget cache;
    cache.port = kPort;
    cache.name = "127.0.0.1:1000";
    cache.refuses = "/refused";
    transport.add(cache);
    LogConfig log_config;
    log_config.kafka.start_at = StartEarliest{};
    log_config.catch_up = {seconds(10), 10};
    pipeline.emplace(config, log_config, *HostMatcher::make({}, {}),
                     PipelineSeams{clock, random, transport, resolver, *source, log_store,
                                   local_store, disk, lines});
    pipeline->start();
  }

  void append(const std::string& path) {
    log.append(kTopic, 0, clock.wall(), R"({"meta":{"uri":"http://h)" + path + R"("}})");
  }
  void run(Duration duration) {
    for (const MonoTime end = clock.now() + duration; clock.now() < end;) {
      pipeline->turn();
      transport.turn(std::min(pipeline->next_due(), clock.now() + milliseconds(10)),
                     pipeline->tick());
    }
  }
  std::int64_t committed() {
    const auto position = log.position("group", {kTopic, 0});
    return position ? position->offset.value() : 0;
  }

  test::FakeRandom random{1};
  sim::SimClock clock;
  sim::Agenda agenda;
  sim::Faults faults{random};
  sim::Trace trace{clock};
  sim::SimTransport transport;
  sim::SimLog log;
  sim::SimOffsetStore log_store;
  sim::SimOffsetStore local_store;
  SlowDisk disk;
  NoResolver resolver;
  NoLog lines;
  PurgeConfig config{one_cache()};
  std::optional<sim::SimSource> source;
  std::optional<Pipeline> pipeline;
};

TEST(DeadLetter, HoldsThePositionUntilItIsOnDisk) {
  Bench bench;
  bench.append("/good");
  bench.append("/refused");
  bench.append("/good/too");
  bench.run(seconds(30));
  ASSERT_TRUE(bench.disk.given.has_value());
  EXPECT_EQ(bench.disk.given->path, "/refused");
  EXPECT_EQ(bench.disk.given->offset, Offset(1));
  EXPECT_EQ(bench.committed(), 1) << "up to the letter, which nobody has yet";

  bench.disk.written = true;
  bench.run(seconds(30));
  EXPECT_EQ(bench.committed(), 3);
  EXPECT_EQ(bench.pipeline->unfinished(), 0u);
}

TEST(DeadLetter, IsOfferedAgainWhenTheStoreHadNoRoom) {
  Bench bench;
  bench.disk.full = true;
  bench.disk.written = true;
  bench.append("/refused");
  bench.run(seconds(10));
  EXPECT_FALSE(bench.disk.given.has_value());
  EXPECT_EQ(bench.committed(), 0);
  bench.disk.full = false;
  bench.run(seconds(30));
  EXPECT_TRUE(bench.disk.given.has_value());
  EXPECT_EQ(bench.committed(), 1);
}

}  // namespace
}  // namespace purgeline
