// The whole pipeline among other hosts, which are played by the test: what the frontend gets when,
// what is committed, and what this host says of itself.
#include <gtest/gtest.h>

#include "app_peers_support.h"

namespace purgeline::peers_test {
namespace {

TEST_F(PeersTest, TheFrontendIsPurgedAtOnceAndAgainWhenTheSlowestPeerHasPassed) {
  start();
  bench.append("h/page");
  bench.run(seconds(1));
  ASSERT_EQ(frontend("h/page").size(), 1u) << "at once";
  EXPECT_GE(frontend("h/page")[0].received, backend("h/page")[0].answered);
  link.hear("p1", 1);
  bench.run(seconds(1));
  EXPECT_EQ(frontend("h/page").size(), 1u) << "p2 is not there yet";
  EXPECT_EQ(bench.committed(), 0);
  EXPECT_EQ(snapshot().peers->waiting, 1);
  const MonoTime passed = bench.clock.now();
  link.hear("p2", 1);
  bench.run(seconds(2));
  ASSERT_EQ(frontend("h/page").size(), 2u);
  EXPECT_GE(frontend("h/page")[1].handed, passed);
  EXPECT_EQ(bench.committed(), 1);
  EXPECT_EQ(backend("h/page").size(), 1u);
  EXPECT_EQ(snapshot().peers->waiting, 0);
  EXPECT_EQ(snapshot().peers->sent_first, 1u);
}

TEST_F(PeersTest, WhatAllPeersHavePassedAlreadyIsPurgedOnce) {
  start(5);
  bench.append("h/page");
  bench.run(seconds(2));
  EXPECT_EQ(frontend("h/page").size(), 1u);
  EXPECT_EQ(bench.committed(), 1);
}

// The peers were purged after what covers it here: a frontend may have been filled from there
// since.
TEST_F(PeersTest, WhatPeersHavePassedIsNotCoveredByAPurgeBeforeThat) {
  // So that the page's purge of the frontend begins well after the backend's answer.
  constexpr int kOthers = 6;
  bench.config.coalesce.clock_margin = milliseconds(10);
  bench.transport.cache(kFrontend).latency = milliseconds(3);
  start(kOthers + 1);
  bench.run(milliseconds(20));  // the end of the log is looked at ten times a second
  for (int i = 0; i < kOthers; ++i) bench.append("h/" + std::to_string(i));
  bench.append("h/page");
  bench.run(milliseconds(40));
  link.hear("p1", kOthers + 2);
  link.hear("p2", kOthers + 2);
  bench.run(milliseconds(5));
  const MonoTime heard = bench.clock.now();
  bench.log.append(LonePipeline::kTopic, 0, bench.clock.wall() - seconds(1),
                   R"({"meta":{"uri":"http://h/page"}})");
  bench.run(seconds(2));
  EXPECT_EQ(backend("h/page").size(), 1u) << "it is covered here";
  ASSERT_EQ(frontend("h/page").size(), 2u);
  EXPECT_GE(frontend("h/page")[1].handed, heard);
  EXPECT_EQ(bench.committed(), kOthers + 2);
}

// Peers that are ready before the backend here: nothing is sent twice.
TEST_F(PeersTest, APeerThatIsFasterThanTheBackendHereCostsNothing) {
  start();
  bench.transport.cache(kBackend).latency = milliseconds(500);
  bench.append("h/page");
  bench.run(milliseconds(100));
  link.hear("p1", 1);
  link.hear("p2", 1);
  bench.run(seconds(2));
  ASSERT_EQ(frontend("h/page").size(), 1u);
  EXPECT_GE(frontend("h/page")[0].handed, backend("h/page")[0].answered);
  EXPECT_EQ(bench.committed(), 1);
}

// Though it starts well after the backend here has answered: another one was in flight.
TEST_F(PeersTest, TheFirstPurgeDoesNotStandForTheSecond) {
  start();
  bench.transport.cache(kFrontend).latency = milliseconds(300);
  bench.append("h/page");
  bench.run(milliseconds(20));
  bench.append("h/page");
  bench.run(seconds(1));
  ASSERT_EQ(frontend("h/page").size(), 2u);
  ASSERT_GT(frontend("h/page")[1].handed, backend("h/page")[1].answered);
  const MonoTime passed = bench.clock.now();
  link.hear("p1", 2);
  link.hear("p2", 2);
  bench.run(seconds(2));
  EXPECT_GE(frontend("h/page").back().handed, passed);
  EXPECT_EQ(bench.committed(), 2);
}

// What was sent ahead of a slow backend does not count as the purge after it.
TEST_F(PeersTest, ABackendThatAnswersAfterTheLayerDeadlineIsFollowedAtOnce) {
  start();
  bench.transport.cache(kBackend).latency = seconds(3);
  bench.append("h/page");
  bench.run(seconds(2));
  EXPECT_EQ(frontend("h/page").size(), 1u) << "layer_deadline";
  bench.run(seconds(2));
  ASSERT_EQ(frontend("h/page").size(), 2u) << "the backend here has answered";
  EXPECT_GE(frontend("h/page")[1].handed, backend("h/page")[0].answered);
  link.hear("p1", 1);
  link.hear("p2", 1);
  bench.run(seconds(1));
  EXPECT_EQ(frontend("h/page").size(), 3u) << "and the peers";
}

TEST_F(PeersTest, ASilentPeerIsLeftOutAndWhatItMissedIsDoneWhenItIsHeardAgain) {
  start();
  bench.append("h/first");
  run_hearing(seconds(4), "p1", 1);
  EXPECT_EQ(frontend("h/first").size(), 1u);
  run_hearing(seconds(3), "p1", 1);
  EXPECT_EQ(frontend("h/first").size(), 2u) << "barrier_deadline is over";
  EXPECT_EQ(bench.lines.count("peer left out"), 1);
  EXPECT_EQ(of("p2").left_out, 1);
  EXPECT_EQ(of("p2").times_left_out, 1u);
  EXPECT_EQ(of("p1").left_out, 0);
  EXPECT_EQ(bench.committed(), 0) << "p2 has not purged it";
  // Nobody waits for it any more.
  bench.append("h/second");
  run_hearing(seconds(2), "p1", 2);
  EXPECT_LE(frontend("h/second").size(), 2u);
  EXPECT_EQ(snapshot().peers->waiting, 0);
  EXPECT_EQ(of("p2").missed, 2);
  EXPECT_EQ(bench.lines.count("peer left out"), 1) << "said once";
  // It is heard, but has not purged what it missed.
  run_hearing(seconds(8), "p1", 2);
  const std::size_t before = frontend("h/first").size();
  link.hear("p2", 0);
  run_hearing(seconds(2), "p1", 2);
  EXPECT_EQ(of("p2").left_out, 1);
  EXPECT_EQ(frontend("h/first").size(), before);
  EXPECT_EQ(bench.committed(), 0);
  // It has.
  const MonoTime passed = bench.clock.now();
  run_hearing(milliseconds(500), "p2", 2);
  run_hearing(milliseconds(500), "p2", 2);
  bench.run(seconds(2));
  EXPECT_EQ(of("p2").left_out, 0);
  EXPECT_EQ(bench.lines.count("peer waited for again"), 1);
  EXPECT_EQ(bench.lines.count("peer has caught up"), 1);
  for (const char* url : {"h/first", "h/second"}) {
    EXPECT_GE(frontend(url).back().handed, passed) << url;
    EXPECT_EQ(backend(url).size(), 1u) << "the backend has nothing to do with it";
  }
  EXPECT_EQ(of("p2").missed, 0);
  EXPECT_EQ(bench.committed(), 2);
}

TEST_F(PeersTest, APeerThatHasABackendAwayIsLeftOutAsWell) {
  start();
  bench.append("h/page");
  for (int i = 0; i < 14; ++i) {
    link.hear("p1", 1);
    link.hear("p2", 1, 0, 1);
    bench.run(milliseconds(500));
  }
  EXPECT_EQ(of("p2").left_out, 1);
  EXPECT_EQ(frontend("h/page").size(), 2u);
  EXPECT_EQ(bench.committed(), 0);
  for (int i = 0; i < 4; ++i) {
    link.hear("p2", 1);
    bench.run(milliseconds(500));
  }
  EXPECT_EQ(frontend("h/page").size(), 3u);
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(PeersTest, AMarkThatGoesBackConcernsNewEventsOnly) {
  start();
  bench.append("h/old");
  link.hear("p1", 1);
  link.hear("p2", 1);
  bench.run(seconds(2));
  const std::size_t before = frontend("h/old").size();
  link.hear("p1", 0);
  bench.append("h/new");
  link.hear("p2", 2);
  bench.run(seconds(2));
  EXPECT_EQ(frontend("h/old").size(), before);
  EXPECT_EQ(frontend("h/new").size(), 1u);
  EXPECT_EQ(bench.committed(), 1);
  link.hear("p1", 2);
  bench.run(seconds(2));
  EXPECT_EQ(frontend("h/new").size(), 2u);
  EXPECT_EQ(bench.committed(), 2);
}

TEST_F(PeersTest, APeerThatIsNeverHeardIsGivenTheDeadlineOnce) {
  bench.start();
  bench.run(seconds(2));
  bench.append("h/one");
  bench.run(seconds(7));
  EXPECT_EQ(bench.lines.count("peer left out"), 2);
  EXPECT_EQ(frontend("h/one").size(), 2u);
  bench.append("h/two");
  bench.run(seconds(2));
  EXPECT_EQ(frontend("h/two").size(), 1u) << "nobody is waited for, so once is enough";
  EXPECT_EQ(bench.committed(), 0);
}

// A backlog does not wait; what peers have not purged of it is remembered.
TEST_F(PeersTest, ABacklogIsPurgedAgainWhenThePeerHasPassedIt) {
  bench.append("h/old");
  bench.clock.advance(seconds(60));
  bench.start();
  link.hear("p1", 1);
  link.hear("p2", 1, 0, 1);
  bench.run(seconds(3));
  ASSERT_EQ(bench.lines.count("catching up"), 1);
  EXPECT_EQ(frontend("h/old").size(), 1u) << "p2 is not waited for";
  EXPECT_EQ(bench.lines.count("peer left out"), 0);
  EXPECT_EQ(of("p2").missed, 1);
  EXPECT_EQ(of("p1").missed, 0);
  EXPECT_EQ(bench.committed(), 0);
  link.hear("p2", 1);
  bench.run(seconds(3));
  EXPECT_EQ(frontend("h/old").size(), 2u);
  EXPECT_EQ(backend("h/old").size(), 1u);
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(PeersTest, ABacklogBeginsWhenPeersWereHeard) {
  bench.append("h/old");
  bench.clock.advance(seconds(60));
  bench.start();
  bench.run(seconds(3));
  EXPECT_EQ(backend("h/old").size(), 0u);
  link.hear("p1", 1);
  link.hear("p2", 1);
  bench.run(seconds(3));
  EXPECT_EQ(frontend("h/old").size(), 1u);
  EXPECT_EQ(bench.committed(), 1) << "they had purged it before, so once is enough";
}

TEST_F(PeersTest, ARestartFindsWhatAPeerHasMissed) {
  start();
  bench.append("h/page");
  run_hearing(seconds(7), "p1", 1);
  ASSERT_EQ(bench.committed(), 0);
  const std::size_t before = frontend("h/page").size();
  bench.start();
  link.hear("p1", 1);
  bench.run(seconds(1));
  run_hearing(seconds(8), "p1", 1);
  EXPECT_GT(frontend("h/page").size(), before);
  EXPECT_EQ(bench.committed(), 0) << "p2 is still away";
  const MonoTime passed = bench.clock.now();
  for (int i = 0; i < 4; ++i) run_hearing(milliseconds(500), "p2", 1);
  EXPECT_GE(frontend("h/page").back().handed, passed);
  EXPECT_EQ(bench.committed(), 1);
}

TEST_F(PeersTest, APeerThatIsTakenOutOfTheConfigurationHoldsNothing) {
  start();
  bench.append("h/page");
  run_hearing(seconds(7), "p1", 1);
  bench.append("h/next");
  run_hearing(seconds(1), "p1", 2);
  ASSERT_EQ(bench.committed(), 0);
  auto hosts = HostMatcher::make({}, {});
  LogConfig log;
  log.kafka.start_at = StartEarliest{};
  log.catch_up = {seconds(10), 10};
  ASSERT_EQ(bench.pipeline->reload(among({"p1"}), log, *hosts), Pipeline::Reloaded::applied);
  run_hearing(seconds(2), "p1", 2);
  EXPECT_EQ(bench.committed(), 2);
  EXPECT_EQ(bench.lines.count("peer removed"), 1);
  EXPECT_EQ(snapshot().each_peer.size(), 1u);
}

// ---- what this host says

TEST_F(PeersTest, AMarkIsWhatTheBackendHasAnsweredWhateverTheFrontendDoes) {
  start();
  bench.transport.cache(kBackend).latency = seconds(2);
  bench.transport.stop_cache(kFrontend);
  bench.append("h/page");
  bench.run(seconds(1));
  ASSERT_FALSE(link.said.empty());
  ASSERT_EQ(link.said.back().size(), 1u);
  EXPECT_EQ(link.said.back()[0].name.topic, LonePipeline::kTopic);
  EXPECT_EQ(link.said.back()[0].purged, Offset{0});
  bench.run(seconds(2));
  EXPECT_EQ(link.said.back()[0].purged, Offset{1});
  EXPECT_EQ(bench.committed(), 0);
}

TEST_F(PeersTest, WhatABackendMissesIsAGap) {
  start();
  bench.transport.stop_cache(kBackend);
  bench.append("h/one");
  bench.run(seconds(30));
  ASSERT_EQ(bench.lines.count("target behind"), 1);
  bench.append("h/two");
  bench.run(seconds(1));
  EXPECT_EQ(link.said.back()[0].purged, Offset{2});
  EXPECT_EQ(link.said.back()[0].gap_from, Offset{0});
  EXPECT_EQ(link.said.back()[0].gap_to, Offset{2});
  bench.transport.start_cache(kBackend);
  bench.run(seconds(20));
  EXPECT_EQ(link.said.back()[0].gap_to, link.said.back()[0].gap_from);
}

TEST_F(PeersTest, ABacklogIsAGapUntilItIsPurged) {
  bench.append("h/old");
  bench.clock.advance(seconds(60));
  bench.start();
  bench.run(seconds(3));  // it waits for the peers to be heard
  EXPECT_EQ(link.said.back()[0].purged, Offset{1});
  EXPECT_EQ(link.said.back()[0].gap_from, Offset{0});
  EXPECT_EQ(link.said.back()[0].gap_to, Offset{1});
  bench.run(seconds(5));
  EXPECT_EQ(link.said.back()[0].gap_to, link.said.back()[0].gap_from);
}

TEST_F(PeersTest, NothingNewIsSaidOnceASecond) {
  start(1000);
  const std::size_t before = link.said.size();
  bench.run(seconds(10));
  EXPECT_LE(link.said.size() - before, 11u);
  EXPECT_GE(link.said.size() - before, 9u);
  const std::size_t busy = link.said.size();
  for (int i = 0; i < 100; ++i) {
    bench.append("h/" + std::to_string(i));
    bench.run(milliseconds(10));
  }
  EXPECT_LE(link.said.size() - busy, 11u) << "interval";
  EXPECT_GE(link.said.size() - busy, 9u);
}

TEST_F(PeersTest, TroubleOfTheTopicIsToldOnceAndIsNotReady) {
  start();
  const auto ready = [this] {
    for (const ReadyCheck& check : snapshot().ready) {
      if (check.name == "peers") return check;
    }
    ADD_FAILURE() << "no row of peers";
    return ReadyCheck{};
  };
  EXPECT_TRUE(ready().ok);
  link.trouble_ = "topic peers: it does not exist";
  bench.run(seconds(1));
  EXPECT_FALSE(ready().ok);
  EXPECT_EQ(ready().detail, link.trouble_);
  EXPECT_EQ(bench.lines.count("peers not reachable"), 1);
  link.trouble_ = "";
  bench.run(seconds(1));
  EXPECT_EQ(bench.lines.count("peers reachable"), 1);
  EXPECT_TRUE(ready().ok);
}

}  // namespace
}  // namespace purgeline::peers_test
