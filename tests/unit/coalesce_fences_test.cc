// Fences: what each event owes its URL after its purge, with a test in dispatch's place.
#include <gtest/gtest.h>

#include "coalesce_fences_support.h"

namespace purgeline::fences_test {
namespace {

TEST(Fences, APurgeComesWhenTheLastOldFetchHasEndedAndOnTheNextLayerAHitTimeLater) {
  Bench b;
  const MonoTime arrived = b.clock.now();
  EXPECT_TRUE(b.event(7));
  b.run(seconds(20));
  EXPECT_EQ(b.finished.size(), 1u);
  const auto backend = b.purges(kBackend), frontend = b.purges(kFrontend);
  ASSERT_EQ(backend.size(), 2u);
  ASSERT_EQ(frontend.size(), 2u);
  EXPECT_GE(backend[1], arrived + kLag + kFetch);
  EXPECT_LE(backend[1], arrived + kLag + kFetch + kStep + kTick);
  EXPECT_GE(frontend[1], backend[1] + kHit);
  EXPECT_LE(frontend[1], backend[1] + kHit + kTick);
  EXPECT_EQ(b.fences().open(), 0u);
  EXPECT_EQ(b.fences().counts().of(FencePurge::sent), 2u);
  EXPECT_EQ(b.coalescer.key_room(), 400u);
}

TEST(Fences, EventsOfOneStepOweOneFenceAndLaterOnesTheirOwn) {
  Bench b;
  for (int i = 0; i < 200; ++i) {  // two seconds
    b.event(7);
    b.run(milliseconds(0));
    b.clock.advance(kTick);
  }
  const auto steps = static_cast<std::uint64_t>(seconds(2) / kStep);
  EXPECT_GE(b.fences().counts().of(FenceHow::registered), steps);
  EXPECT_LE(b.fences().counts().of(FenceHow::registered), steps + 2);
  EXPECT_EQ(b.fences().counts().of(FenceHow::registered) + b.fences().counts().of(FenceHow::shared),
            200u);
  const MonoTime last = b.clock.now() - kTick;
  b.seen.clear();
  b.run(seconds(15));
  EXPECT_GE(b.purges(kBackend).back(), last + kLag + kFetch);
  EXPECT_LE(b.purges(kBackend).size(), b.fences().counts().of(FenceHow::registered) + 2);
}

// What is due on different keys in one step does not come at once.
TEST(Fences, EachKeyHasItsOwnGrid) {
  Bench b;
  for (std::uint64_t key = 0; key < 64; ++key) b.event(key);
  b.run(seconds(1));
  b.seen.clear();
  b.run(seconds(15));
  const auto times = b.purges(kBackend);
  EXPECT_EQ(times.size(), 64u);
  EXPECT_GE(std::set<MonoTime>(times.begin(), times.end()).size(), 30u);
}

TEST(Fences, AnEventThatJoinsOrIsCoveredOwesItsOwn) {
  Bench b;
  b.silent = {kBackend};
  b.event(7);
  b.clock.advance(seconds(3));
  b.event(7);  // joins the waiting one
  EXPECT_EQ(b.fences().counts().of(FenceHow::registered), 2u);
  b.silent.clear();
  b.run(seconds(1));
  b.seen.clear();
  const MonoTime covered = b.clock.now() - milliseconds(1500);
  b.event(7, milliseconds(1500));
  b.run(milliseconds(200));
  EXPECT_TRUE(b.purges(kBackend).empty());  // the purge a second ago will do
  EXPECT_EQ(b.finished.size(), 3u);
  EXPECT_EQ(b.fences().counts().of(FenceHow::registered), 3u);
  b.run(seconds(20));
  const auto times = b.purges(kBackend);
  EXPECT_TRUE(std::any_of(times.begin(), times.end(),
                          [&](MonoTime at) { return at >= covered + kLag + kFetch; }));
  EXPECT_EQ(b.fences().open(), 0u);
}

TEST(Fences, TheNextLayersWaitsForAllTargetsOfTheOneBefore) {
  Bench b({{kBackend, kOther}, {kFrontend}});
  b.event(7);
  b.run(seconds(1));
  b.silent = {kOther};
  b.seen.clear();
  b.run(seconds(20));
  EXPECT_EQ(b.purges(kBackend).size(), 1u);
  EXPECT_TRUE(b.purges(kFrontend).empty());
  EXPECT_EQ(b.fences().open(), 1u);
  b.silent.clear();
  b.run(seconds(2));
  ASSERT_EQ(b.purges(kFrontend).size(), 1u);
  EXPECT_GE(b.purges(kFrontend)[0], b.purges(kOther)[0] + kHit);
  EXPECT_EQ(b.fences().open(), 0u);
}

TEST(Fences, AFailedAttemptDoesNotServe) {
  Bench b({{kBackend}});
  b.event(7);
  b.run(seconds(1));
  b.answers = AttemptResult::retry;
  b.run(seconds(13));
  EXPECT_GT(b.purges(kBackend).size(), 1u);
  EXPECT_EQ(b.fences().open(), 1u);
  b.answers = AttemptResult::purged;
  b.run(seconds(2));
  EXPECT_EQ(b.fences().open(), 0u);
}

// One is enough for both, when it starts late enough.
TEST(Fences, AnyGoodPurgeThatStartsSinceTheDueTimeServesAndNoEarlierOne) {
  Bench b({{kBackend}});
  b.event(7);
  b.run(seconds(1));
  const Duration almost = kLag + kFetch - seconds(1) - milliseconds(20);
  b.run(almost);
  b.event(7);  // its purge starts just before the fence may be due
  b.run(milliseconds(10));
  EXPECT_EQ(b.fences().open(), 2u);
  b.silent = {kBackend};
  b.run(kStep + seconds(1));  // it is due, and asks
  EXPECT_EQ(b.fences().counts().of(FencePurge::sent), 1u);
  b.event(7);
  b.silent.clear();
  b.seen.clear();
  b.run(milliseconds(50));
  EXPECT_EQ(b.purges(kBackend).size(), 1u);  // for the third event, and the first one's fence
  EXPECT_EQ(b.fences().open(), 2u);
  EXPECT_EQ(b.finished.size(), 3u);
}

TEST(Fences, APurgeThatStartedBeforeTheDueTimeIsNoneHoweverLateItIsAnswered) {
  Bench b({{kBackend}});
  b.event(7);
  b.run(seconds(1));
  b.run(kLag + kFetch - seconds(1) - milliseconds(20));
  b.event(7);
  const auto early = b.coalescer.take(kBackend);
  ASSERT_TRUE(early.has_value());
  b.silent = {kBackend};
  b.run(kStep + milliseconds(100));  // the first event's fence is due, and asks
  EXPECT_EQ(b.fences().counts().of(FencePurge::sent), 1u);
  EXPECT_TRUE(b.coalescer.complete(early->id, Outcome{{}, AttemptResult::purged, 200, {}}));
  EXPECT_EQ(b.fences().open(), 2u);
  b.silent.clear();
  b.run(milliseconds(10));
  EXPECT_EQ(b.fences().open(), 1u);
}

// An old event's purge is its fence; the next layer's comes a hit time later.
TEST(Fences, ThePurgeOfAnOldEventIsItsFence) {
  Bench b;
  b.event(7, seconds(60));
  b.run(seconds(20));
  EXPECT_EQ(b.purges(kBackend).size(), 1u);
  const auto frontend = b.purges(kFrontend);
  ASSERT_EQ(frontend.size(), 2u);
  EXPECT_EQ(frontend[0], b.purges(kBackend)[0]);
  EXPECT_GE(frontend[1], frontend[0] + kHit);
}

TEST(Fences, OfABacklogTheNextLayersPurgeWaitsAndIsBoth) {
  Bench b;
  const MonoTime start = b.clock.now();
  b.event(7, seconds(60), Priority::catch_up);
  b.event(7, seconds(50), Priority::catch_up);
  b.event(8, seconds(3), Priority::catch_up);  // not old enough: as a live one
  b.run(milliseconds(500));
  EXPECT_EQ(b.finished, std::vector<std::uint64_t>{2});
  b.event(7, seconds(40), Priority::catch_up);  // covered on the backend, and waits as well
  EXPECT_EQ(b.finished.size(), 1u);
  b.run(seconds(1));
  EXPECT_EQ(b.finished.size(), 4u);
  std::vector<MonoTime> frontend;
  for (const Bench::Seen& purge : b.seen) {
    if (purge.target == kFrontend && purge.path == "/7") frontend.push_back(purge.at);
  }
  ASSERT_EQ(frontend.size(), 1u);
  EXPECT_GE(frontend[0], start + kHit);
  EXPECT_EQ(b.fences().open(), 1u);  // of the event that was not old
}

// What arrived in a step is held until its fences, and those of earlier steps, are answered.
TEST(Fences, AStepIsOpenUntilTheLastLayersFenceIsAnswered) {
  Bench b;
  b.event(7);
  const auto first = b.fences().oldest_open();
  ASSERT_TRUE(first.has_value());
  b.clock.advance(kStep);
  EXPECT_EQ(b.fences().end_step(), first);
  EXPECT_FALSE(b.fences().end_step().has_value());
  b.event(8);
  b.run(seconds(1));
  EXPECT_EQ(b.fences().oldest_open(), first);
  b.silent = {kFrontend};
  b.run(seconds(15));  // the backend's have been answered
  EXPECT_EQ(b.fences().oldest_open(), first);
  b.silent.clear();
  b.run(seconds(1));
  EXPECT_FALSE(b.fences().oldest_open().has_value());
}

// The second event's fence is due with the first one's, and holds the step in which that arrived.
TEST(Fences, AMergedFenceKeepsTheOlderStep) {
  Bench b({{kBackend}});
  const MonoTime changed = b.clock.now();
  b.event(7);
  const auto first = b.fences().oldest_open();
  b.run(kStep);
  EXPECT_EQ(b.fences().end_step(), first);
  b.event(7, b.clock.now() - changed);  // of the same time, by another way
  EXPECT_EQ(b.fences().counts().of(FenceHow::shared), 1u);
  EXPECT_EQ(b.fences().oldest_open(), first);
  b.run(seconds(15));
  EXPECT_FALSE(b.fences().oldest_open().has_value());
}

TEST(Fences, WhenTheTableIsFullPurgesGoOnAndTheEventIsReadAgain) {
  Bench b({{kBackend}}, 3);
  for (std::uint64_t key = 0; key < 3; ++key) EXPECT_TRUE(b.event(key));
  EXPECT_FALSE(b.event(3));
  EXPECT_TRUE(b.event(2));  // shares a fence that is there
  b.run(milliseconds(50));
  EXPECT_EQ(b.finished.size(), 5u);
  EXPECT_EQ(b.fences().counts().of(FenceHow::unregistered), 1u);
  b.run(seconds(15));
  EXPECT_TRUE(b.event(3));
}

// Live events leave it its share, and it takes no more than half.
TEST(Fences, ABacklogGetsItsShareOfTheTable) {
  Bench b({{kBackend}}, 10);
  b.fences().set_catching_up(true, 20);
  for (std::uint64_t key = 0; key < 8; ++key) EXPECT_TRUE(b.event(key));
  EXPECT_FALSE(b.event(8));
  EXPECT_EQ(b.fences().backlog_room(), 2u);
  b.run(seconds(15));
  for (std::uint64_t key = 20; key < 25; ++key) {
    EXPECT_TRUE(b.event(key, seconds(0), Priority::catch_up));
  }
  EXPECT_EQ(b.fences().backlog_room(), 0u);
  EXPECT_FALSE(b.event(25, seconds(0), Priority::catch_up));
  EXPECT_TRUE(b.event(26));
}

TEST(Fences, OfATargetThatIsLeftOutAreDropped) {
  Bench b({{kBackend, kOther}, {kFrontend}});
  b.event(7);
  b.run(seconds(1));
  b.silent = {kOther};
  b.run(seconds(13));
  EXPECT_EQ(b.fences().open(), 1u);
  b.leave_out(kOther);
  b.run(seconds(2));
  EXPECT_EQ(b.fences().open(), 0u);
  EXPECT_EQ(b.purges(kFrontend).size(), 2u);  // the rest of it goes on
}

TEST(Fences, PassOverATargetThatIsLeftOutWhenTheyAreDue) {
  Bench b({{kBackend, kOther}, {kFrontend}});
  b.event(7);
  b.run(seconds(1));
  b.leave_out(kOther);
  b.run(seconds(15));
  EXPECT_EQ(b.fences().open(), 0u);
  EXPECT_EQ(b.purges(kOther).size(), 1u);
  EXPECT_EQ(b.purges(kFrontend).size(), 2u);
}

// It is back before the fence comes to its layer: it has its part in it.
TEST(Fences, WhoIsLeftOutIsDecidedWhenTheFenceComesToItsLayer) {
  Bench b;
  b.event(7);
  b.run(seconds(1));
  b.leave_out(kFrontend);
  b.run(seconds(5));
  b.journeys.take_in(kFrontend);
  b.run(seconds(10));
  EXPECT_EQ(b.purges(kFrontend).size(), 2u);
}

// The range that a target has missed is read for it alone: what was done on the layers before it
// has been done until its return.
TEST(Fences, ATargetThatIsBackOwesAHitTime) {
  Bench b;
  b.event(7, Duration{0}, Priority::catch_up, mask_of(kFrontend));
  const MonoTime back = b.clock.now();
  b.run(seconds(20));
  EXPECT_TRUE(b.purges(kBackend).empty());
  ASSERT_EQ(b.purges(kFrontend).size(), 1u);
  EXPECT_GE(b.purges(kFrontend)[0], back + kHit);
}

// An event must not rely on what a fence did for fewer targets than it has.
TEST(Fences, NobodyJoinsOneThatPassedATargetOver) {
  Bench b({{kBackend, kOther}});
  b.event(7, seconds(60));
  b.leave_out(kOther);
  b.run(milliseconds(500));
  b.silent = {kBackend};
  b.event(8, seconds(60));
  b.run(milliseconds(10));
  b.journeys.take_in(kOther);
  b.event(8, seconds(60));
  EXPECT_EQ(b.fences().counts().of(FenceHow::shared), 0u);
  b.silent.clear();
  b.run(milliseconds(500));
  EXPECT_EQ(b.purges(kOther).size(), 1u);
}

TEST(Fences, OneOfARefusedUrlEndsWithItsDeadLetter) {
  Bench b({{kBackend}});
  b.event(7);
  b.run(seconds(1));
  b.silent = {kBackend};
  b.run(seconds(12));
  const auto delivery = b.coalescer.take(kBackend);
  ASSERT_TRUE(delivery.has_value());
  const auto found = b.coalescer.find(delivery->id);
  EXPECT_EQ(found->some_event, kNone);
  const auto origin = b.fences().origin_of(found->key, found->target, found->started);
  ASSERT_TRUE(origin.has_value());
  EXPECT_EQ(origin->offset, Offset{0});
  Outcome refused;
  refused.result = AttemptResult::refused;
  EXPECT_TRUE(b.coalescer.complete(delivery->id, refused));
  EXPECT_EQ(b.fences().open(), 0u);
}

TEST(Fences, ChangedTimesHoldForNewEvents) {
  Bench b({{kBackend}});
  b.event(7);
  const MonoTime first = b.clock.now();
  b.fences().set_times({kLag, seconds(1), kHit});
  b.event(8);
  b.run(seconds(5));
  EXPECT_EQ(b.purges(kBackend).size(), 3u);
  b.fences().set_times({kLag, std::nullopt, kHit});
  b.event(9);
  b.run(seconds(20));
  EXPECT_EQ(b.seen.back().path, "/7");
  EXPECT_GE(b.seen.back().at, first + kLag + kFetch);
  EXPECT_EQ(b.purges(kBackend).size(), 5u);
}

// Layers change while fences are due: they go on by those that there were.
TEST(Fences, KeepTheLayersOfTheirEvents) {
  Bench b;
  b.event(7);
  b.run(seconds(1));
  EXPECT_TRUE(b.journeys.change_layers({{kBackend}}));
  EXPECT_TRUE(b.journeys.refers(kFrontend));
  b.run(seconds(15));
  EXPECT_EQ(b.purges(kFrontend).size(), 2u);
  EXPECT_FALSE(b.journeys.refers(kFrontend));
}

// Without fences, a purge that may have come before the origin showed the change covers nothing.
TEST(Coalescer, WithALagCoversOnlyWhatWasVisibleAtItsStart) {
  for (const bool visible : {false, true}) {
    Bench b({{kBackend}});
    b.fences().set_times({});
    b.coalescer.set_lag(kLag);
    b.event(7);
    b.run(milliseconds(500));
    b.event(7, milliseconds(500) + kTick + (visible ? kLag : Duration{0}));
    EXPECT_EQ(b.finished.size(), visible ? 2u : 1u);
  }
}

}  // namespace
}  // namespace purgeline::fences_test
