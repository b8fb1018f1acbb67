// The whole pipeline with somebody who waits for one event: what he is told of each cache.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "app/shard_watches.h"
#include "sim/lone_pipeline.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kBackend = LonePipeline::kBackend;
constexpr auto kFrontend = LonePipeline::kFrontend;

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

PurgeConfig two_layers() {
  PurgeConfig config =
      LonePipeline::config_of({LonePipeline::layer_of("backend", kBackend, seconds(5)),
                               LonePipeline::layer_of("frontend", kFrontend, seconds(5))});
  config.layer_deadline = seconds(60);
  config.coalesce.capacity = 10000;  // of which `bytes` allows a tenth, of the longest URLs
  return config;
}

class WatchesTest : public ::testing::Test {
 protected:
  WatchesTest() {
    lone_.start({"denied"}, &watches_);
    run(seconds(1));
  }

  [[nodiscard]] bool watch(const std::string& id, Duration wait) {
    return watches_.watch(id, wait, [this](PurgeOutcome outcome) {
      EXPECT_FALSE(told_.has_value()) << "once";
      told_ = std::move(outcome);
      told_at_ = lone_.clock.now();
    });
  }
  void append(const std::string& url, const std::string& id) { lone_.append(url, id); }
  void run(Duration duration) { lone_.run(duration); }
  // What is told of a purge that somebody waits for `wait` for.
  PurgeOutcome ask(const std::string& url, Duration wait) {
    EXPECT_TRUE(watch("id", wait));
    asked_at_ = lone_.clock.now();
    append(url, "id");
    run(wait + seconds(2));
    EXPECT_TRUE(told_.has_value());
    EXPECT_FALSE(watches_.any());
    return told_.value_or(PurgeOutcome{});
  }

  NoDeadLetters letters_;
  LonePipeline lone_{two_layers(), letters_, seconds(1)};
  ShardWatches watches_{lone_.config.layers};
  std::optional<PurgeOutcome> told_;
  MonoTime told_at_{};
  MonoTime asked_at_{};
};

constexpr const char* kBackendPurged =
    R"({"layer":"backend","target":"127.0.0.1:1000","outcome":"purged","status":200})";

TEST_F(WatchesTest, EachTargetsAnswerIsTold) {
  const PurgeOutcome outcome = ask("h/a", seconds(5));
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.targets, "[" + std::string(kBackendPurged) +
                                 R"(,{"layer":"frontend","target":"127.0.0.1:1001",)" +
                                 R"("outcome":"purged","status":200}])");
  EXPECT_LT(told_at_ - asked_at_, seconds(1)) << "as soon as it is known";
}

TEST_F(WatchesTest, ASlowCacheIsWaitedFor) {
  lone_.transport.cache(kFrontend).latency = milliseconds(1500);
  const PurgeOutcome outcome = ask("h/a", seconds(4));
  EXPECT_TRUE(outcome.finished);
  EXPECT_GE(told_at_ - asked_at_, milliseconds(1500));
}

TEST_F(WatchesTest, ASlowCacheIsPendingWhenTheWaitIsOver) {
  lone_.transport.cache(kFrontend).latency = milliseconds(1500);
  const PurgeOutcome outcome = ask("h/a", seconds(1));
  EXPECT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.targets.substr(0, 1 + std::string(kBackendPurged).size()),
            "[" + std::string(kBackendPurged));
  EXPECT_NE(outcome.targets.find(R"("outcome":"pending","target_state":"up"})"), std::string::npos)
      << outcome.targets;
  EXPECT_EQ(told_at_ - asked_at_, seconds(1));
}

TEST_F(WatchesTest, ACacheThatDeniesIsTold) {
  lone_.transport.cache(kFrontend).denies = true;
  const PurgeOutcome outcome = ask("h/a", seconds(8));
  EXPECT_FALSE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("outcome":"pending","last_attempt":"denied","status":405,)"
                                 R"("target_state":"denied"})"),
            std::string::npos)
      << outcome.targets;
}

// With one event unfinished the table is not full, however long URLs might be.
TEST_F(WatchesTest, AnEmptyTableLeavesNobodyOut) {
  lone_.transport.cache(kFrontend).denies = true;
  append("h/a", "id");
  run(seconds(30));
  EXPECT_EQ(lone_.pipeline->unfinished(), 1u);
}

TEST_F(WatchesTest, ACacheThatIsDownIsTold) {
  lone_.transport.stop_cache(kFrontend);
  const PurgeOutcome outcome = ask("h/a", seconds(8));
  EXPECT_FALSE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("target":"127.0.0.1:1001","outcome":"pending",)"),
            std::string::npos)
      << outcome.targets;
  EXPECT_NE(outcome.targets.find(R"("target_state":"down"})"), std::string::npos)
      << outcome.targets;
}

TEST_F(WatchesTest, ARefusedUrlIsFinishedWithItsStatus) {
  const PurgeOutcome outcome = ask("h/refused", seconds(8));
  EXPECT_TRUE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("outcome":"refused","status":400})"), std::string::npos)
      << outcome.targets;
}

TEST_F(WatchesTest, AHostThatIsNotOursIsFiltered) {
  const PurgeOutcome outcome = ask("denied/a", seconds(5));
  EXPECT_TRUE(outcome.finished);
  EXPECT_NE(outcome.targets.find(R"("target":"127.0.0.1:1001","outcome":"filtered"})"),
            std::string::npos)
      << outcome.targets;
}

// Both changes were made before the daemon started. The second finds no room in the table until
// one of those before it is purged everywhere, which the first is first.
TEST(Watches, APurgeThatAnotherCoversSaysSo) {
  NoDeadLetters letters;
  PurgeConfig config = two_layers();
  config.coalesce.capacity = 100;
  LonePipeline lone(config, letters, seconds(1));
  ShardWatches watches(config.layers);
  lone.append("h/a", "first");
  for (int i = 0; i < 99; ++i) lone.append("h/" + std::to_string(i));
  lone.append("h/a", "second");
  std::optional<PurgeOutcome> told;
  ASSERT_TRUE(watches.watch("second", seconds(30),
                            [&](PurgeOutcome outcome) { told = std::move(outcome); }));
  lone.clock.advance(seconds(5));  // more than clocks may differ, and no backlog yet
  lone.start({}, &watches);
  lone.run(seconds(20));
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(told->finished);
  EXPECT_EQ(told->targets,
            R"([{"layer":"backend","target":"127.0.0.1:1000","outcome":"covered"},)"
            R"({"layer":"frontend","target":"127.0.0.1:1001","outcome":"purged","status":200}])");
  EXPECT_EQ(lone.purges(kBackend, "h/a").size(), 1u);
}

TEST_F(WatchesTest, ACacheThatIsLeftOutIsBehind) {
  lone_.transport.stop_cache(kFrontend);
  append("h/before", "before");
  run(seconds(90));
  const PurgeOutcome outcome = ask("h/a", seconds(5));
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.targets, "[" + std::string(kBackendPurged) +
                                 R"(,{"layer":"frontend","target":"127.0.0.1:1001",)" +
                                 R"("outcome":"behind"}])");
  EXPECT_LT(told_at_ - asked_at_, seconds(2)) << "nobody waits for it";
}

TEST_F(WatchesTest, AnEventThatNeverComesIsToldWhenTheWaitIsOver) {
  ASSERT_TRUE(watch("never", seconds(2)));
  const MonoTime before = lone_.clock.now();
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
  lone_.transport.stop_cache(kFrontend);
  ASSERT_TRUE(watch("id", seconds(30)));
  append("h/a", "id");
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
