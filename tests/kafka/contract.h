// The contract of Source and OffsetStore, as one suite that runs on the simulated log, on real
// Kafka and on the journal.
//
// No test asserts on time. What must not block is measured by counting turns of the loop that went
// by before something else happened.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kafka/world.h"

namespace purgeline::contract {

template <class W>
class SourceContract : public ::testing::Test {
 protected:
  // A hang guard, in turns: a turn sleeps for some 10 ms at most.
  static constexpr std::size_t kMaxTurns = 12'000;

  W world;

  [[nodiscard]] bool until(const std::function<bool()>& done) {
    for (std::size_t turns = 0; turns < kMaxTurns; ++turns) {
      if (done()) return true;
      world.turn();
    }
    return done();
  }
  // The partition, once the program knows it.
  [[nodiscard]] PartitionId known(const std::string& topic, std::int32_t partition = 0) {
    EXPECT_TRUE(until([&] { return world.heard.knows(topic, partition); })) << topic;
    return world.heard.id(topic, partition);
  }
  [[nodiscard]] CursorId open(PartitionId partition, std::int64_t from,
                              std::optional<Offset> to = std::nullopt,
                              Priority priority = Priority::live) {
    return world.source().open(partition, Range{Offset(from), to}, 1, priority);
  }
  // Reads until so many records are taken.
  [[nodiscard]] bool read(CursorId cursor, Taken& taken, std::size_t count,
                          std::size_t credit = 1000) {
    return until([&] {
      if (taken.offsets.size() >= count) return true;
      static_cast<void>(
          world.source().read(cursor, std::min(credit, count - taken.offsets.size()), taken));
      return taken.offsets.size() >= count;
    });
  }
  [[nodiscard]] std::string topic_with(std::int32_t records, const std::string& word = "topic") {
    const std::string topic = world.unique(word);
    world.create_topic(topic, 1);
    if (records > 0) world.append(topic, 0, records);
    return topic;
  }
  [[nodiscard]] Status commit(PartitionId partition, const PartitionName& name, Position position) {
    const std::size_t before = world.heard.committed.size();
    const Commit one{partition, name, std::move(position)};
    world.store().commit(std::span(&one, 1));
    EXPECT_TRUE(until([&] { return world.heard.committed.size() > before; }));
    return world.heard.committed.back().status;
  }
  [[nodiscard]] Result<std::optional<Position>> load(PartitionId partition,
                                                     const PartitionName& name) {
    const std::size_t before = world.heard.loaded.size();
    world.store().load(partition, name);
    EXPECT_TRUE(until([&] { return world.heard.loaded.size() > before; }));
    return world.heard.loaded.back().second;
  }
};

TYPED_TEST_SUITE_P(SourceContract);

TYPED_TEST_P(SourceContract, HandsOverAtMostTheCreditInOrder) {
  const std::string topic = this->topic_with(100);
  this->world.start({topic});
  const CursorId cursor = this->open(this->known(topic), 0);
  Taken taken;
  ASSERT_TRUE(this->until([&] {
    const std::size_t before = taken.offsets.size();
    const std::size_t got = this->world.source().read(cursor, 7, taken);
    EXPECT_LE(got, 7u);
    EXPECT_EQ(before + got, taken.offsets.size());
    EXPECT_EQ(this->world.source().position(cursor).value(),
              static_cast<std::int64_t>(taken.offsets.size()));
    return taken.offsets.size() >= 100;
  }));
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(taken.values[i], std::to_string(i));
  EXPECT_EQ(taken.disorder, 0u);
  EXPECT_EQ(taken.untimed, 0u);
  EXPECT_EQ(taken.last_time, kFirstTime + std::chrono::seconds(99));
  // And what comes later, too.
  this->world.append(topic, 0, 5);
  ASSERT_TRUE(this->read(cursor, taken, 105));
  EXPECT_EQ(taken.values.back(), "104");
}

TYPED_TEST_P(SourceContract, WithoutCreditNothingIsHandedOver) {
  const std::string topic = this->topic_with(50);
  this->world.start({topic});
  const CursorId cursor = this->open(this->known(topic), 10);
  Taken taken;
  for (int turns = 0; turns < 50; ++turns) {
    EXPECT_EQ(this->world.source().read(cursor, 0, taken), 0u);
    this->world.turn();
  }
  EXPECT_EQ(this->world.source().position(cursor), Offset(10));
  ASSERT_TRUE(this->read(cursor, taken, 40));
  EXPECT_EQ(taken.offsets.front(), Offset(10));
  EXPECT_EQ(taken.offsets.back(), Offset(49));
}

TYPED_TEST_P(SourceContract, RepositionIsExact) {
  const std::string topic = this->topic_with(2000);
  this->world.start({topic});
  const CursorId cursor = this->open(this->known(topic), 0);
  Taken taken;
  ASSERT_TRUE(this->read(cursor, taken, 100));
  // Moves both ways, some before anything of the last place has arrived.
  for (int move = 0; move < 40; ++move) {
    const std::int64_t to = (move * 977) % 1900;
    this->world.source().reposition(cursor, Offset(to));
    EXPECT_EQ(this->world.source().position(cursor), Offset(to));
    if (move % 5 == 4) continue;
    taken.clear();
    ASSERT_TRUE(this->read(cursor, taken, 20)) << "move " << move;
    for (std::size_t i = 0; i < 20; ++i) {
      ASSERT_EQ(taken.offsets[i].value(), to + static_cast<std::int64_t>(i)) << "move " << move;
    }
  }
}

TYPED_TEST_P(SourceContract, ARangeEndsWhereItSays) {
  const std::string topic = this->topic_with(60);
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  const CursorId cursor = this->open(partition, 5, Offset(25), Priority::catch_up);
  Taken taken;
  ASSERT_TRUE(this->read(cursor, taken, 20));
  for (int turns = 0; turns < 20; ++turns) {
    EXPECT_EQ(this->world.source().read(cursor, 100, taken), 0u);
    this->world.turn();
  }
  EXPECT_EQ(taken.offsets.back(), Offset(24));
  EXPECT_EQ(this->world.source().position(cursor), Offset(25));
}

TYPED_TEST_P(SourceContract, TwoCursorsReadOnePartitionSideBySide) {
  const std::string topic = this->topic_with(300);
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  const CursorId live = this->open(partition, 250);
  const CursorId behind = this->open(partition, 0, Offset(250), Priority::catch_up);
  Taken first;
  Taken second;
  ASSERT_TRUE(this->read(live, first, 50));
  ASSERT_TRUE(this->read(behind, second, 250));
  EXPECT_EQ(first.offsets.front(), Offset(250));
  EXPECT_EQ(second.offsets.back(), Offset(249));
  EXPECT_EQ(first.disorder + second.disorder, 0u);
  // When one is closed the other goes on.
  this->world.source().close(behind);
  this->world.append(topic, 0, 10);
  ASSERT_TRUE(this->read(live, first, 60));
  EXPECT_EQ(first.offsets.back(), Offset(309));
}

TYPED_TEST_P(SourceContract, OutOfRangeIsToldAndTheCursorStands) {
  const std::string topic = this->topic_with(100);
  this->world.trim(topic, 0, Offset(40));
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  const CursorId cursor = this->open(partition, 10);
  Taken taken;
  auto& losses = this->world.heard.losses;
  ASSERT_TRUE(this->until([&] {
    static_cast<void>(this->world.source().read(cursor, 10, taken));
    return !losses.empty();
  }));
  EXPECT_EQ(losses[0].cursor, cursor);
  EXPECT_EQ(losses[0].wanted, Offset(10));
  for (int turns = 0; turns < 30; ++turns) {
    EXPECT_EQ(this->world.source().read(cursor, 10, taken), 0u);
    this->world.turn();
  }
  EXPECT_EQ(losses.size(), 1u) << "told once";
  this->world.source().ask_ends(partition, 1);
  ASSERT_TRUE(this->until([&] { return this->world.heard.ends.contains(1); }));
  const Result<LogEnds> ends = this->world.heard.ends.at(1);
  ASSERT_TRUE(ends.has_value());
  EXPECT_EQ(ends->low, Offset(40));
  EXPECT_EQ(ends->high, Offset(100));
  this->world.source().reposition(cursor, ends->low);
  ASSERT_TRUE(this->read(cursor, taken, 60));
  EXPECT_EQ(taken.offsets.front(), Offset(40));
  // Beyond the end: a log that was made anew is shorter.
  this->world.source().reposition(cursor, Offset(5000));
  ASSERT_TRUE(this->until([&] {
    static_cast<void>(this->world.source().read(cursor, 10, taken));
    return losses.size() == 2;
  }));
  EXPECT_EQ(losses[1].wanted, Offset(5000));
}

TYPED_TEST_P(SourceContract, EndsAndTimesAreAnswered) {
  const std::string topic = this->topic_with(30);
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  EXPECT_FALSE(this->world.source().ends(partition).has_value()) << "nothing was fetched yet";
  const auto second = [](int n) {
    return kFirstTime + std::chrono::seconds(n);
  };
  this->world.source().find(partition, second(-100), 1);
  this->world.source().find(partition, second(12), 2);
  this->world.source().find(partition, second(12) + std::chrono::milliseconds(1), 3);
  this->world.source().find(partition, second(1000), 4);
  this->world.source().ask_ends(partition, 5);
  auto& heard = this->world.heard;
  ASSERT_TRUE(this->until([&] { return heard.found.size() == 4 && heard.ends.size() == 1; }));
  const std::vector<std::int64_t> expected{0, 12, 13, 30};
  for (std::uint64_t question = 1; question <= 4; ++question) {
    ASSERT_TRUE(heard.found.at(question).has_value()) << heard.found.at(question).error().detail;
    EXPECT_EQ(heard.found.at(question)->value(), expected[question - 1]) << question;
  }
  ASSERT_TRUE(heard.ends.at(5).has_value());
  EXPECT_EQ(heard.ends.at(5)->high, Offset(30));
  const CursorId cursor = this->open(partition, 0);
  Taken taken;
  ASSERT_TRUE(this->read(cursor, taken, 30));
  ASSERT_TRUE(this->world.source().ends(partition).has_value());
  EXPECT_EQ(this->world.source().ends(partition)->high, Offset(30));
  EXPECT_EQ(this->world.source().ends(partition)->low, Offset(0));
  // The end moves with the log, without a question, also when nobody reads.
  this->world.append(topic, 0, 7);
  EXPECT_TRUE(
      this->until([&] { return this->world.source().ends(partition)->high == Offset(37); }));
}

TYPED_TEST_P(SourceContract, NewTopicsAndPartitionsAppearWhileRunning) {
  const std::string old_topic = this->topic_with(3, "old");
  const std::string later = this->world.unique("later");
  this->world.start({old_topic, later});
  const PartitionId first = this->known(old_topic);
  EXPECT_FALSE(this->world.partition_is_new(first));
  auto& heard = this->world.heard;
  ASSERT_TRUE(this->until([&] { return !heard.missing.empty(); }));
  EXPECT_EQ(heard.missing, std::vector<std::string>{later});
  const bool many = this->world.has_partitions();
  this->world.create_topic(later, 2);
  this->world.append(later, many ? 1 : 0, 4);
  const PartitionId second = this->known(later, many ? 1 : 0);
  EXPECT_EQ(heard.returned, std::vector<std::string>{later});
  EXPECT_TRUE(this->world.partition_is_new(second));
  const CursorId cursor = this->open(second, 0);
  Taken taken;
  ASSERT_TRUE(this->read(cursor, taken, 4));
  EXPECT_EQ(taken.offsets.front(), Offset(0));
  if (many) {
    this->world.add_partitions(old_topic, 3);
    this->world.append(old_topic, 2, 2);
    const PartitionId third = this->known(old_topic, 2);
    EXPECT_TRUE(this->world.partition_is_new(third));
    const CursorId another = this->open(third, 0);
    taken.clear();
    ASSERT_TRUE(this->read(another, taken, 2));
  }
  EXPECT_EQ(heard.missing.size(), 1u) << "told once";
  EXPECT_EQ(heard.partitions.size(), heard.ids.size()) << "each partition once";
}

TYPED_TEST_P(SourceContract, OneTopicsLagDoesNotHoldAnother) {
  const std::string slow = this->topic_with(20'000, "slow");
  const std::string quick = this->topic_with(200, "quick");
  this->world.start({slow, quick});
  const CursorId stuck = this->open(this->known(slow), 0);
  const CursorId moving = this->open(this->known(quick), 0);
  Taken little;
  ASSERT_TRUE(this->read(stuck, little, 1, 1));
  // From here on the slow one is not read at all, its queue is full of what it fetched.
  Taken taken;
  ASSERT_TRUE(this->read(moving, taken, 200));
  for (int round = 0; round < 20; ++round) {
    this->world.append(quick, 0, 10);
    ASSERT_TRUE(this->read(moving, taken, 210 + static_cast<std::size_t>(round) * 10));
  }
  Taken rest;
  ASSERT_TRUE(this->read(stuck, rest, 19'999));
  EXPECT_EQ(rest.offsets.front(), Offset(1));
  EXPECT_EQ(rest.disorder, 0u);
}

TYPED_TEST_P(SourceContract, PositionsComeBackAsTheyWereCommitted) {
  const std::string topic = this->topic_with(10);
  const PartitionName name{topic, 0};
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  const auto nothing = this->load(partition, name);
  ASSERT_TRUE(nothing.has_value()) << nothing.error().detail;
  EXPECT_FALSE(nothing->has_value());
  ASSERT_TRUE(this->commit(partition, name, {Offset(4), kFirstTime, "cluster-a"}).has_value());
  ASSERT_TRUE(this->commit(partition, name, {Offset(7), std::nullopt, "cluster-a"}).has_value());
  this->world.start({topic});
  const PartitionId again = this->known(topic);
  const auto untimed = this->load(again, name);
  ASSERT_TRUE(untimed.has_value() && untimed->has_value());
  EXPECT_EQ((*untimed)->offset, Offset(7));
  EXPECT_FALSE((*untimed)->event_time.has_value());
  ASSERT_TRUE(this->commit(again, name, {Offset(9), kFirstTime, "cluster-b"}).has_value());
  const auto timed = this->load(again, name);
  ASSERT_TRUE(timed.has_value() && timed->has_value());
  EXPECT_EQ((*timed)->event_time, kFirstTime);
  EXPECT_EQ((*timed)->cluster, "cluster-b");
}

TYPED_TEST_P(SourceContract, ARefusedCommitIsToldAndChangesNothing) {
  const std::string topic = this->topic_with(10);
  const PartitionName name{topic, 0};
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  ASSERT_TRUE(this->commit(partition, name, {Offset(3), kFirstTime, "c"}).has_value());
  // Longer than what brokers take.
  const Status refused =
      this->commit(partition, name, {Offset(5), kFirstTime, std::string(5000, 'x')});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::invalid);
  EXPECT_EQ(this->world.heard.committed.back().offset, Offset(5));
  const auto stored = this->load(partition, name);
  ASSERT_TRUE(stored.has_value() && stored->has_value());
  EXPECT_EQ((*stored)->offset, Offset(3));
}

// The loop must go on turning while a question is stuck on a log that takes bytes and answers none.
// A call that blocked would leave next to no turns between the question and its time-out.
TYPED_TEST_P(SourceContract, AFrozenLogHoldsNoCall) {
  const std::string topic = this->topic_with(100);
  const PartitionName name{topic, 0};
  this->world.start({topic});
  const PartitionId partition = this->known(topic);
  const CursorId cursor = this->open(partition, 0);
  Taken taken;
  ASSERT_TRUE(this->read(cursor, taken, 10));
  ASSERT_TRUE(this->commit(partition, name, {Offset(1), kFirstTime, "c"}).has_value());
  Source& source = this->world.source();
  this->world.freeze();
  source.find(partition, kFirstTime, 1);
  std::size_t turns = 0;
  ASSERT_TRUE(this->until([&] {
    ++turns;
    Taken ignored;
    static_cast<void>(source.read(cursor, 1, ignored));
    static_cast<void>(source.position(cursor));
    static_cast<void>(source.ends(partition));
    if (turns % 20 == 5) source.reposition(cursor, Offset(50));
    if (turns % 20 == 10) {
      const CursorId other = this->open(partition, 0, std::nullopt, Priority::catch_up);
      static_cast<void>(source.read(other, 1, ignored));
      source.close(other);
    }
    if (turns == 15) source.ask_ends(partition, 2);
    if (turns == 16) this->world.store().load(partition, name);
    if (turns == 17) {
      const Commit one{partition, name, {Offset(2), kFirstTime, "c"}};
      this->world.store().commit(std::span(&one, 1));
    }
    return this->world.heard.found.contains(1);
  }));
  EXPECT_GE(turns, 50u);
  EXPECT_FALSE(this->world.heard.found.at(1).has_value());
  this->RecordProperty("turns_while_frozen", static_cast<int>(turns));
  this->world.thaw();
  source.reposition(cursor, Offset(60));
  taken.clear();
  ASSERT_TRUE(this->read(cursor, taken, 40));
  EXPECT_EQ(taken.offsets.front(), Offset(60));
  EXPECT_TRUE(this->until([&] { return this->world.heard.committed.size() == 2; }));
  EXPECT_TRUE(this->until([&] { return this->world.heard.loaded.size() == 1; }));
}

TYPED_TEST_P(SourceContract, ALogThatIsDownIsToldOnceAndReadWhenItIsBack) {
  const std::string topic = this->topic_with(20);
  this->world.stop_log();
  this->world.start({topic});
  auto& states = this->world.heard.states;
  ASSERT_TRUE(this->until([&] { return !states.empty(); }));
  for (int turns = 0; turns < 100; ++turns) this->world.turn();
  EXPECT_EQ(states, std::vector<bool>{false});
  this->world.start_log();
  const CursorId cursor = this->open(this->known(topic), 0);
  Taken taken;
  ASSERT_TRUE(this->read(cursor, taken, 20));
  ASSERT_TRUE(this->until([&] { return states.size() == 2; }));
  EXPECT_EQ(this->world.heard.clusters.size(), 1u);
  this->world.stop_log();
  ASSERT_TRUE(this->until([&] {
    static_cast<void>(this->world.source().read(cursor, 10, taken));
    return states.size() == 3;
  }));
  this->world.start_log();
  this->world.append(topic, 0, 5);
  ASSERT_TRUE(this->read(cursor, taken, 25));
  ASSERT_TRUE(this->until([&] { return states.size() >= 4; }));
  EXPECT_EQ(states, (std::vector<bool>{false, true, false, true}));
  EXPECT_EQ(taken.disorder, 0u);
  EXPECT_EQ(taken.values.back(), "24");
  EXPECT_EQ(this->world.heard.clusters.size(), 1u) << "the same cluster";
}

REGISTER_TYPED_TEST_SUITE_P(SourceContract, HandsOverAtMostTheCreditInOrder,
                            WithoutCreditNothingIsHandedOver, RepositionIsExact,
                            ARangeEndsWhereItSays, TwoCursorsReadOnePartitionSideBySide,
                            OutOfRangeIsToldAndTheCursorStands, EndsAndTimesAreAnswered,
                            NewTopicsAndPartitionsAppearWhileRunning,
                            OneTopicsLagDoesNotHoldAnother, PositionsComeBackAsTheyWereCommitted,
                            ARefusedCommitIsToldAndChangesNothing, AFrozenLogHoldsNoCall,
                            ALogThatIsDownIsToldOnceAndReadWhenItIsBack);

}  // namespace purgeline::contract
