// Who is waited for, and what they have passed.
#include "app/peer_barrier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr PartitionId kP{0};
constexpr PartitionId kQ{1};
constexpr PeerId kA{0};
constexpr PeerId kB{1};
constexpr MonoTime kStart{seconds(100)};
constexpr Duration kDeadline = seconds(5);

struct BarrierTest : testing::Test {
  BarrierTest() {
    barrier.learn(kP, {"t", 0});
    barrier.learn(kQ, {"t", 1});
  }
  // `p`, `q`: how far it is in both partitions.
  void hear(const std::string& host, std::int64_t p, std::int64_t q = 1000, std::int64_t from = 0,
            std::int64_t to = 0) {
    barrier.hear({host,
                  {{{"t", 0}, Offset{p}, Offset{p / 2}, Offset{from}, Offset{to}},
                   {{"t", 1}, Offset{q}, Offset{q}, {}, {}}}},
                 now);
  }
  std::vector<PeerBarrier::Fact> facts(std::int64_t next, std::optional<std::int64_t> oldest = {},
                                       MonoTime since = kStart) const {
    PeerBarrier::Fact fact{kP, Offset{next}, {}, since};
    if (oldest) fact.oldest = Offset{*oldest};
    return {fact, {kQ, Offset{7}, {}, {}}};
  }
  bool passed(std::int64_t offset) const { return barrier.passed(kP, Offset{offset}); }

  MonoTime now{kStart};
  PeerBarrier barrier{{"a", "b"}, kDeadline, kStart};
};

TEST_F(BarrierTest, TheSlowestPeerCounts) {
  EXPECT_FALSE(passed(0)) << "nobody was heard";
  hear("a", 10);
  EXPECT_FALSE(passed(5)) << "b was not heard";
  hear("b", 6);
  EXPECT_TRUE(passed(5));
  EXPECT_FALSE(passed(6)) << "a mark is what comes next";
  EXPECT_TRUE(barrier.fenced(kP, Offset{2}));
  EXPECT_FALSE(barrier.fenced(kP, Offset{3}));
  hear("c", 1);
  EXPECT_TRUE(passed(5)) << "it is no peer";
}

TEST_F(BarrierTest, WhatIsInAGapIsNotPassed) {
  hear("b", 100);
  hear("a", 100, 1000, 20, 30);
  EXPECT_TRUE(passed(19));
  EXPECT_FALSE(passed(20));
  EXPECT_FALSE(passed(29));
  EXPECT_TRUE(passed(30));
  EXPECT_TRUE(barrier.passed(kA, kP, Offset{10}, Offset{20}));
  EXPECT_FALSE(barrier.passed(kA, kP, Offset{10}, Offset{21}));
  EXPECT_FALSE(barrier.passed(kA, kP, Offset{29}, Offset{40}));
  EXPECT_FALSE(barrier.passed(kA, kP, Offset{30}, Offset{101}));
  EXPECT_EQ(barrier.missing(kP, Offset{10}, Offset{25}), mask_of(kA));
}

// Of b everything is fenced. What is not purged is not fenced either.
TEST_F(BarrierTest, GapsOfFencesAndOfPurgesAreNotFenced) {
  barrier.hear({"b", {{{"t", 0}, Offset{100}, Offset{100}, {}, {}}}}, now);
  barrier.hear(
      {"a", {{{"t", 0}, Offset{100}, Offset{80}, Offset{20}, Offset{30}, Offset{10}, Offset{15}}}},
      now);
  const auto fenced = [this](std::int64_t offset) {
    return barrier.fenced(kP, Offset{offset});
  };
  for (const std::int64_t offset : {0, 9, 15, 19, 30, 79}) EXPECT_TRUE(fenced(offset)) << offset;
  for (const std::int64_t offset : {10, 14, 20, 29, 80}) EXPECT_FALSE(fenced(offset)) << offset;
  EXPECT_TRUE(passed(10)) << "a purge waits for no fence";
  const std::vector<std::array<std::int64_t, 3>> rows{
      {0, 10, 10},  {0, 12, 10},  {12, 14, 12}, {15, 20, 20}, {15, 40, 20},
      {25, 26, 25}, {30, 80, 80}, {30, 99, 80}, {90, 95, 90}, {5, 90, 10},
  };
  for (const auto& [from, to, unfenced] : rows) {
    EXPECT_EQ(barrier.unfenced(kA, kP, Offset{from}, Offset{to}), Offset{unfenced})
        << from << " to " << to;
  }
  EXPECT_EQ(barrier.unfenced(kB, kP, Offset{0}, Offset{100}), Offset{100});
}

TEST_F(BarrierTest, APartitionThatAPeerDoesNotReadIsNotPassed) {
  hear("b", 100);
  barrier.hear({"a", {{{"t", 1}, Offset{9}, Offset{9}, {}, {}}}}, now);
  EXPECT_FALSE(passed(0));
  EXPECT_TRUE(barrier.passed(kQ, Offset{8}));
}

TEST_F(BarrierTest, AMarkMayGoBack) {
  hear("b", 100);
  hear("a", 50);
  ASSERT_TRUE(passed(40));
  hear("a", 30);
  EXPECT_FALSE(passed(40));
  EXPECT_TRUE(passed(29));
}

TEST_F(BarrierTest, WhoHoldsBackForTheDeadlineIsLeftOut) {
  hear("a", 10);
  hear("b", 50);
  now = kStart + kDeadline - milliseconds(1);
  EXPECT_TRUE(barrier.judge(facts(60, 20), now).empty());
  now += milliseconds(1);
  hear("a", 15);
  const auto moves = barrier.judge(facts(60, 20), now);
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].peer, kA);
  EXPECT_TRUE(moves[0].leave_out);
  EXPECT_EQ(moves[0].why, "its backends have not been purged of offset 20, but up to 15");
  EXPECT_EQ(barrier.left_out(), mask_of(kA));
  EXPECT_TRUE(passed(49)) << "only b is waited for";
  EXPECT_TRUE(barrier.judge(facts(60, 20), now).empty()) << "said once";
  EXPECT_EQ(barrier.missing(kP, Offset{20}, Offset{30}), mask_of(kA)) << "left out, not forgotten";
}

TEST_F(BarrierTest, WhyIsSaid) {
  hear("b", 50);
  now = kStart + seconds(7);
  auto moves = barrier.judge(facts(60, 55), now);
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_EQ(moves[0].why, "it has not been heard since this start");
  EXPECT_EQ(moves[1].why, "it has not been heard for 7 s");
}

// A little longer than a purge: fences are told in steps.
TEST_F(BarrierTest, WhoHoldsBackAFenceIsLeftOut) {
  barrier.set_fence_slack(seconds(2));
  hear("a", 60);  // fenced up to 30
  hear("b", 2000);
  auto rows = facts(60);
  rows[0].oldest_fence = Offset{40};
  rows[0].fence_since = kStart;
  now = kStart + kDeadline + seconds(2) - milliseconds(1);
  hear("a", 60);
  EXPECT_TRUE(barrier.judge(rows, now).empty());
  now += milliseconds(1);
  const auto moves = barrier.judge(rows, now);
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].peer, kA);
  EXPECT_EQ(moves[0].why, "its backends have not been fenced of offset 40, but up to 30");
  EXPECT_TRUE(barrier.fenced(kP, Offset{999})) << "only b is waited for";
}

// a is left out with 60 as the end of the log.
struct LeftOutTest : BarrierTest {
  LeftOutTest() {
    hear("a", 10);
    hear("b", 2000);
    now += kDeadline;
    EXPECT_EQ(barrier.judge(facts(60, 20), now).size(), 1u);
  }
  bool taken_in(std::int64_t next) {
    const auto moves = barrier.judge(facts(next), now);
    return !moves.empty() && !moves[0].leave_out && moves[0].peer == kA;
  }
};

TEST_F(LeftOutTest, WhoKeepsUpIsTakenIn) {
  now += seconds(1);
  hear("a", 59);
  EXPECT_FALSE(taken_in(70)) << "the end was 60";
  hear("a", 60);
  EXPECT_TRUE(taken_in(80));
  EXPECT_EQ(barrier.left_out(), 0u);
  EXPECT_FALSE(passed(60)) << "and is waited for";
}

TEST_F(LeftOutTest, WhoIsLateEachTimeIsNot) {
  std::int64_t end = 60;
  for (int i = 0; i < 20; ++i) {
    now += kDeadline + milliseconds(1);  // later than the deadline it has passed what was the end
    hear("a", end);
    end += 100;
    EXPECT_FALSE(taken_in(end));
  }
}

TEST_F(LeftOutTest, WhoIsSilentIsNotTakenInWhileNothingHappens) {
  PeerBarrier quiet({"a"}, kDeadline, kStart);
  quiet.learn(kP, {"t", 0});
  quiet.learn(kQ, {"t", 1});
  MonoTime at = kStart + kDeadline;
  ASSERT_EQ(quiet.judge(facts(1, 0), at).size(), 1u);
  const PeerReport report{
      "a", {{{"t", 0}, Offset{1}, Offset{1}, {}, {}}, {{"t", 1}, Offset{7}, Offset{7}, {}, {}}}};
  ASSERT_TRUE(quiet.hear(report, at));
  at += milliseconds(1);
  EXPECT_TRUE(quiet.judge(facts(1), at).empty()) << "heard before, not since";
  ASSERT_TRUE(quiet.hear(report, at));
  EXPECT_EQ(quiet.judge(facts(1), at).size(), 1u);
}

TEST_F(LeftOutTest, WhoseFencesDoNotKeepUpIsNot) {
  PeerBarrier other({"a"}, kDeadline, kStart);
  other.learn(kP, {"t", 0});
  MonoTime at = kStart + kDeadline;
  const PeerBarrier::Fact fact{kP, Offset{60}, Offset{20}, kStart, Offset{40}};
  ASSERT_EQ(other.judge(std::vector{fact}, at).size(), 1u);
  at += milliseconds(1);
  const PeerBarrier::Fact later{kP, Offset{90}, {}, {}, Offset{70}};
  for (const std::int64_t fenced : {39, 40}) {
    ASSERT_TRUE(other.hear({"a", {{{"t", 0}, Offset{60}, Offset{fenced}, {}, {}}}}, at));
    EXPECT_EQ(other.judge(std::vector{later}, at).size(), fenced == 40 ? 1u : 0u);
  }
}

TEST_F(LeftOutTest, EveryPartitionCounts) {
  now += seconds(1);
  hear("a", 100, 6);
  EXPECT_FALSE(taken_in(70));
  hear("a", 100, 7);
  EXPECT_TRUE(taken_in(70));
}

TEST_F(LeftOutTest, AGapAtTheEndIsNotKeepingUp) {
  now += seconds(1);
  hear("a", 100, 1000, 20, 60);
  EXPECT_FALSE(taken_in(70));
  hear("a", 100, 1000, 20, 59);
  EXPECT_TRUE(taken_in(70)) << "a backlog beside it does not count";
}

TEST_F(BarrierTest, PeersComeAndGo) {
  hear("a", 10);
  hear("b", 20);
  EXPECT_FALSE(passed(15));
  now += seconds(60);
  EXPECT_EQ(barrier.change({"b", "c"}, seconds(2), now), std::vector<PeerId>{kA});
  EXPECT_FALSE(passed(15)) << "c was not heard";
  EXPECT_FALSE(barrier.known_yet(now));
  hear("c", 30);
  EXPECT_TRUE(passed(15));
  EXPECT_EQ(barrier.name(kA), "c") << "a free number is used again";
  EXPECT_EQ(barrier.name(kB), "b");
  EXPECT_TRUE(barrier.known_yet(now));
  EXPECT_EQ(barrier.change({}, seconds(2), now).size(), 2u);
  EXPECT_TRUE(passed(1000)) << "nobody is waited for";
}

TEST_F(BarrierTest, ABacklogMayBeginWhenAllWereHeardOrHadTime) {
  EXPECT_FALSE(barrier.known_yet(now));
  hear("a", 1);
  EXPECT_FALSE(barrier.known_yet(now));
  EXPECT_TRUE(barrier.known_yet(now + kDeadline));
  hear("b", 1);
  EXPECT_TRUE(barrier.known_yet(now));
}

}  // namespace
}  // namespace purgeline
