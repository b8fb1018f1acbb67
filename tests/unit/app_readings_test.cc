// Ranges: what is read for whom, what is owed, and what may be committed.
#include "app/readings.h"

#include <gtest/gtest.h>

#include <map>

namespace purgeline {
namespace {

using std::chrono::seconds;

constexpr TargetId kBackend{0};
constexpr TargetId kOther{1};  // second target of the backend layer
constexpr TargetId kFrontend{2};
constexpr PartitionId kP{0};
constexpr MonoTime kNow{seconds(50)};

// Cursors and nothing else.
struct FakeSource : Source {
  struct Cursor {
    Range range;
    TargetMask targets;
    Priority priority;
    Offset position;
  };
  void start(SourceListener&) override {}
  void poll() override {}
  [[nodiscard]] bool partition_is_new(PartitionId) const override { return false; }
  CursorId open(PartitionId, Range range, std::uint32_t targets, Priority priority) override {
    const CursorId id(next++);
    cursors[id] = {range, targets, priority, range.from};
    return id;
  }
  void reposition(CursorId cursor, Offset from) override { cursors.at(cursor).position = from; }
  void close(CursorId cursor) override { cursors.erase(cursor); }
  std::size_t read(CursorId, std::size_t, RecordSink&) override { return 0; }
  [[nodiscard]] Offset position(CursorId cursor) const override {
    return cursors.at(cursor).position;
  }
  [[nodiscard]] std::optional<LogEnds> ends(PartitionId) const override { return std::nullopt; }
  void ask_ends(PartitionId, std::uint64_t) override {}
  void find(PartitionId, WallTime, std::uint64_t) override {}
  void stop() override {}

  std::uint32_t next{0};
  std::map<CursorId, Cursor> cursors;
};

struct ReadingsTest : testing::Test {
  Reading& live() { return readings[readings.live(kP).value()]; }
  Reading& catch_up() { return readings[readings.catch_up(kP).value()]; }
  // The reading gets the event at `offset`; all its targets are to settle it.
  std::uint64_t read(Reading& reading, std::int64_t offset) {
    source.cursors.at(*reading.cursor).position = Offset{offset + 1};
    return reading.ledger->note(Offset{offset}, reading.targets, WallTime{seconds(offset)});
  }
  void settle(Reading& reading, std::uint64_t sequence, TargetMask targets) {
    for (std::uint16_t t = 0; t < 3; ++t) {
      if ((targets & mask_of(TargetId{t})) != 0) reading.ledger->settle(sequence, TargetId{t});
    }
  }
  void finish(Reading& reading, std::int64_t from, std::int64_t to) {
    for (std::int64_t o = from; o < to; ++o) settle(reading, read(reading, o), reading.targets);
  }
  std::int64_t needed() { return readings.needed(kP).offset.value(); }

  FakeSource source;
  Readings readings{source, {{kBackend, kOther}, {kFrontend}}, 1000};
};

TEST_F(ReadingsTest, OneLiveReadingDoesItAll) {
  readings.open_live(kP, Offset{5}, {}, Offset{5});
  EXPECT_EQ(needed(), 5);
  finish(live(), 5, 9);
  readings.turn();
  EXPECT_EQ(needed(), 9);
  EXPECT_FALSE(readings.catch_up(kP).has_value());
  EXPECT_EQ(source.cursors.size(), 1u);
}

// ---- fences

// What was finished by the end of a step, in all partitions, is needed until no fence of it or of
// an earlier step is open.
TEST_F(ReadingsTest, ASampleIsReleasedWhenNoStepUpToItIsOpen) {
  const PartitionId second{1};
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  readings.open_live(second, Offset{0}, {}, Offset{0});
  const auto needed_of_second = [&] {
    return readings.needed(second).offset.value();
  };
  finish(live(), 0, 2);
  EXPECT_EQ(needed(), 2);
  readings.release_samples(7, {});  // a fence of an event of the second has been registered
  readings.end_step(7);
  finish(live(), 2, 5);
  finish(readings[*readings.live(second)], 0, 3);
  readings.end_step(8);
  readings.release_samples(7, {});
  EXPECT_EQ(needed(), 0);
  EXPECT_EQ(needed_of_second(), 0);
  readings.release_samples(8, {});
  EXPECT_EQ(needed(), 2);
  finish(live(), 5, 6);
  readings.release_samples(9, {});
  EXPECT_EQ(needed(), 5);
  EXPECT_EQ(needed_of_second(), 3);
  readings.release_samples(std::nullopt, {});
  EXPECT_EQ(needed(), 6);
}

// Later steps are never more than a few samples, and the oldest is not lost.
TEST_F(ReadingsTest, ManyStepsBehindAnOpenOneAreReleasedInTheEnd) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  readings.release_samples(1, {});
  for (std::int64_t step = 1; step <= 100; ++step) {
    finish(live(), step - 1, step);
    readings.end_step(static_cast<std::uint64_t>(step));
  }
  EXPECT_LE(live().samples.size(), Readings::kMostSamples);
  readings.release_samples(2, {});
  EXPECT_EQ(needed(), 1);
  readings.release_samples(101, {});
  EXPECT_EQ(needed(), 100);
}

TEST_F(ReadingsTest, ACatchUpStaysUntilTheFencesOfItsLastEventsAreAnswered) {
  readings.open_live(kP, Offset{10}, {}, Offset{0});
  readings.turn();
  readings.release_samples(1, {});
  finish(catch_up(), 0, 10);
  finish(live(), 10, 12);
  readings.end_step(1);
  readings.turn();
  EXPECT_FALSE(readings.catch_up(kP).has_value());
  EXPECT_EQ(needed(), 0);
  readings.release_samples(2, {});
  readings.turn();
  EXPECT_EQ(needed(), 12);
}

TEST_F(ReadingsTest, AnEventWithoutRoomForItsFenceIsOwed) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  read(live(), 0);
  const auto first = read(live(), 1);
  readings.owe_fence(*readings.live(kP), Offset{1});
  const auto next = read(live(), 2);
  readings.owe_fence(*readings.live(kP), Offset{2});
  settle(live(), 0, live().targets);
  settle(live(), first, live().targets);
  settle(live(), next, live().targets);
  EXPECT_EQ(needed(), 1);
  readings.turn();
  EXPECT_EQ(source.cursors.at(*catch_up().cursor).range.from, Offset{1});
  EXPECT_EQ(source.cursors.at(*catch_up().cursor).range.to, Offset{3});
  finish(catch_up(), 1, 3);
  readings.turn();
  EXPECT_EQ(needed(), 3);
}

// What a target was purged of and not fenced is owed to it.
TEST_F(ReadingsTest, ATargetThatIsLeftOutIsOwedWhatWasNotReleased) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  finish(live(), 0, 2);
  readings.release_samples(std::nullopt, {});
  finish(live(), 2, 6);
  readings.release_samples(1, {});
  readings.leave_out(kFrontend);
  EXPECT_EQ(readings.missed(kFrontend), 4u);
  readings.release_samples(std::nullopt, {});
  EXPECT_EQ(needed(), 2);
  readings.take_in(kFrontend, kNow);
  readings.turn();
  EXPECT_EQ(source.cursors.at(*catch_up().cursor).range.from, Offset{2});
}

TEST_F(ReadingsTest, AnotherOrderOwesWhatWasNotReleased) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  finish(live(), 0, 4);
  readings.release_samples(1, {});
  readings.owe_all(kNow);
  readings.release_samples(std::nullopt, {});
  EXPECT_EQ(needed(), 0);
}

TEST_F(ReadingsTest, ABacklogIsReadBesideTheLiveEndAndHoldsTheCommit) {
  readings.open_live(kP, Offset{100}, WallTime{seconds(4)}, Offset{5});
  readings.turn();
  const auto& cursor = source.cursors.at(*catch_up().cursor);
  EXPECT_EQ(cursor.range.from, Offset{5});
  EXPECT_EQ(cursor.range.to, Offset{100});
  EXPECT_EQ(cursor.priority, Priority::catch_up);
  EXPECT_EQ(readings.backlog(kP), 95u);
  finish(live(), 100, 120);
  EXPECT_EQ(needed(), 5);
  EXPECT_EQ(readings.needed(kP).time, WallTime{seconds(4)});
  finish(catch_up(), 5, 99);
  EXPECT_EQ(needed(), 99);
  Reading& last = catch_up();
  const std::uint64_t sequence = read(last, 99);
  readings.turn();  // all is read, and one event is on its way
  EXPECT_FALSE(readings.catch_up(kP).has_value());
  EXPECT_EQ(readings.backlog(kP), 0u);
  EXPECT_EQ(needed(), 99);
  settle(last, sequence, last.targets);
  readings.turn();
  EXPECT_EQ(needed(), 120);
  EXPECT_EQ(source.cursors.size(), 1u);
}

TEST_F(ReadingsTest, WhoIsBehindHoldsTheCommitAndGetsItsRangeWithTheLayersBehindIt) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  finish(live(), 0, 10);
  const std::uint64_t open = read(live(), 10);
  settle(live(), open, mask_of(kOther));
  readings.leave_out(kBackend);
  settle(live(), open, mask_of(kBackend) | mask_of(kFrontend));
  finish(live(), 11, 30);
  EXPECT_EQ(needed(), 10);
  EXPECT_EQ(readings.missed(kBackend), 20u);
  readings.turn();
  EXPECT_FALSE(readings.catch_up(kP).has_value()) << "nothing is read for who is not there";
  readings.take_in(kBackend, kNow);
  readings.turn();
  EXPECT_EQ(catch_up().targets, mask_of(kBackend) | mask_of(kFrontend));
  EXPECT_EQ(source.cursors.at(*catch_up().cursor).range.from, Offset{10});
  EXPECT_EQ(catch_up().to, Offset{30});
  EXPECT_EQ(catch_up().floor, kNow);
  EXPECT_EQ(needed(), 10);
  finish(catch_up(), 10, 30);
  readings.turn();
  EXPECT_EQ(needed(), 30);
  EXPECT_EQ(readings.missed(kBackend), 0u);
}

TEST_F(ReadingsTest, WhatSomebodyMissedIsCountedOnce) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  finish(live(), 0, 10);
  readings.leave_out(kBackend);
  finish(live(), 10, 20);
  readings.jump(kP, Offset{100}, true);  // the rest becomes a backlog for all
  EXPECT_EQ(readings.missed(kBackend), 90u);
}

TEST_F(ReadingsTest, BehindAgainDuringItsCatchUpItIsOwedTheRest) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  readings.leave_out(kBackend);
  finish(live(), 0, 50);
  readings.take_in(kBackend, kNow);
  readings.turn();
  finish(catch_up(), 0, 20);
  readings.leave_out(kBackend);
  readings.turn();
  EXPECT_FALSE(readings.catch_up(kP).has_value()) << "nobody is there for whom it was opened";
  EXPECT_EQ(needed(), 20);
  finish(live(), 50, 60);
  readings.take_in(kBackend, kNow);
  readings.turn();
  EXPECT_EQ(source.cursors.at(*catch_up().cursor).range.from, Offset{20});
}

// What nobody has read is read for a target that is new, although those for whom it was to be read
// are all away.
TEST_F(ReadingsTest, WhatAllMissedIsReadForOneThatIsNew) {
  constexpr TargetId kNew{3};
  readings.open_live(kP, Offset{50}, {}, Offset{0});  // they leave before it is read,
  readings.turn();
  for (const TargetId id : {kBackend, kOther, kFrontend}) readings.leave_out(id);
  readings.open_live(PartitionId{1}, Offset{50}, {}, Offset{0});  // and are not there at all
  readings.jump(PartitionId{1}, Offset{60}, true);
  readings.turn();
  readings.change_layers({{kBackend, kOther, kNew}, {kFrontend}});
  readings.take_in(kBackend, kNow);
  readings.turn();
  EXPECT_EQ(catch_up().targets & mask_of(kNew), mask_of(kNew));
  Offset reach;
  for (int i = 0; i < 3 && readings.catch_up(PartitionId{1}); ++i) {
    Reading& reading = readings[*readings.catch_up(PartitionId{1})];
    if ((reading.targets & mask_of(kNew)) != 0) reach = std::max(reach, *reading.to);
    source.cursors.at(*reading.cursor).position = *reading.to;
    readings.turn();
  }
  EXPECT_EQ(reach, Offset{60});
}

TEST_F(ReadingsTest, ALayerBehindThatIsAwayItselfIsOwedTheRangeToo) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  readings.leave_out(kBackend);
  finish(live(), 0, 50);
  readings.leave_out(kFrontend);
  readings.take_in(kBackend, kNow);
  readings.turn();
  finish(catch_up(), 0, 50);
  readings.turn();
  EXPECT_EQ(needed(), 0) << "the frontend has still to be purged after the backend's catch-up";
  readings.take_in(kFrontend, kNow + seconds(1));
  readings.turn();
  EXPECT_EQ(catch_up().targets, mask_of(kFrontend));
  EXPECT_EQ(catch_up().floor, kNow + seconds(1));
  finish(catch_up(), 0, 50);
  readings.turn();
  EXPECT_EQ(needed(), 50);
}

TEST_F(ReadingsTest, AJumpOwesWhatLiesBetweenToAllWhoAreThere) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  readings.leave_out(kOther);
  finish(live(), 0, 5);
  readings.jump(kP, Offset{100}, true);
  EXPECT_EQ(source.cursors.at(*live().cursor).position, Offset{100});
  EXPECT_EQ(needed(), 0) << "who is away has missed everything";
  readings.turn();
  EXPECT_EQ(catch_up().owed_to, mask_of(kBackend) | mask_of(kFrontend));
  EXPECT_EQ(catch_up().to, Offset{100});
}

TEST_F(ReadingsTest, AbandonedReadingsHoldNothing) {
  readings.open_live(kP, Offset{100}, {}, Offset{5});
  readings.turn();
  Reading& old = live();
  const std::uint64_t sequence = read(old, 100);
  readings.abandon(kP);
  EXPECT_TRUE(source.cursors.empty());
  readings.open_live(kP, Offset{2}, {}, Offset{2});
  EXPECT_EQ(needed(), 2);
  settle(old, sequence, old.targets);  // its deliveries end all the same
  readings.turn();
  finish(live(), 2, 4);
  EXPECT_EQ(needed(), 4);
}

TEST_F(ReadingsTest, AnAbandonedBacklogThatIsReadToItsEndIsOwedToNobody) {
  readings.open_live(kP, Offset{100}, {}, Offset{99});
  readings.turn();
  Reading& old = catch_up();
  const std::uint64_t sequence = read(old, 99);
  readings.turn();  // all of it is read, and on its way
  readings.abandon(kP);
  readings.open_live(kP, Offset{3}, {}, Offset{3});
  EXPECT_EQ(needed(), 3);
  readings.leave_out(kFrontend);
  readings.take_in(kFrontend, kNow);
  readings.turn();
  EXPECT_EQ(readings.missed(kFrontend), 0u);
  EXPECT_FALSE(readings.catch_up(kP).has_value()) << "offsets of a log that is gone";
  settle(old, sequence, old.targets);
}

TEST_F(ReadingsTest, WhoIsAwayWhenAPartitionStartsMissesItFromItsFirstOffset) {
  readings.open_live(PartitionId{1}, Offset{0}, {}, Offset{0});
  readings.leave_out(kFrontend);
  readings.open_live(kP, Offset{40}, {}, Offset{10});
  finish(live(), 40, 50);
  readings.turn();
  finish(catch_up(), 10, 40);
  readings.turn();
  EXPECT_EQ(needed(), 10);
}

TEST_F(ReadingsTest, RangesThatTouchBecomeOneAndTheirNumberIsBounded) {
  readings.open_live(kP, Offset{0}, {}, Offset{0});
  readings.jump(kP, Offset{10}, true);
  readings.jump(kP, Offset{30}, true);
  readings.turn();
  EXPECT_EQ(catch_up().to, Offset{30});
  std::int64_t at = 30;
  for (int i = 0; i < 200; ++i) {  // each away for ten events, with ten others between
    readings.leave_out(kFrontend);
    finish(live(), at, at + 10);
    readings.take_in(kFrontend, kNow);
    finish(live(), at + 10, at + 20);
    at += 20;
  }
  EXPECT_LE(readings.backlog(kP), static_cast<std::uint64_t>(at));
  finish(catch_up(), 0, 30);
  int ranges = 0;
  std::int64_t last = 0;
  for (readings.turn(); readings.catch_up(kP).has_value(); readings.turn()) {
    ++ranges;
    const Offset from = source.cursors.at(*catch_up().cursor).range.from;
    EXPECT_GE(from.value(), last);
    last = catch_up().to->value();
    finish(catch_up(), from.value(), last);
  }
  EXPECT_LE(ranges, static_cast<int>(Readings::kMostOwed));
  EXPECT_EQ(needed(), at);
}

TEST_F(ReadingsTest, AGapInABacklogIsPassedOver) {
  readings.open_live(kP, Offset{100}, {}, Offset{5});
  readings.turn();
  readings.skip(readings.catch_up(kP).value(), Offset{60});
  EXPECT_EQ(needed(), 60);
  EXPECT_EQ(readings.backlog(kP), 40u);
  readings.skip(readings.catch_up(kP).value(), Offset{100});
  readings.turn();
  EXPECT_EQ(needed(), 100);
}

}  // namespace
}  // namespace purgeline
