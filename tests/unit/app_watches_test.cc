// The whole pipeline with somebody who waits for one event: what he is told of each cache.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "app/shard_watches.h"
#include "sim/sim_clock.h"
#include "sim/sim_source.h"
#include "sim/sim_transport.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTopic = "resource-purge";
const std::vector<std::string> kDenied{"denied"};
constexpr std::uint16_t kBackend = 1000;
constexpr std::uint16_t kFrontend = 1001;

class NoDeadLetters : public DeadLetters {
 public:
  void start(DeadLetterListener& listener) override { listener_ = &listener; }
  [[nodiscard]] bool put(std::uint64_t ticket, const DeadLetter&) override {
    kept_.push_back(ticket);
    return true;
  }
  void poll() override {
    for (const std::uint64_t ticket : std::exchange(kept_, {})) {
      listener_->on_dead_letter_kept(ticket);
    }
  }

 private:
  std::vector<std::uint64_t> kept_;
  DeadLetterListener* listener_{nullptr};
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

PurgeConfig two_layers() {
  PurgeConfig config;
  config.max_useful_age = std::chrono::hours(24);
  config.layer_deadline = seconds(60);
  config.behind_after = seconds(60);
  config.coalesce.window = milliseconds(100);
  config.coalesce.clock_margin = seconds(2);
  config.coalesce.capacity = 10000;  // of which `bytes` allows a tenth, of the longest URLs
  config.coalesce.bytes = 1 << 20;
  for (const std::uint16_t port : {kBackend, kFrontend}) {
    LayerConfig layer;
    layer.name = port == kBackend ? "backend" : "frontend";
    layer.targets.push_back({"127.0.0.1:" + std::to_string(port), "127.0.0.1", port, ""});
    layer.connections = 1;
    layer.depth = 4;
    layer.connect_timeout = layer.request_timeout = seconds(5);
    layer.max_attempts = 3;
    config.layers.push_back(layer);
  }
  return config;
}

class WatchesTest : public ::testing::Test {
 protected:
  WatchesTest() {
    log_.create_topic(kTopic, 1);
    source_.emplace(log_, sim::SimSourceOptions{{kTopic}, 2, 4});
    faults_.stop();
    for (const std::uint16_t port : {kBackend, kFrontend}) {
      sim::SimTarget cache;
      cache.port = port;
      cache.name = "127.0.0.1:" + std::to_string(port);
      cache.refuses = "/refused";
      transport_.add(cache);
    }
    LogConfig log_config;
    log_config.kafka.start_at = StartEarliest{};
    log_config.catch_up = {seconds(10), 10};
    pipeline_.emplace(config_, log_config, *HostMatcher::make({}, kDenied),
                      PipelineSeams{clock_, random_, transport_, resolver_, *source_, log_store_,
                                    local_store_, letters_, lines_, &watches_});
    pipeline_->start();
    run(seconds(1));
  }

  [[nodiscard]] bool watch(const std::string& id, Duration wait) {
    return watches_.watch(id, wait, [this](PurgeOutcome outcome) {
      EXPECT_FALSE(told_.has_value()) << "once";
      told_ = std::move(outcome);
      told_at_ = clock_.now();
    });
  }
  void append(const std::string& url, const std::string& id) {
    log_.append(kTopic, 0, clock_.wall(),
                R"({"meta":{"uri":")" + url + R"(","id":")" + id + R"("}})");
  }
  void run(Duration duration) {
    for (const MonoTime end = clock_.now() + duration; clock_.now() < end;) {
      pipeline_->turn();
      transport_.turn(std::min({pipeline_->next_due(), clock_.now() + seconds(1), end}),
                      pipeline_->tick());
    }
  }
  // What is told of a purge that somebody waits for `wait` for.
  PurgeOutcome ask(const std::string& url, Duration wait) {
    EXPECT_TRUE(watch("id", wait));
    asked_at_ = clock_.now();
    append(url, "id");
    run(wait + seconds(2));
    EXPECT_TRUE(told_.has_value());
    EXPECT_FALSE(watches_.any());
    return told_.value_or(PurgeOutcome{});
  }

  test::FakeRandom random_{1};
  sim::SimClock clock_;
  sim::Agenda agenda_;
  sim::Faults faults_{random_};
  sim::Trace trace_{clock_};
  sim::SimTransport transport_{clock_, agenda_, random_, faults_, trace_};
  sim::SimLog log_;
  sim::SimOffsetStore log_store_{log_, "group"};
  sim::SimOffsetStore local_store_{log_, "local"};
  NoDeadLetters letters_;
  NoResolver resolver_;
  NoLog lines_;
  PurgeConfig config_{two_layers()};
  ShardWatches watches_{config_.layers};
  std::optional<sim::SimSource> source_;
  std::optional<Pipeline> pipeline_;
  std::optional<PurgeOutcome> told_;
  MonoTime told_at_{};
  MonoTime asked_at_{};
};

constexpr const char* kBackendPurged =
    R"({"layer":"backend","target":"127.0.0.1:1000","outcome":"purged","status":200})";

TEST_F(WatchesTest, EachTargetsAnswerIsTold) {
  const PurgeOutcome outcome = ask("http://h/a", seconds(5));
  EXPECT_TRUE(outcome.finished);
  // The simulated cache had the page, or had not.
  const std::string absent = R"("absent","status":404)";
  std::string targets = outcome.targets;
  for (std::size_t at = 0; (at = targets.find(absent)) != std::string::npos;) {
    targets.replace(at, absent.size(), R"("purged","status":200)");
  }
  EXPECT_EQ(targets, "[" + std::string(kBackendPurged) +
                         R"(,{"layer":"frontend","target":"127.0.0.1:1001",)" +
                         R"("outcome":"purged","status":200}])");
  EXPECT_LT(told_at_ - asked_at_, seconds(1)) << "as soon as it is known";
}

TEST_F(WatchesTest, ASlowCacheIsWaitedFor) {
  transport_.cache(kFrontend).latency = milliseconds(1500);
  const PurgeOutcome outcome = ask("http://h/a", seconds(4));
  EXPECT_TRUE(outcome.finished);
  EXPECT_GE(told_at_ - asked_at_, milliseconds(1500));
}

TEST_F(WatchesTest, ASlowCacheIsPendingWhenTheWaitIsOver) {
  transport_.cache(kFrontend).latency = milliseconds(1500);
  const PurgeOutcome outcome = ask("http://h/a", seconds(1));
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.targets.substr(0, 1 + std::string(kBackendPurged).size()),
            "[" + std::string(kBackendPurged));
  EXPECT_NE(outcome.targets.find(R"("outcome":"pending","target_state":"up"})"), std::string::npos)
      << outcome.targets;
  EXPECT_EQ(told_at_ - asked_at_, seconds(1));
}

TEST_F(WatchesTest, ACacheThatDeniesIsTold) {
  transport_.cache(kFrontend).denies = true;
  const PurgeOutcome outcome = ask("http://h/a", seconds(8));
  EXPECT_FALSE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("outcome":"pending","last_attempt":"denied","status":405,)"
                                 R"("target_state":"denied"})"),
            std::string::npos)
      << outcome.targets;
}

// With one event unfinished the table is not full, however long URLs might be.
TEST_F(WatchesTest, AnEmptyTableLeavesNobodyOut) {
  transport_.cache(kFrontend).denies = true;
  append("http://h/a", "id");
  run(seconds(30));
  EXPECT_EQ(pipeline_->unfinished(), 1u);
}

TEST_F(WatchesTest, ACacheThatIsDownIsTold) {
  transport_.stop_cache(kFrontend);
  const PurgeOutcome outcome = ask("http://h/a", seconds(8));
  EXPECT_FALSE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("target":"127.0.0.1:1001","outcome":"pending",)"),
            std::string::npos)
      << outcome.targets;
  EXPECT_NE(outcome.targets.find(R"("target_state":"down"})"), std::string::npos)
      << outcome.targets;
}

TEST_F(WatchesTest, ARefusedUrlIsFinishedWithItsStatus) {
  const PurgeOutcome outcome = ask("http://h/refused", seconds(8));
  EXPECT_TRUE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("outcome":"refused","status":400})"), std::string::npos)
      << outcome.targets;
}

TEST_F(WatchesTest, AHostThatIsNotOursIsFiltered) {
  const PurgeOutcome outcome = ask("http://denied/a", seconds(5));
  EXPECT_TRUE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("target":"127.0.0.1:1001","outcome":"filtered"})"),
            std::string::npos)
      << outcome.targets;
}

// The one before it may be answered between: then there is nothing left to ask the cache for.
TEST_F(WatchesTest, APurgeThatAnotherCoversSaysSo) {
  ASSERT_TRUE(watch("second", seconds(5)));
  append("http://h/a", "first");
  append("http://h/a", "second");
  run(seconds(3));
  ASSERT_TRUE(told_.has_value());
  EXPECT_TRUE(told_->finished);
}

TEST_F(WatchesTest, AnEventThatNeverComesIsToldWhenTheWaitIsOver) {
  ASSERT_TRUE(watch("never", seconds(2)));
  const MonoTime before = clock_.now();
  run(seconds(5));
  ASSERT_TRUE(told_.has_value());
  EXPECT_FALSE(told_->finished);
  EXPECT_LE(told_at_ - before, seconds(3));
}

TEST_F(WatchesTest, WhatIsForgottenIsNotToldAndMakesRoom) {
  for (std::size_t i = 0; i < ShardWatches::kMost; ++i) {
    ASSERT_TRUE(watch(std::to_string(i), seconds(20)));
  }
  EXPECT_FALSE(watch("more", seconds(20)));
  for (std::size_t i = 0; i < ShardWatches::kMost; ++i) watches_.forget(std::to_string(i));
  run(seconds(1));
  EXPECT_FALSE(watches_.any());
  EXPECT_FALSE(told_.has_value());
  EXPECT_TRUE(watch("more", seconds(1)));
  run(seconds(3));
  EXPECT_TRUE(told_.has_value());
}

TEST_F(WatchesTest, AtTheEndEverybodyIsToldAndNobodyIsLetIn) {
  transport_.stop_cache(kFrontend);
  ASSERT_TRUE(watch("id", seconds(30)));
  append("http://h/a", "id");
  run(seconds(2));
  EXPECT_FALSE(told_.has_value());
  watches_.close();
  ASSERT_TRUE(told_.has_value());
  EXPECT_FALSE(told_->finished);
  EXPECT_NE(told_->targets.find(kBackendPurged), std::string::npos) << told_->targets;
  EXPECT_FALSE(watch("late", seconds(1)));
}

}  // namespace
}  // namespace purgeline
