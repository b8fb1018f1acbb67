// Targets that cannot be reached, names that have to be resolved, and one target's trouble being
// its own.
#include "dispatch_support.h"

namespace purgeline::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

std::uint64_t errors(const World& world, LinkError error) {
  return world.metrics().link_errors[static_cast<std::size_t>(error)];
}

TEST(Breaker, OpensWhenNoConnectionCanBeMadeAndProbesWithGrowingPauses) {
  World world;
  world.queue.add("/a");
  world.turn();
  world.close(0, Errc::refused);
  EXPECT_EQ(world.state(), TargetState::down);
  EXPECT_THAT(world.changes, ElementsAre("unknown -> down: cannot connect: refused"));
  Duration pause{0};
  for (int probe = 1; probe <= 10; ++probe) {
    pause = world.dispatcher.next_due() - world.clock.now();
    ASSERT_GT(pause, Duration{0});
    EXPECT_LE(pause, seconds(5));
    world.after(pause - Duration(1));
    EXPECT_EQ(world.transport.links.size(), static_cast<std::size_t>(probe));
    world.after(Duration(1));
    ASSERT_EQ(world.transport.links.size(), static_cast<std::size_t>(probe) + 1);
    world.close(world.transport.links.size() - 1, Errc::refused);
  }
  EXPECT_GE(pause, milliseconds(2500));
  EXPECT_EQ(world.queue.taken, 0u);
  EXPECT_EQ(errors(world, LinkError::refused), 11u);
  EXPECT_EQ(world.changes.size(), 1u) << "told once";
  world.clock.advance(seconds(5));
  const std::size_t link = world.connect();
  world.answer(link, kPurged);
  EXPECT_EQ(world.state(), TargetState::up);
  EXPECT_EQ(world.changes.back(), "down -> up: answers well (HTTP 204)");
}

TEST(Breaker, WithoutWorkItDoesNotKnock) {
  World world;
  world.queue.add("/a");
  const std::size_t link = world.connect();
  world.answer(link, with_status(400));
  world.close(link);
  EXPECT_EQ(world.dispatcher.next_due(), MonoTime::max());
  world.after(seconds(60));
  EXPECT_EQ(world.transport.links.size(), 1u);
}

TEST(Breaker, OpensAfterFiveFailuresInARowAndTakesOneProbeAtATime) {
  World world;
  for (int i = 0; i < 20; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t link = world.connect();
  for (int i = 0; i < 4; ++i) world.answer(link, with_status(503));
  EXPECT_EQ(world.state(), TargetState::unknown);
  world.answer(link, with_status(503));
  EXPECT_EQ(world.state(), TargetState::down);
  EXPECT_THAT(world.changes, ElementsAre("unknown -> down: answers with errors (HTTP 503)"));
  while (world.queue.held > 0) world.answer(link, with_status(503));
  for (int probe = 0; probe < 10; ++probe) {
    world.after(seconds(5));
    EXPECT_EQ(world.queue.held, 1u);
    world.answer(link, with_status(503));
    EXPECT_EQ(world.queue.held, 0u);
  }
  world.after(seconds(5));
  world.answer(link, kPurged);
  EXPECT_EQ(world.state(), TargetState::up);
  EXPECT_EQ(world.queue.held, 8u);
}

TEST(Breaker, AGoodAnswerBetweenFailuresKeepsItClosed) {
  World world;
  for (int i = 0; i < 50; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t link = world.connect();
  for (int i = 0; i < 10; ++i) {
    for (int j = 0; j < 4; ++j) world.answer(link, with_status(500));
    world.answer(link, kPurged);
  }
  EXPECT_EQ(world.state(), TargetState::up);
}

TEST(Breaker, OneFailedConnectionAmongWorkingOnesIsNone) {
  World world(World::one_target(2, 2));
  for (int i = 0; i < 10; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t first = world.connect();
  ASSERT_EQ(world.transport.links.size(), 2u);
  world.close(1, Errc::refused);
  EXPECT_EQ(world.state(), TargetState::unknown);
  world.answer(first, kPurged);
  EXPECT_EQ(world.state(), TargetState::up);
  EXPECT_EQ(errors(world, LinkError::refused), 1u);
}

TEST(Breaker, ADenialClosesItAsDenied) {
  World world;
  world.queue.add("/a");
  world.turn();
  world.close(0, Errc::refused);
  world.clock.advance(seconds(5));
  const std::size_t link = world.connect();
  world.answer(link, with_status(403));
  EXPECT_EQ(world.state(), TargetState::denied);
  world.close(link);
  world.after(seconds(1));
  world.close(2, Errc::refused);
  EXPECT_EQ(world.state(), TargetState::down);
}

TEST(Breaker, ConnectingThatTakesTooLongIsGivenUp) {
  World world;
  world.queue.add("/a");
  world.turn();
  EXPECT_EQ(world.dispatcher.next_due(), world.clock.now() + seconds(2));
  world.after(seconds(2));
  EXPECT_TRUE(world.transport.links[0].closing);
  EXPECT_EQ(world.state(), TargetState::down);
  EXPECT_EQ(errors(world, LinkError::timed_out), 1u);
  world.transport.drain_closes();
  world.turn();
  EXPECT_EQ(errors(world, LinkError::timed_out), 1u);
}

TEST(Breaker, ABannerBeforeAnyRequestIsNotConnectedToWithoutAPause) {
  World world;
  world.queue.add("/a");
  for (int i = 0; i < 50; ++i) {
    world.turn();
    const std::size_t link = world.transport.links.size() - 1;
    if (world.transport.links[link].ended) break;
    world.transport.opened(link);
    world.transport.bytes(link, "SSH-2.0-x\r\n");
    world.turn();
    world.transport.drain_closes();
  }
  EXPECT_EQ(world.transport.links.size(), 5u);
  EXPECT_EQ(world.state(), TargetState::down);
}

TEST(Breaker, AMillionTurnsOfAnOutageCostNothing) {
  World world;
  for (int i = 0; i < 1000; ++i) world.queue.add("/" + std::to_string(i));
  world.turn();
  world.close(0, Errc::refused);
  // The loop sleeps until next_due: counting turns shows that it does not spin.
  std::size_t turns = 0;
  for (const MonoTime end = world.clock.now() + seconds(600); world.clock.now() < end; ++turns) {
    world.after(std::max(Duration{1}, world.dispatcher.next_due() - world.clock.now()));
    if (!world.transport.links.back().ended)
      world.close(world.transport.links.size() - 1, Errc::refused);
  }
  EXPECT_LT(turns, 600u);
  EXPECT_EQ(world.queue.waiting(), 1000u);
}

TEST(Targets, OneTargetsTroubleIsItsOwn) {
  std::vector<TargetSpec> specs{World::one_target(), World::one_target()};
  specs[1].id = TargetId{1};
  World world(specs);
  world.queue.add("/a", TargetId{0});
  world.queue.add("/b", TargetId{1});
  world.turn();
  ASSERT_EQ(world.transport.links.size(), 2u);
  world.transport.opened(1);
  world.close(0, Errc::refused);
  world.answer(1, kPurged);
  EXPECT_EQ(world.dispatcher.state(TargetId{0}), TargetState::down);
  EXPECT_EQ(world.dispatcher.state(TargetId{1}), TargetState::up);
  EXPECT_THAT(world.outcomes(), ElementsAre("/b purged"));
}

// ---- names

TargetSpec named() {
  TargetSpec spec = World::one_target();
  spec.endpoint = endpoint("cache.example.org", 3128);
  return spec;
}
Address v4(std::uint8_t last) {
  Address address;
  address.family = Address::Family::inet4;
  address.port = 3128;
  address.ip = {192, 0, 2, last};
  return address;
}

TEST(Names, AreResolvedAtEachConnect) {
  World world(named());
  world.queue.add("/a");
  world.turn();
  EXPECT_THAT(world.resolver.asked, ElementsAre("cache.example.org:3128"));
  EXPECT_TRUE(world.transport.links.empty());
  world.resolver.answer = std::vector{v4(1)};
  std::size_t link = world.connect();
  EXPECT_EQ(world.transport.links[link].address, v4(1));
  world.answer(link, kPurged);
  world.close(link);
  world.queue.add("/b");
  world.turn();
  EXPECT_EQ(world.resolver.asked.size(), 2u);
  world.resolver.answer = std::vector{v4(2)};
  link = world.connect();
  EXPECT_EQ(world.transport.links[link].address, v4(2));
}

TEST(Names, TheLastAddressesAreKeptWhenTheNameServiceFails) {
  World world(named());
  world.queue.add("/a");
  world.turn();
  world.resolver.answer = std::vector{v4(1)};
  std::size_t link = world.connect();
  world.answer(link, kPurged);
  world.close(link);
  world.queue.add("/b");
  world.turn();
  world.resolver.answer = failure(Errc::unavailable, "no name server answers");
  link = world.connect();
  EXPECT_EQ(world.transport.links[link].address, v4(1));
  EXPECT_EQ(errors(world, LinkError::resolve), 1u);
  world.close(link);
  // Silence of the name service is a failure, too.
  world.turn();
  world.after(seconds(2));
  EXPECT_EQ(world.transport.links.back().address, v4(1));
  EXPECT_EQ(world.resolver.waiting, nullptr);
}

TEST(Names, WithoutAnyAddressTheTargetIsDown) {
  World world(named());
  world.queue.add("/a");
  world.turn();
  world.resolver.answer = failure(Errc::not_found, "no such name");
  world.turn();
  EXPECT_THAT(world.changes,
              ElementsAre("unknown -> down: cannot resolve cache.example.org: no such name"));
  EXPECT_GT(world.dispatcher.next_due(), world.clock.now());
}

TEST(Names, AddressesAreTriedInTurn) {
  World world(named());
  world.queue.add("/a");
  world.turn();
  world.resolver.answer = std::vector{v4(1), v4(2)};
  world.turn();
  world.close(0, Errc::refused);
  EXPECT_EQ(world.state(), TargetState::unknown) << "one of two";
  ASSERT_EQ(world.transport.links.size(), 2u);
  EXPECT_EQ(world.transport.links[1].address, v4(2));
  world.close(1, Errc::timed_out);
  EXPECT_EQ(world.state(), TargetState::down);
  EXPECT_EQ(world.resolver.asked.size(), 1u);
}

TEST(Names, ADispatcherThatGoesLeavesNothingWithTheResolver) {
  World world(named());
  world.queue.add("/a");
  world.turn();
  ASSERT_NE(world.resolver.waiting, nullptr);
  world.dispatcher.drain(world.clock.now());
  EXPECT_EQ(world.resolver.waiting, nullptr);
  world.turn();
  EXPECT_TRUE(world.dispatcher.idle());
}

}  // namespace
}  // namespace purgeline::test
