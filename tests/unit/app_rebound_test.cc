// The whole pipeline with rebounds: further purges of each event's URL at fixed delays.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kBackend = LonePipeline::kBackend;
constexpr auto kFrontend = LonePipeline::kFrontend;
// Of the grid, whatever L + F is below: and what a purge may take.
constexpr Duration kStep = Duration(seconds(11)) / 16 + milliseconds(50);

PurgeConfig with(std::vector<Duration> rebound, bool fence = false, std::uint64_t capacity = 100) {
  PurgeConfig config =
      LonePipeline::config_of({LonePipeline::layer_of("backend", kBackend, seconds(1)),
                               LonePipeline::layer_of("frontend", kFrontend, seconds(1))});
  config.behind_after = seconds(10);
  config.fence = {seconds(10), seconds(1), seconds(1), capacity};
  if (!fence) config.fence.fetch_time.reset();
  config.rebound = std::move(rebound);
  return config;
}

void reload(LonePipeline& bench, const PurgeConfig& config) {
  HostMatcher hosts = *HostMatcher::make({}, {});
  ASSERT_EQ(bench.pipeline->reload(config, bench.log_config, hosts), Pipeline::Reloaded::applied);
}

struct ReboundPipeline : testing::Test {
  test::NoLetters letters;
};

// When the purges of a URL came, from its first one on.
std::vector<Duration> delays(LonePipeline& bench, std::uint16_t cache, const std::string& url) {
  std::vector<Duration> found;
  const auto purges = bench.purges(cache, url);
  for (const auto& purge : purges) found.push_back(purge.handed - purges.front().handed);
  return found;
}

TEST_F(ReboundPipeline, PurgesAgainAtEachDelayOnBothLayersInOrder) {
  for (const bool fence : {false, true}) {
    LonePipeline bench(with({seconds(3), seconds(30)}, fence), letters);
    bench.start();
    bench.append("h/page");
    bench.run(seconds(40));
    std::vector<Duration> expected{seconds(0), seconds(3), seconds(30)};
    if (fence) expected.insert(expected.begin() + 2, seconds(11));
    const auto backend = bench.purges(kBackend, "h/page");
    const auto frontend = bench.purges(kFrontend, "h/page");
    ASSERT_EQ(backend.size(), expected.size());
    ASSERT_EQ(frontend.size(), expected.size());
    for (std::size_t i = 1; i < expected.size(); ++i) {
      const Duration after = backend[i].handed - backend[0].handed;
      EXPECT_GE(after, expected[i] - milliseconds(20));
      EXPECT_LE(after, expected[i] + kStep);
      EXPECT_GE(frontend[i].handed, backend[i].answered + seconds(1)) << "a hit time later";
      EXPECT_LE(frontend[i].handed, backend[i].answered + seconds(1) + milliseconds(50));
    }
    EXPECT_EQ(bench.committed(), 1);
  }
}

// In a storm what is due in one step of the grid is one purge, and the last event has its own.
TEST_F(ReboundPipeline, EventsOfOneUrlShareThemByTheGrid) {
  LonePipeline bench(with({seconds(20)}), letters);
  bench.start();
  for (int i = 0; i < 50; ++i) {  // five seconds
    bench.append("h/page");
    bench.run(milliseconds(100));
  }
  const MonoTime last = bench.clock.now() - milliseconds(100);
  bench.run(seconds(30));
  const auto purges = bench.purges(kBackend, "h/page");
  MetricsSnapshot metrics;
  bench.pipeline->snapshot(metrics);
  const auto& rebounds = metrics.shard.rebounds;
  EXPECT_GE(rebounds[0], 7u);
  EXPECT_LE(rebounds[0], 9u);
  EXPECT_EQ(rebounds[0] + rebounds[1], 50u);
  EXPECT_EQ(metrics.shard.fence_purges[0], 2 * rebounds[0]) << "one on each cache";
  EXPECT_GE(purges.back().handed, last + seconds(20));
  EXPECT_EQ(metrics.shard.fence_events[0], 0u);
  EXPECT_EQ(bench.committed(), 50);
}

TEST_F(ReboundPipeline, OneThatIsDueWithTheFenceIsTheSamePurge) {
  LonePipeline bench(with({seconds(11)}, true), letters);
  bench.start();
  bench.append("h/page");
  bench.run(seconds(20));
  EXPECT_EQ(bench.purges(kBackend, "h/page").size(), 2u);
  MetricsSnapshot metrics;
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(metrics.shard.rebounds[0], 1u);
  EXPECT_EQ(metrics.shard.fence_purges[0], 2u) << "one on each cache";
}

TEST_F(ReboundPipeline, TheCommitWaitsForTheLastAnswer) {
  LonePipeline bench(with({seconds(3), seconds(20)}), letters);
  bench.start();
  bench.append("h/page");
  bench.run(seconds(19));
  EXPECT_EQ(bench.purges(kFrontend, "h/page").size(), 2u);
  EXPECT_EQ(bench.committed(), 0);
  bench.transport.stop_cache(kFrontend);
  bench.run(seconds(4));
  EXPECT_EQ(bench.purges(kBackend, "h/page").size(), 3u);
  EXPECT_EQ(bench.committed(), 0);
  bench.transport.start_cache(kFrontend);
  bench.run(seconds(10));
  EXPECT_EQ(bench.committed(), 1);
}

// The positions of what came long before do not wait for what has come since.
TEST_F(ReboundPipeline, CommitsWhileEventsGoOn) {
  LonePipeline bench(with({seconds(60)}, true, 1000), letters);
  bench.config.coalesce.capacity = 1000;
  bench.start();
  for (int i = 0; i < 200; ++i) {
    bench.append("h/page" + std::to_string(i));
    bench.run(milliseconds(500));
  }
  EXPECT_GE(bench.committed(), 60);
  EXPECT_LE(bench.committed(), 80);
}

TEST_F(ReboundPipeline, ACrashBetweenThePurgeAndItsReboundLosesNone) {
  LonePipeline bench(with({seconds(5), seconds(20)}), letters);
  bench.start();
  bench.append("h/page");
  const MonoTime came = bench.clock.now();
  bench.run(seconds(10));
  ASSERT_EQ(bench.purges(kBackend, "h/page").size(), 2u);
  bench.start();
  bench.run(seconds(40));
  const auto purges = bench.purges(kBackend, "h/page");
  EXPECT_GE(purges.size(), 4u);
  EXPECT_GE(purges.back().handed, came + seconds(20));
  EXPECT_GE(bench.purges(kFrontend, "h/page").back().handed, purges.back().answered + seconds(1));
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(ReboundPipeline, AStopCommitsNothingThatOwesOne) {
  LonePipeline bench(with({seconds(20)}), letters);
  bench.start();
  bench.append("h/page");
  bench.run(seconds(6));
  bench.pipeline->drain(bench.clock.now() + seconds(1));
  bench.run(seconds(2));
  EXPECT_TRUE(bench.pipeline->drained());
  EXPECT_EQ(bench.committed(), 0);
}

TEST_F(ReboundPipeline, AReloadCountsForNewEvents) {
  LonePipeline bench(with({seconds(3)}), letters);
  bench.start();
  bench.append("h/before");
  bench.run(seconds(1));
  reload(bench, with({seconds(5), seconds(7)}));
  bench.append("h/since");
  bench.run(seconds(1));
  reload(bench, with({}));
  bench.append("h/after");
  bench.run(seconds(20));
  EXPECT_EQ(delays(bench, kBackend, "h/before").size(), 2u);
  EXPECT_EQ(delays(bench, kBackend, "h/since").size(), 3u);
  EXPECT_EQ(delays(bench, kBackend, "h/after").size(), 1u);
  EXPECT_EQ(bench.committed(), 3);
}

// Of one event there is room for the first rebound only: it is read again for the second.
TEST_F(ReboundPipeline, WhatFoundNoRoomIsReadAgain) {
  LonePipeline bench(with({seconds(3), seconds(6)}, false, 7), letters);
  bench.start();
  bench.run(seconds(1));
  for (int i = 0; i < 5; ++i) bench.append("h/page" + std::to_string(i));
  const MonoTime came = bench.clock.now();
  bench.run(seconds(2));
  MetricsSnapshot metrics;
  bench.pipeline->snapshot(metrics);
  const std::array<std::uint64_t, kFenceHow> full{7, 0, 3};
  EXPECT_EQ(metrics.shard.rebounds, full);
  EXPECT_EQ(bench.committed(), 0);
  bench.run(seconds(60));
  for (int i = 0; i < 5; ++i) {
    const std::string url = "h/page" + std::to_string(i);
    EXPECT_GE(bench.purges(kBackend, url).back().handed, came + seconds(6)) << url;
    EXPECT_GE(bench.purges(kFrontend, url).back().handed, came + seconds(6)) << url;
  }
  EXPECT_EQ(bench.committed(), 5);
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(metrics.shard.fences_open, 0);
  EXPECT_EQ(metrics.shard.rebounds[2], 3u) << "a backlog is read as there is room for all of each";
}

}  // namespace
}  // namespace purgeline
