// Fences that wait for those of other hosts, and what other hosts are told.
#include <gtest/gtest.h>

#include "coalesce_fences_support.h"

namespace purgeline::fences_test {
namespace {

TEST(Fences, WhatIsOpenOnTheFirstLayerIsCountedByItself) {
  Bench b({{kBackend, kOther}, {kFrontend}});
  b.event(7);
  const auto first = b.fences().oldest_open();
  EXPECT_EQ(b.fences().oldest_open_first(), first);
  b.clock.advance(kStep);
  ASSERT_EQ(b.fences().end_step(), first);
  b.event(8);
  b.run(seconds(1));
  b.silent = {kFrontend, kOther};
  b.run(seconds(15));
  EXPECT_EQ(b.fences().oldest_open_first(), first) << "one of the first layer is missing";
  b.silent = {kFrontend};
  b.run(seconds(1));
  EXPECT_EQ(b.fences().oldest_open(), first);
  EXPECT_FALSE(b.fences().oldest_open_first().has_value());
  for (std::uint64_t key = 10; key < 20; ++key) {  // the numbers of the steps stay the same
    b.event(key);
    b.clock.advance(kStep);
    EXPECT_TRUE(b.fences().end_step().has_value());
  }
  EXPECT_EQ(b.fences().oldest_open_first(), *first + 1);
  b.silent.clear();
  b.run(seconds(30));
  EXPECT_FALSE(b.fences().oldest_open().has_value());
}

TEST(Fences, ThatWaitForPeersAreDueAHitTimeAfterThese) {
  Bench b;
  b.peers = true;
  b.event(7);
  b.run(seconds(20));
  EXPECT_EQ(b.purges(kBackend).size(), 2u);
  EXPECT_EQ(b.purges(kFrontend).size(), 1u);
  EXPECT_EQ(b.waits_for(), Offset{0});
  EXPECT_EQ(b.fences().waiting_for_peers(), 1u);
  EXPECT_GE(b.fences().first_for_peers(b.partition)->since, b.purges(kBackend)[1]);
  EXPECT_TRUE(b.fences().oldest_open().has_value());
  EXPECT_FALSE(b.fences().oldest_open_first().has_value()) << "or hosts would wait for each other";
  const MonoTime passed = b.clock.now();
  b.fences().pass_peers(b.partition);
  EXPECT_FALSE(b.waits_for().has_value());
  b.run(seconds(2));
  EXPECT_GE(b.purges(kFrontend).back(), passed + kHit);
  EXPECT_LE(b.purges(kFrontend).back(), passed + kHit + kTick);
  EXPECT_EQ(b.fences().waiting_for_peers(), 0u);
}

TEST(Fences, OneThatIsSharedWaitsForTheLatestEvent) {
  Bench b;
  b.peers = true;
  const MonoTime changed = b.clock.now();
  b.event(7);
  b.event(8);
  b.event(7);
  b.partition = PartitionId{1};
  b.event(7);  // 3, of another partition: a fence of its own
  b.partition = PartitionId{0};
  EXPECT_EQ(b.fences().counts().of(FenceHow::shared), 1u);
  b.run(seconds(15));
  EXPECT_EQ(b.fences().waiting_for_peers(), 3u);
  EXPECT_EQ(b.waits_for(PartitionId{1}), Offset{3});
  // That waits already is not to wait for longer: so does this one.
  b.event(7, b.clock.now() - changed);
  b.run(milliseconds(100));
  EXPECT_EQ(b.fences().waiting_for_peers(), 4u);
  std::set<std::int64_t> offsets;
  for (; b.waits_for(); b.fences().pass_peers(b.partition)) offsets.insert(b.waits_for()->value());
  EXPECT_EQ(offsets, (std::set<std::int64_t>{1, 2, 4}));
  b.run(seconds(2));
  EXPECT_EQ(b.fences().open(), 1u);
}

// When they fenced it is not known: later, perhaps, than what was purged here since.
TEST(Fences, OneThatPeersHaveHadAlreadyComesAHitTimeAfterItsEvent) {
  Bench b;
  b.among_peers = true;
  const MonoTime changed = b.clock.now();
  b.event(7);
  b.run(seconds(15));
  ASSERT_EQ(b.purges(kFrontend).size(), 2u);
  const MonoTime read = b.clock.now();
  b.event(7, read - changed);
  b.run(seconds(3));
  EXPECT_EQ(b.purges(kBackend).size(), 2u) << "it is covered here";
  EXPECT_GE(b.purges(kFrontend).back(), read + kHit);
}

TEST(Fences, NothingWaitsInALogThatIsGone) {
  Bench b;
  b.peers = true;
  b.event(7);
  b.run(seconds(15));
  b.event(8);
  b.partition = PartitionId{1};
  b.event(9);
  b.run(seconds(1));
  b.fences().forget_offsets(PartitionId{0});
  b.run(seconds(15));
  EXPECT_EQ(b.fences().open(), 1u);
  EXPECT_EQ(b.waits_for(PartitionId{1}), Offset{2});
}

// While it waits, and when it has waited.
TEST(Fences, ATargetThatIsAwayIsPassedOverWhenItsTurnComes) {
  Bench b;
  b.peers = true;
  b.event(7);
  b.run(seconds(15));
  b.leave_out(kFrontend);
  EXPECT_EQ(b.fences().open(), 1u);
  b.fences().pass_peers(b.partition);
  b.run(seconds(2));
  EXPECT_EQ(b.fences().open(), 0u);
}

}  // namespace
}  // namespace purgeline::fences_test
