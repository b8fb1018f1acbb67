// The coalescer and the journeys over it, with a test in dispatch's place.
#include "coalesce/journeys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeClock;

constexpr TargetId kBackend{0};
constexpr TargetId kFrontend{1};

struct Bench : JourneySink {
  explicit Bench(std::vector<std::vector<TargetId>> layers = {{kBackend}, {kFrontend}},
                 Duration window = milliseconds(100), std::uint32_t joins = 900)
      : all(mask(layers)),
        coalescer({300, 8 << 20, joins, 3, window}, clock),
        journeys({300, seconds(1), std::move(layers)}, coalescer, clock, *this) {}

  void on_target_done(const EventTicket& ticket, TargetId target) override {
    done[ticket.sequence].insert(target.value());
  }
  void on_finished(const FinishedEvent& event) override {
    finished.push_back(event.ticket.sequence);
    ended.push_back(event);
  }

  static TargetMask mask(const std::vector<std::vector<TargetId>>& layers) {
    TargetMask all = 0;
    for (const auto& layer : layers) {
      for (const TargetId target : layer) all |= mask_of(target);
    }
    return all;
  }

  std::uint64_t event(std::uint64_t key, std::optional<MonoTime> version = {},
                      Priority priority = Priority::live) {
    const std::uint64_t sequence = next++;
    journeys.accept({Key{1, key},
                     {"h", "/" + std::to_string(key), ""},
                     version.value_or(clock.now()),
                     {0, 0, sequence},
                     {},
                     all,
                     priority});
    return sequence;
  }
  DeliveryId take(TargetId target) {
    const auto delivery = coalescer.take(target);
    EXPECT_TRUE(delivery.has_value());
    return delivery ? delivery->id : DeliveryId{};
  }
  void answer(DeliveryId id, AttemptResult result = AttemptResult::purged) {
    Outcome outcome;
    outcome.result = result;
    outcome.not_before = clock.now() + seconds(1);
    EXPECT_TRUE(coalescer.complete(id, outcome));
  }

  FakeClock clock;
  TargetMask all;
  Coalescer coalescer;
  Journeys journeys;
  std::uint64_t next{0};
  std::map<std::uint64_t, std::set<int>> done;
  std::vector<std::uint64_t> finished;
  std::vector<FinishedEvent> ended;
};

TEST(Journeys, FrontendWaitsForTheBackendsAnswer) {
  Bench b;
  b.event(7);
  EXPECT_FALSE(b.coalescer.ready(kFrontend));
  const DeliveryId first = b.take(kBackend);
  EXPECT_FALSE(b.coalescer.ready(kBackend));
  b.clock.advance(milliseconds(5));
  EXPECT_FALSE(b.coalescer.ready(kFrontend));
  b.answer(first);
  b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished, std::vector<std::uint64_t>{0});
  EXPECT_EQ(b.journeys.unfinished(), 0u);
}

TEST(Journeys, AStormCostsOnePurgePerWindowAndTheLastEventGetsItsOwn) {
  Bench b;
  int purges = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    b.event(7);
    while (const auto delivery = b.coalescer.take(kBackend)) {
      ++purges;
      b.answer(delivery->id);
    }
    while (const auto delivery = b.coalescer.take(kFrontend)) b.answer(delivery->id);
    b.clock.advance(milliseconds(1));
  }
  EXPECT_LE(purges, 11);
  EXPECT_GE(purges, 9);
  b.clock.advance(milliseconds(100));
  b.answer(b.take(kBackend));
  for (int i = 0; i < 2; ++i) {
    while (const auto delivery = b.coalescer.take(kFrontend)) b.answer(delivery->id);
    b.clock.advance(milliseconds(100));
  }
  EXPECT_EQ(b.finished.size(), 1000u);
}

struct JoinRow {
  const char* what;
  Duration version_after_start;
  bool joins;
};

TEST(Coalescer, JoinsOnePurgeInFlightOnlyWhenItStartedAfterTheVersion) {
  for (const JoinRow& row : {JoinRow{"version before the start", -milliseconds(1), true},
                             JoinRow{"version equals the start", milliseconds(0), false},
                             JoinRow{"version after the start", milliseconds(1), false}}) {
    SCOPED_TRACE(row.what);
    Bench b;
    b.event(7);
    const MonoTime start = b.clock.now();
    const DeliveryId first = b.take(kBackend);
    b.clock.advance(milliseconds(10));
    b.event(7, start + row.version_after_start);
    b.answer(first);
    EXPECT_EQ(b.done[1].count(0), row.joins ? 1u : 0u);
    b.clock.advance(milliseconds(100));
    EXPECT_EQ(b.coalescer.ready(kBackend), !row.joins);
  }
}

TEST(Coalescer, CoveredByTheLastGoodPurgeOnlyWhenItStartedAfterTheVersion) {
  for (const JoinRow& row : {JoinRow{"version before the start", -milliseconds(1), true},
                             JoinRow{"version equals the start", milliseconds(0), false},
                             JoinRow{"version after the start", milliseconds(1), false}}) {
    SCOPED_TRACE(row.what);
    Bench b;
    b.event(7);
    const MonoTime start = b.clock.now();
    b.answer(b.take(kBackend));
    b.clock.advance(milliseconds(10));
    b.event(7, start + row.version_after_start);
    EXPECT_EQ(b.done[1].count(0), row.joins ? 1u : 0u);
  }
}

TEST(Coalescer, AFailedAttemptCoversNobodyAndThoseWhoJoinedWaitWithIt) {
  Bench b;
  b.event(7);
  const MonoTime start = b.clock.now();
  const DeliveryId first = b.take(kBackend);
  b.clock.advance(milliseconds(10));
  b.event(7, start - milliseconds(1));  // joins the one in flight
  b.answer(first, AttemptResult::retry);
  EXPECT_TRUE(b.done.empty());
  b.event(7, start - milliseconds(1));  // not covered by a failure: joins what waits
  EXPECT_FALSE(b.coalescer.ready(kBackend));
  b.clock.advance(seconds(1));
  b.answer(b.take(kBackend));
  EXPECT_EQ(b.done.size(), 3u);
  EXPECT_FALSE(b.coalescer.ready(kBackend));
}

TEST(Coalescer, AFailureDoesNotLetANewerEventOvertakeTheBackoff) {
  Bench b;
  b.event(7);
  const DeliveryId first = b.take(kBackend);
  b.clock.advance(milliseconds(200));
  b.event(7);  // its own purge, due at once
  b.answer(first, AttemptResult::retry);
  EXPECT_FALSE(b.coalescer.take(kBackend).has_value());
  b.clock.advance(seconds(1));
  b.answer(b.take(kBackend));
  EXPECT_EQ(b.done.size(), 2u);
}

TEST(Coalescer, OneAtATimePerKeyAndTarget) {
  Bench b;
  b.event(7);
  const DeliveryId first = b.take(kBackend);
  b.clock.advance(milliseconds(200));
  b.event(7);
  EXPECT_FALSE(b.coalescer.take(kBackend).has_value());
  EXPECT_EQ(b.coalescer.waiting(kBackend), 1u);
  b.answer(first);
  EXPECT_EQ(b.done.count(1), 0u);  // the first started before the second event
  b.answer(b.take(kBackend));
  EXPECT_EQ(b.done.count(1), 1u);
}

TEST(Coalescer, UnansweredOnesGoBackToTheFrontInOrder) {
  Bench b;
  b.event(1);
  b.event(2);
  b.event(3);
  const DeliveryId one = b.take(kBackend);
  const DeliveryId two = b.take(kBackend);
  b.answer(two, AttemptResult::unanswered);  // last first
  b.answer(one, AttemptResult::unanswered);
  EXPECT_EQ(b.take(kBackend).slot, one.slot);
  EXPECT_EQ(b.take(kBackend).slot, two.slot);
}

TEST(Coalescer, ALateAnswerNeverEndsANewerAttempt) {
  Bench b;
  b.event(1);
  const DeliveryId first = b.take(kBackend);
  b.answer(first, AttemptResult::unanswered);
  const DeliveryId second = b.take(kBackend);
  Outcome purged;
  purged.result = AttemptResult::purged;
  EXPECT_FALSE(b.coalescer.complete(first, purged));
  EXPECT_TRUE(b.coalescer.complete(second, purged));
  EXPECT_FALSE(b.coalescer.complete(DeliveryId{123456789, 1}, Outcome{}));
}

TEST(Journeys, SecondLayerOwesAPurgeThatStartsAfterTheFirstLayersAnswer) {
  Bench b;
  b.event(7);
  const DeliveryId backend = b.take(kBackend);
  b.clock.advance(seconds(1));
  b.journeys.turn();  // the deadline: the frontend is purged ahead
  const DeliveryId ahead = b.take(kFrontend);
  b.clock.advance(milliseconds(10));
  b.answer(ahead);
  EXPECT_TRUE(b.finished.empty());  // it settled nothing
  b.clock.advance(milliseconds(200));
  b.answer(backend);
  EXPECT_TRUE(b.finished.empty());
  b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished.size(), 1u);
}

TEST(Journeys, AheadInFlightAtTheAnswerSettlesNothing) {
  Bench b;
  b.event(7);
  const DeliveryId backend = b.take(kBackend);
  b.clock.advance(seconds(1));
  b.journeys.turn();
  const DeliveryId ahead = b.take(kFrontend);
  b.clock.advance(milliseconds(500));
  b.answer(backend);
  b.answer(ahead);
  EXPECT_TRUE(b.finished.empty());
  b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished.size(), 1u);
}

TEST(Journeys, ALayerWithTwoTargetsIsDoneWhenBothHaveAnswered) {
  Bench b({{TargetId{0}, TargetId{1}}, {TargetId{2}}});
  b.event(7);
  b.answer(b.take(TargetId{0}));
  EXPECT_FALSE(b.coalescer.ready(TargetId{2}));
  b.clock.advance(milliseconds(300));
  b.answer(b.take(TargetId{1}));
  b.answer(b.take(TargetId{2}));
  EXPECT_EQ(b.finished.size(), 1u);
}

TEST(Journeys, AFullTableDropsNothing) {
  Bench b({{kBackend}, {kFrontend}}, milliseconds(100), 300);  // as many as there are events
  for (std::uint64_t key = 0; key < 300; ++key) b.event(key);
  EXPECT_EQ(b.journeys.room(), 0u);
  for (int i = 0; i < 300; ++i) b.answer(b.take(kBackend));
  for (int i = 0; i < 300; ++i) b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished.size(), 300u);
}

TEST(Journeys, VersionOfTheNextLayerIsTheLatestAnswerOfAllTargets) {
  Bench b({{TargetId{0}, TargetId{1}}, {TargetId{2}}}, milliseconds(0));
  b.event(7);
  b.clock.advance(milliseconds(1));
  b.answer(b.take(TargetId{0}));
  const DeliveryId slow = b.take(TargetId{1});
  // Meanwhile another event's purge of layer 2 starts: before the slow target has answered.
  const MonoTime old = b.clock.now();
  b.clock.advance(seconds(1));
  b.journeys.turn();
  const DeliveryId ahead = b.take(TargetId{2});
  b.clock.advance(milliseconds(1));
  b.answer(ahead);
  b.clock.advance(milliseconds(1));
  b.answer(slow);
  EXPECT_TRUE(b.finished.empty());
  b.clock.advance(milliseconds(1));
  b.answer(b.take(TargetId{2}));
  EXPECT_EQ(b.finished.size(), 1u);
  // And a copy of the old event is covered everywhere without a purge.
  b.clock.advance(milliseconds(1));
  b.event(7, old - milliseconds(1));
  EXPECT_EQ(b.finished.size(), 2u);
}

TEST(Journeys, DeadOnOneTargetGoesOnWithTheOthers) {
  Bench b;
  b.event(7);
  b.answer(b.take(kBackend), AttemptResult::refused);
  EXPECT_EQ(b.done[0].count(0), 1u);
  b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished.size(), 1u);
  b.clock.advance(milliseconds(500));
  b.event(7, b.clock.now() - milliseconds(1));  // a dead attempt covers nobody
  EXPECT_TRUE(b.coalescer.ready(kBackend));
}

TEST(Journeys, RoomIsBoundedAndComesBack) {
  Bench b;
  while (b.journeys.room() > 0) b.event(b.next);
  EXPECT_EQ(b.journeys.unfinished(), 300u);
  while (const auto delivery = b.coalescer.take(kBackend)) b.answer(delivery->id);
  while (const auto delivery = b.coalescer.take(kFrontend)) b.answer(delivery->id);
  EXPECT_EQ(b.finished.size(), 300u);
  EXPECT_EQ(b.journeys.room(), 300u);
}

// The frontend's only good purge came before the answer that covers the second event at the
// backend, so that it may have fetched the old copy from there since.
TEST(Journeys, ACoveredEventGoesOnWithTheAnswerThatCoversIt) {
  Bench b({{kBackend}, {kFrontend}}, Duration(0));
  b.clock.advance(seconds(1));
  const MonoTime old = b.clock.now() - milliseconds(1);
  b.event(7, old);
  const DeliveryId backend = b.take(kBackend);
  b.clock.advance(seconds(1));
  b.journeys.turn();
  b.answer(b.take(kFrontend));  // ahead, at the deadline
  b.clock.advance(milliseconds(10));
  b.answer(backend);
  b.answer(b.take(kFrontend), AttemptResult::refused);
  EXPECT_EQ(b.finished, std::vector<std::uint64_t>{0});
  b.event(7, old);  // covered at the backend
  EXPECT_EQ(b.finished.size(), 1u);
  b.clock.advance(milliseconds(10));
  b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished.size(), 2u);
}

// ---- live before a backlog

TEST(Coalescer, LiveIsTakenFirstAndABacklogGetsItsShare) {
  Bench b({{kBackend}}, Duration(0));
  for (std::uint64_t key = 0; key < 100; ++key) b.event(key, {}, Priority::catch_up);
  for (std::uint64_t key = 100; key < 200; ++key) b.event(key);
  std::string order;
  for (int i = 0; i < 30; ++i) {
    const auto delivery = b.coalescer.take(kBackend);
    ASSERT_TRUE(delivery.has_value());
    order += delivery->path.size() == 4 ? 'l' : 'b';  // "/100" and above
  }
  EXPECT_EQ(order, "lllllllllblllllllllblllllllllb");
}

TEST(Coalescer, ALiveEventThatJoinsABacklogsDeliveryMovesItForward) {
  Bench b({{kBackend}}, Duration(0));
  for (std::uint64_t key = 0; key < 50; ++key) b.event(key, {}, Priority::catch_up);
  b.event(40);
  EXPECT_EQ(b.coalescer.take(kBackend)->path, "/40");
  EXPECT_EQ(b.coalescer.take(kBackend)->path, "/0");
  std::size_t rest = 0;
  while (b.coalescer.take(kBackend)) ++rest;
  EXPECT_EQ(rest, 48u) << "each delivery is taken once, also one that changed its ring";
  EXPECT_EQ(b.coalescer.waiting(kBackend), 0u);
}

TEST(Coalescer, WhatFailedComesBackAsLiveAsItWas) {
  Bench b({{kBackend}}, Duration(0));
  b.event(1, {}, Priority::catch_up);
  const DeliveryId id = b.take(kBackend);
  b.clock.advance(milliseconds(1));
  b.event(1, b.clock.now() - seconds(1));  // joins the one in flight
  b.event(2, {}, Priority::catch_up);
  b.answer(id, AttemptResult::retry);
  b.clock.advance(seconds(2));
  EXPECT_EQ(b.coalescer.take(kBackend)->path, "/1");
}

// ---- targets that are left out

TEST(Journeys, WithoutATargetEventsGoOn) {
  Bench b;
  b.event(1);
  b.event(2);
  const DeliveryId flying = b.take(kBackend);
  b.event(1, b.clock.now());  // parked behind the one in flight
  EXPECT_FALSE(b.coalescer.take(kBackend)->id == flying);
  b.journeys.leave_out(kBackend);
  EXPECT_FALSE(b.coalescer.ready(kBackend));
  while (b.coalescer.drop_some(kBackend, 1)) {
  }
  EXPECT_EQ(b.finished.size(), 0u) << "the frontend is still to be purged";
  b.answer(flying, AttemptResult::retry);
  EXPECT_EQ(b.coalescer.waiting(kBackend), 0u) << "what fails and what was parked is let go";
  while (const auto delivery = b.coalescer.take(kFrontend)) b.answer(delivery->id);
  b.clock.advance(seconds(1));
  while (const auto delivery = b.coalescer.take(kFrontend)) b.answer(delivery->id);
  b.event(3);
  b.answer(b.take(kFrontend));
  EXPECT_TRUE(std::find(b.finished.begin(), b.finished.end(), 3u) != b.finished.end());
  for (const auto& event : b.ended) EXPECT_TRUE(event.left_out);
}

TEST(Journeys, WhoIsBackWhenAnEventComesToItsLayerIsPurged) {
  Bench b;
  b.journeys.leave_out(kFrontend);
  b.event(1);
  const DeliveryId backend = b.take(kBackend);
  b.journeys.take_in(kFrontend);
  b.clock.advance(milliseconds(1));
  b.answer(backend);
  b.answer(b.take(kFrontend));
  ASSERT_EQ(b.ended.size(), 1u);
  EXPECT_FALSE(b.ended[0].left_out);
}

TEST(Journeys, NothingIsSentAheadToWhoIsLeftOutOrNotMeant) {
  Bench b;
  b.journeys.leave_out(kFrontend);
  b.event(1);
  b.clock.advance(seconds(2));
  b.journeys.turn();
  EXPECT_EQ(b.coalescer.waiting(kFrontend), 0u);
  b.journeys.take_in(kFrontend);
  b.all = mask_of(kBackend);
  b.event(2);
  b.clock.advance(seconds(2));
  b.journeys.turn();
  EXPECT_EQ(b.coalescer.waiting(kFrontend), 0u);
  while (const auto delivery = b.coalescer.take(kBackend)) b.answer(delivery->id);
  EXPECT_EQ(b.done[1], (std::set<int>{kBackend.value()}));
}

}  // namespace
}  // namespace purgeline
