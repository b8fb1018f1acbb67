// The whole pipeline with fences: what they hold back, and what is read again for them.
#include <gtest/gtest.h>

#include <memory>

#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kBackend = LonePipeline::kBackend;
constexpr auto kFrontend = LonePipeline::kFrontend;

PurgeConfig fenced(std::uint64_t capacity = 100) {
  PurgeConfig config =
      LonePipeline::config_of({LonePipeline::layer_of("backend", kBackend, seconds(1)),
                               LonePipeline::layer_of("frontend", kFrontend, seconds(1))});
  config.behind_after = seconds(3);
  config.fence = {seconds(10), seconds(1), seconds(1), capacity};
  return config;
}

struct FencedPipeline : testing::Test {
  test::NoLetters letters;
};

TEST_F(FencedPipeline, CommitsAnEventWhenItsLastFenceIsAnswered) {
  LonePipeline bench(fenced(), letters);
  bench.start();
  bench.run(seconds(2));
  bench.append("h/page");
  bench.run(seconds(11));
  EXPECT_EQ(bench.purges(kFrontend, "h/page").size(), 1u);
  EXPECT_EQ(bench.committed(), 0);
  bench.transport.stop_cache(kFrontend);
  bench.run(seconds(2));
  EXPECT_EQ(bench.purges(kBackend, "h/page").size(), 2u);
  EXPECT_EQ(bench.committed(), 0);
  bench.transport.start_cache(kFrontend);
  bench.run(seconds(3));
  EXPECT_EQ(bench.purges(kFrontend, "h/page").size(), 2u);
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(FencedPipeline, TellsOfThem) {
  LonePipeline bench(fenced(), letters);
  bench.start();
  bench.append("h/page");
  bench.append("h/page");
  bench.run(seconds(5));
  MetricsSnapshot metrics;
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(metrics.shard.fences_open, 1);
  EXPECT_EQ(metrics.shard.fences_capacity, 100);
  EXPECT_GE(metrics.shard.fences_oldest, 4);
  const std::array<std::uint64_t, kFenceHow> events{1, 1, 0};
  EXPECT_EQ(metrics.shard.fence_events, events);
  bench.run(seconds(4));
  bench.append("h/page");
  bench.run(seconds(20));
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(metrics.shard.fences_open, 0);
  EXPECT_EQ(metrics.shard.fences_oldest, 0);
  const std::array<std::uint64_t, kFencePurges> purges{4, 0};
  EXPECT_EQ(metrics.shard.fence_purges, purges);
}

// However many come after it: what was finished in a step is committed when the fences up to it
// are.
TEST_F(FencedPipeline, CommitsWhileEventsGoOn) {
  LonePipeline bench(fenced(), letters);
  bench.start();
  for (int i = 0; i < 40; ++i) {
    bench.append("h/page" + std::to_string(i));
    bench.run(milliseconds(500));
  }
  EXPECT_GE(bench.committed(), 10);
  EXPECT_LE(bench.committed(), 20);
}

TEST_F(FencedPipeline, AStopCommitsNothingWhoseFenceIsOpen) {
  LonePipeline bench(fenced(), letters);
  bench.start();
  bench.append("h/first");
  bench.run(seconds(6));
  bench.append("h/second");
  bench.run(seconds(8));
  bench.pipeline->drain(bench.clock.now() + seconds(1));
  bench.run(milliseconds(100));
  EXPECT_TRUE(bench.pipeline->drained() || (bench.run(seconds(1)), bench.pipeline->drained()));
  EXPECT_EQ(bench.committed(), 1);
}

// The events that found no room are purged at once, and again for their fences when there is room.
TEST_F(FencedPipeline, ReadsAgainWhatTheTableHadNoRoomFor) {
  LonePipeline bench(fenced(2), letters);
  bench.start();
  bench.run(seconds(1));
  for (int i = 0; i < 5; ++i) bench.append("h/page" + std::to_string(i));
  bench.run(seconds(2));
  MetricsSnapshot metrics;
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(metrics.shard.fence_events[static_cast<std::size_t>(FenceHow::unregistered)], 3u);
  for (const ReadyCheck& check : metrics.ready) {
    EXPECT_EQ(check.name == "fences", check.detail.find("table is full") != std::string::npos);
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(bench.purges(kFrontend, "h/page" + std::to_string(i)).size(), 1u);
  }
  EXPECT_EQ(bench.committed(), 0);
  bench.run(seconds(60));
  for (int i = 0; i < 5; ++i) {
    const std::string url = "h/page" + std::to_string(i);
    EXPECT_GE(bench.purges(kBackend, url).back().handed - bench.purges(kBackend, url)[0].handed,
              seconds(11) - milliseconds(100));
    EXPECT_GE(bench.purges(kFrontend, url).back().handed,
              bench.purges(kBackend, url).back().answered + seconds(1));
  }
  EXPECT_EQ(bench.committed(), 5);
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(metrics.shard.fences_open, 0);
}

// What a target had before it was left out may lack its fence: it is purged of it when it is back.
TEST_F(FencedPipeline, ATargetThatIsBackIsFencedForWhatItHadBefore) {
  LonePipeline bench(fenced(), letters);
  bench.start();
  bench.append("h/page");
  bench.run(seconds(2));
  bench.transport.stop_cache(kFrontend);
  bench.append("h/other");
  bench.run(seconds(20));  // it is left out, and its fence is dropped
  ASSERT_EQ(bench.purges(kFrontend, "h/page").size(), 1u);
  EXPECT_EQ(bench.committed(), 0);
  bench.transport.start_cache(kFrontend);
  bench.run(seconds(20));
  EXPECT_GE(bench.purges(kFrontend, "h/page").size(), 2u);
  EXPECT_GE(bench.purges(kFrontend, "h/page").back().handed,
            bench.purges(kBackend, "h/page").back().answered + seconds(1));
  EXPECT_EQ(bench.committed(), 2);
}

// As on a machine whose log is Kafka, and always of the same topics.
void reload(LonePipeline& bench, const PurgeConfig& config) {
  LogConfig log;
  log.catch_up = {seconds(10), 10};
  log.kafka.brokers.push_back({"kafka:9092", "kafka", 9092, ""});
  log.kafka.topics = {LonePipeline::kTopic};
  HostMatcher hosts = *HostMatcher::make({}, {});
  ASSERT_EQ(bench.pipeline->reload(config, log, hosts), Pipeline::Reloaded::applied);
}

PurgeConfig unfenced() {
  PurgeConfig config = fenced();
  config.fence.fetch_time.reset();
  return config;
}

TEST_F(FencedPipeline, AReloadTurnsThemOffForNewEvents) {
  LonePipeline bench(fenced(), letters);
  bench.start();
  bench.append("h/before");
  bench.run(seconds(1));
  reload(bench, unfenced());
  bench.append("h/after");
  bench.run(seconds(20));
  EXPECT_EQ(bench.purges(kBackend, "h/before").size(), 2u);
  EXPECT_EQ(bench.purges(kBackend, "h/after").size(), 1u);
  EXPECT_EQ(bench.committed(), 2);
}

// The position that the reload has had committed is not gone back from, whatever the next turn
// opens.
TEST_F(FencedPipeline, AReloadTurnsThemOnWhileEventsCome) {
  constexpr int kEvents = 200;
  for (int when = 90; when < 110; ++when) {
    LonePipeline bench(unfenced(), letters);
    bench.start();
    for (int i = 0; i < kEvents; ++i) {
      bench.append("h/" + std::to_string(i));
      bench.run(milliseconds(1));
      if (i == when) reload(bench, fenced());
    }
    bench.run(seconds(2));
    EXPECT_GT(bench.committed(), 0);
    EXPECT_LT(bench.committed(), when);
    bench.run(seconds(20));
    EXPECT_EQ(bench.committed(), kEvents);
  }
}

}  // namespace
}  // namespace purgeline
