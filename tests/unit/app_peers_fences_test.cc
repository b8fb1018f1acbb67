// Fences of the frontends wait for those of the backends on other hosts.
#include <gtest/gtest.h>

#include "app_peers_support.h"

namespace purgeline::peers_test {
namespace {

TEST_F(FencedPeersTest, TheFrontendsFenceComesAHitTimeAfterThoseOfTheSlowestPeer) {
  start();
  bench.append("h/page");
  run_fenced(seconds(14), 1, 0, 0);
  ASSERT_EQ(backend("h/page").size(), 2u) << "the fence of the backend here waits for nobody";
  const std::size_t before = frontend("h/page").size();
  EXPECT_LE(frontend("h/page").back().handed, backend("h/page")[0].answered + seconds(2));
  EXPECT_EQ(snapshot().peers->waiting_fences, 1);
  run_fenced(seconds(2), 1, 1, 0);
  EXPECT_EQ(frontend("h/page").size(), before) << "p2 is not there yet";
  EXPECT_EQ(bench.committed(), 0);
  const MonoTime fenced = bench.clock.now();
  run_fenced(seconds(3), 1, 1, 1);
  ASSERT_EQ(frontend("h/page").size(), before + 1);
  EXPECT_GE(frontend("h/page").back().handed, fenced + seconds(1));
  EXPECT_LE(frontend("h/page").back().handed, fenced + seconds(2));
  EXPECT_EQ(bench.committed(), 1);
  EXPECT_EQ(bench.lines.count("peer left out"), 0);
  EXPECT_EQ(snapshot().peers->waiting_fences, 0);
}

TEST_F(FencedPeersTest, WherePeersWereFasterItComesAHitTimeAfterThatOfTheBackendHere) {
  start();
  bench.append("h/page");
  run_fenced(seconds(15), 1, 1, 1);
  ASSERT_EQ(backend("h/page").size(), 2u);
  const MonoTime answered = backend("h/page")[1].answered;
  EXPECT_GE(frontend("h/page").back().handed, answered + seconds(1));
  EXPECT_LE(frontend("h/page").back().handed, answered + milliseconds(1300));
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(FencedPeersTest, APeerThatHoldsBackAFenceIsLeftOutAndTheFenceDoneAgainWhenItIsHeard) {
  start();
  bench.append("h/page");
  run_fenced(seconds(17), 1, 1, 0);
  EXPECT_EQ(bench.lines.count("peer left out"), 0);
  const std::size_t before = frontend("h/page").size();
  run_fenced(seconds(5), 1, 1, 0);
  EXPECT_EQ(bench.lines.count("peer left out"), 1);
  EXPECT_EQ(of("p2").left_out, 1);
  EXPECT_EQ(of("p2").missed, 1);
  EXPECT_EQ(frontend("h/page").size(), before + 1);
  run_fenced(seconds(20), 1, 1, 0);
  EXPECT_EQ(of("p2").left_out, 1) << "it purges, but its fences do not keep up";
  EXPECT_EQ(bench.committed(), 0);
  const std::size_t late = frontend("h/page").size();
  const MonoTime fenced = bench.clock.now();
  run_fenced(seconds(4), 1, 1, 1);
  EXPECT_EQ(of("p2").left_out, 0);
  EXPECT_EQ(of("p2").missed, 0);
  ASSERT_GT(frontend("h/page").size(), late);
  EXPECT_GE(frontend("h/page").back().handed, fenced + seconds(1));
  EXPECT_EQ(backend("h/page").size(), 2u) << "the backend has nothing to do with it";
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(FencedPeersTest, WhatAPeerMissedIsDoneWhenItHasPurgedItAndWhenItHasFencedIt) {
  start();
  bench.append("h/page");
  run_hearing(seconds(7), "p1", 1);
  ASSERT_EQ(of("p2").left_out, 1);
  const std::size_t before = frontend("h/page").size();
  run_fenced(seconds(3), 1, 1, 0);
  EXPECT_EQ(of("p2").left_out, 0);
  EXPECT_EQ(bench.lines.count("peer has caught up"), 1);
  EXPECT_EQ(frontend("h/page").size(), before + 1);
  EXPECT_EQ(of("p2").missed, 1) << "its fence is open";
  run_fenced(seconds(5), 1, 1, 0);
  EXPECT_EQ(of("p2").missed, 1);
  EXPECT_EQ(frontend("h/page").size(), before + 1);
  const MonoTime fenced = bench.clock.now();
  run_fenced(seconds(4), 1, 1, 1);
  EXPECT_GE(frontend("h/page").back().handed, fenced + seconds(1));
  EXPECT_EQ(of("p2").missed, 0);
  EXPECT_EQ(bench.lines.count("peer has caught up"), 1) << "said once";
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(FencedPeersTest, OfABacklogOnlyWhatAPeerHasNotFencedIsDoneAgain) {
  bench.append("h/old");
  bench.append("h/older");
  bench.clock.advance(seconds(60));
  bench.start();
  link.hear_fenced("p1", 2, 2);
  link.hear_fenced("p2", 2, 1);
  run_fenced(seconds(5), 2, 2, 1);
  ASSERT_EQ(bench.lines.count("catching up"), 1);
  EXPECT_EQ(frontend("h/old").size(), 1u) << "it does not wait";
  EXPECT_EQ(frontend("h/older").size(), 1u);
  EXPECT_EQ(of("p1").missed, 0);
  EXPECT_EQ(of("p2").missed, 1);
  EXPECT_EQ(bench.committed(), 1);
  const MonoTime fenced = bench.clock.now();
  run_fenced(seconds(4), 2, 2, 2);
  EXPECT_EQ(frontend("h/old").size(), 1u);
  ASSERT_EQ(frontend("h/older").size(), 2u);
  EXPECT_GE(frontend("h/older")[1].handed, fenced + seconds(1));
  EXPECT_EQ(bench.committed(), 2);
}

// A fence that found no room is registered by a backlog, which does not wait.
TEST_F(FencedPeersTest, AFenceThatFoundNoRoomIsDoneAgainAsWell) {
  bench.config.fence.capacity = 2;
  start();
  for (int i = 0; i < 4; ++i) bench.append("h/page" + std::to_string(i));
  run_fenced(seconds(60), 4, 4, 0);
  ASSERT_GT(snapshot().shard.fence_events[static_cast<std::size_t>(FenceHow::unregistered)], 0u);
  EXPECT_EQ(bench.committed(), 0);
  const MonoTime fenced = bench.clock.now();
  run_fenced(seconds(20), 4, 4, 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_GE(frontend("h/page" + std::to_string(i)).back().handed, fenced + seconds(1)) << i;
  }
  EXPECT_EQ(bench.committed(), 4);
}

// Its offsets begin anew, so nobody will ever say that the former ones are fenced.
TEST_F(FencedPeersTest, WhatWaitsInALogThatIsMadeAnewHoldsNobodyBack) {
  start();
  for (int i = 0; i < 3; ++i) bench.append("h/page" + std::to_string(i));
  run_fenced(seconds(14), 3, 0, 0);
  ASSERT_EQ(snapshot().peers->waiting_fences, 3);
  bench.log.recreate_topic(LonePipeline::kTopic);
  run_fenced(seconds(4), 0, 0, 0);
  EXPECT_EQ(snapshot().peers->waiting_fences, 0);
  EXPECT_EQ(bench.lines.count("peer left out"), 0);
}

// Each other's frontends, and the second one gets the event later.
TEST_F(FencedPeersTest, TwoHostsWaitForEachOthersBackendsAndNotForEver) {
  FakePeers link_a{"a"}, link_b{"b"};
  LonePipeline a(fenced_among({"a", "b"}), letters), b(fenced_among({"a", "b"}), letters);
  a.peers = &link_a;
  b.peers = &link_b;
  a.start();
  b.start();
  const auto run = [&](Duration duration) {
    for (Duration done{0}; done < duration; done += milliseconds(50)) {
      if (!link_a.said.empty()) link_b.hear({"a", link_a.said.back()});
      if (!link_b.said.empty()) link_a.hear({"b", link_b.said.back()});
      a.run(milliseconds(50));
      b.run(milliseconds(50));
    }
  };
  run(seconds(2));
  a.append("h/page");
  run(seconds(2));
  b.append("h/page");
  run(seconds(18));
  for (LonePipeline* host : {&a, &b}) {
    EXPECT_EQ(host->committed(), 1);
    EXPECT_EQ(host->lines.count("peer left out"), 0);
    ASSERT_EQ(host->purges(kBackend, "h/page").size(), 2u);
  }
  const MonoTime slowest = b.purges(kBackend, "h/page")[1].answered;
  ASSERT_GT(slowest, a.purges(kBackend, "h/page")[1].answered + seconds(1));
  for (LonePipeline* host : {&a, &b}) {
    EXPECT_GE(host->purges(kFrontend, "h/page").back().handed, slowest + seconds(1));
  }
}

// ---- what this host says of them

TEST_F(FencedPeersTest, AFenceIsToldWhenTheBackendHasAnsweredItWhateverTheFrontendDoes) {
  start();
  bench.append("h/page");
  bench.run(milliseconds(500));
  bench.transport.stop_cache(kFrontend);
  bench.run(seconds(10));
  ASSERT_EQ(backend("h/page").size(), 1u);
  EXPECT_EQ(link.said.back()[0].purged, Offset{1});
  EXPECT_EQ(link.said.back()[0].fenced, Offset{0});
  bench.run(seconds(3));
  ASSERT_EQ(backend("h/page").size(), 2u);
  EXPECT_EQ(link.said.back()[0].fenced, Offset{1});
  EXPECT_EQ(bench.committed(), 0);
}

// However many come after it.
TEST_F(FencedPeersTest, FencesAreToldWhileEventsGoOn) {
  start(1000);
  for (int i = 0; i < 40; ++i) {
    bench.append("h/page" + std::to_string(i));
    bench.run(milliseconds(500));
  }
  EXPECT_GE(link.said.back()[0].fenced.value(), 12);
  EXPECT_LE(link.said.back()[0].fenced.value(), 18);
  EXPECT_GE(link.said.back()[0].purged.value(), 39);
}

TEST_F(FencedPeersTest, WhatABackendMissesIsAGapOfItsFencesForLonger) {
  start(1000);
  bench.transport.stop_cache(kBackend);
  bench.append("h/one");
  bench.run(seconds(30));
  ASSERT_EQ(bench.lines.count("target behind"), 1);
  EXPECT_EQ(link.said.back()[0].fenced, Offset{1});
  EXPECT_EQ(link.said.back()[0].fence_gap_to, Offset{1});
  bench.transport.start_cache(kBackend);
  const auto gaps = [this] {
    const PeerMark& mark = link.said.back()[0];
    return std::pair(mark.gap_from < mark.gap_to, mark.fence_gap_from < mark.fence_gap_to);
  };
  for (int i = 0; i < 200 && gaps().first; ++i) bench.run(milliseconds(100));
  EXPECT_EQ(gaps(), std::pair(false, true));
  bench.run(seconds(9));
  EXPECT_EQ(gaps(), std::pair(false, true));
  bench.run(seconds(6));
  EXPECT_EQ(gaps(), std::pair(false, false));
}

TEST_F(FencedPeersTest, EveryMetricOfPeersChanges) {
  std::map<std::string, std::set<std::string>> seen;
  const auto look = [&] {
    std::istringstream text(render_metrics(snapshot(), ProcessMetrics{}, ProcessStats{},
                                           BuildInfo{}, MetricsCompat::off));
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with("purgeline_peer")) continue;
      const std::string name = line.substr(0, line.find_first_of("{ "));
      seen[name].insert(line.substr(line.rfind(' ')));
    }
  };
  start();
  look();
  bench.append("h/page");
  bench.run(seconds(1));
  look();
  run_fenced(seconds(14), 1, 1, 0);
  look();
  run_fenced(seconds(6), 1, 1, 0);
  look();
  for (const MetricRow& row : native_metrics()) {
    const std::string name(row.name);
    if (!name.starts_with("purgeline_peer")) continue;
    EXPECT_GE(seen[name].size(), 2u) << name;
  }
}

}  // namespace
}  // namespace purgeline::peers_test
