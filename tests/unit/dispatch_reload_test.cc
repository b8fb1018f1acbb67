// Targets that come, go and get other limits while purges are in flight.
#include "dispatch_support.h"

namespace purgeline::test {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

TEST(ChangedTarget, FewerConnectionsEndWithoutLosingWhatIsInFlight) {
  World world(World::one_target(2, 1));
  world.queue.add("/a");
  const std::size_t first = world.connect();
  world.queue.add("/b");
  const std::size_t second = world.connect();
  EXPECT_EQ(world.queue.held, 2u);
  world.dispatcher.alter(World::one_target(1, 1));
  world.turn();
  EXPECT_FALSE(world.transport.links[second].closing);
  world.answer(second, kPurged);
  EXPECT_TRUE(world.transport.links[second].closing);
  world.transport.drain_closes();
  world.queue.add("/c");
  world.answer(first, kPurged);
  EXPECT_THAT(world.paths(first), ElementsAre("/a", "/c"));
  EXPECT_EQ(world.transport.links.size(), 2u);
}

// It ended in the turn of the transport that came before the change.
TEST(ChangedTarget, AConnectionThatHasJustEndedGivesBackWhatItHad) {
  World world(World::one_target(2, 1));
  world.queue.add("/a");
  world.connect();
  world.queue.add("/b");
  const std::size_t second = world.connect();
  world.transport.closed(second, Errc::reset);
  world.dispatcher.alter(World::one_target(1, 1));
  world.turn();
  EXPECT_THAT(world.outcomes(), ElementsAre("/b unanswered"));
}

// What waits to be alone was taken under the old limits. The new ones may leave less room than is
// in use, on connections that are on their way out.
TEST(ChangedTarget, WhatIsHeldGoesOutThoughMoreIsInFlightThanTheNewLimitsAllow) {
  World world(World::one_target(2, 2));
  world.queue.add("/suspect");
  world.close(world.connect());
  world.close(world.connect());  // alone: comes back after a pause, alone again
  ASSERT_TRUE(world.last().alone);
  const Duration pause = world.last().not_before - world.clock.now();
  world.queue.add("/a");
  const std::size_t first = world.connect();
  const std::size_t second = world.connect();
  ASSERT_NE(first, second);
  world.queue.add("/b");
  world.queue.add("/c");
  world.turn();
  world.after(pause);
  ASSERT_EQ(world.queue.held, 4u) << "one is held, three are in flight";
  world.dispatcher.alter(World::one_target(1, 1));
  world.answer(first, kPurged + kPurged);
  EXPECT_EQ(world.paths(first).back(), "/suspect");
  EXPECT_EQ(world.paths(second).size(), 1u);
  world.answer(second, kPurged);
  world.answer(first, kPurged);
  EXPECT_EQ(world.queue.held, 0u);
  EXPECT_EQ(world.outcomes().back(), "/suspect purged");
}

TEST(ChangedTarget, OneThatIsRemovedEndsAndItsNumberIsFree) {
  World world;
  world.queue.add("/a");
  const std::size_t link = world.connect();
  world.dispatcher.remove(TargetId{0}, world.clock.now() + seconds(5));
  world.queue.add("/b");
  world.turn();
  EXPECT_FALSE(world.dispatcher.idle(TargetId{0}));
  world.answer(link, kPurged);
  world.transport.drain_closes();
  world.turn();
  ASSERT_TRUE(world.dispatcher.idle(TargetId{0}));
  EXPECT_THAT(world.paths(link), ElementsAre("/a"));
  world.dispatcher.forget(TargetId{0});
  world.dispatcher.add(World::one_target());
  EXPECT_THAT(world.paths(world.connect()), ElementsAre("/b"));
}

}  // namespace
}  // namespace purgeline::test
