// Connections: pipelining, sends, ends without an answer, and who is suspected then.
#include "dispatch_support.h"

namespace purgeline::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

std::uint64_t errors(const World& world) {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : world.metrics().link_errors) sum += count;
  return sum;
}

void add(World& world, std::initializer_list<const char*> paths) {
  for (const char* path : paths) world.queue.add(path);
}

TEST(Pipelining, ManyRequestsLeaveInOneSend) {
  World world;
  add(world, {"/a", "/b", "/c"});
  const std::size_t link = world.connect();
  EXPECT_EQ(world.transport.links[link].sends, 1);
  EXPECT_THAT(world.paths(link), ElementsAre("/a", "/b", "/c"));
  EXPECT_EQ(world.metrics().in_flight, 3);
  world.answer(link, kPurged + kAbsent + kOk);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/b absent", "/c purged"));
  EXPECT_EQ(world.metrics().in_flight, 0);
}

TEST(Pipelining, OneSendAtATimeWhileTheOtherBufferFills) {
  World world;
  world.transport.hold_sends = true;
  add(world, {"/a"});
  const std::size_t link = world.connect();
  add(world, {"/b", "/c"});
  world.turn();
  world.turn();
  EXPECT_THAT(world.paths(link), ElementsAre("/a"));
  world.transport.sent(link);
  world.turn();
  EXPECT_THAT(world.paths(link), ElementsAre("/a", "/b", "/c"));
  EXPECT_EQ(world.transport.links[link].sends, 2);
}

TEST(Pipelining, TakesNoMoreThanItCanHold) {
  World world(World::one_target(2, 4));
  for (int i = 0; i < 100; ++i) world.queue.add("/" + std::to_string(i));
  for (int i = 0; i < 50; ++i) {
    world.turn();
    for (std::size_t link = 0; link < world.transport.links.size(); ++link) {
      if (!world.transport.links[link].open) world.transport.opened(link);
    }
    world.turn();
    EXPECT_LE(world.queue.held, 8u);
  }
  EXPECT_EQ(world.queue.held, 8u);
  EXPECT_EQ(world.queue.most_taken, 8u);
  EXPECT_EQ(world.transport.links.size(), 2u);
}

TEST(Pipelining, ASecondConnectionOnlyWhenTheFirstIsHalfFull) {
  World world(World::one_target(4, 8));
  add(world, {"/a", "/b", "/c"});
  const std::size_t first = world.connect();
  world.turn();
  EXPECT_EQ(world.transport.links.size(), 1u);
  add(world, {"/d"});
  world.turn();
  ASSERT_EQ(world.transport.links.size(), 2u);
  world.transport.opened(1);
  add(world, {"/e"});
  world.turn();
  EXPECT_THAT(world.paths(1), ElementsAre("/e"));
  EXPECT_EQ(world.paths(first).size(), 4u);
}

TEST(Pipelining, TheLongestRequestsFitTheBuffers) {
  World world(World::one_target(1, 64));
  for (int i = 0; i < 20; ++i) world.queue.add("/" + std::string(8000, '\xc3') + std::to_string(i));
  const std::size_t link = world.connect();
  for (int i = 0; i < 40 && world.queue.waiting() + world.queue.held > 0; ++i) {
    if (world.queue.held > 0)
      world.answer(link, kPurged);
    else
      world.turn();
  }
  EXPECT_EQ(world.outcomes().size(), 20u);
}

TEST(Ends, IdleOnesAreSilentAndReconnectsAreLazy) {
  World world;
  add(world, {"/a"});
  std::size_t link = world.connect();
  world.answer(link, kPurged);
  world.clock.advance(seconds(5));
  world.close(link);
  world.turn();
  EXPECT_EQ(world.transport.links.size(), 1u) << "connected without work";
  EXPECT_EQ(errors(world), 0u);
  EXPECT_EQ(world.state(), TargetState::up);
  add(world, {"/b"});
  link = world.connect();
  EXPECT_EQ(link, 1u);
  world.answer(link, kPurged);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/b purged"));
  EXPECT_EQ(world.metrics().connects, 2u);
}

TEST(Ends, UnansweredOnesGoBackInOrderAndTheFirstIsSuspected) {
  World world;
  add(world, {"/a", "/b", "/c", "/d"});
  std::size_t link = world.connect();
  world.transport.bytes(link, kPurged + "HTTP/1.1 20");
  world.close(link, Errc::reset);
  EXPECT_THAT(world.outcomes(),
              ElementsAre("/a purged", "/d unanswered", "/c unanswered", "/b unanswered"));
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(world.queue.reported[i].outcome.alone, world.queue.reported[i].path == "/b");
  }
  link = world.connect();
  EXPECT_THAT(world.paths(link), ElementsAre("/b"));
  world.answer(link, kPurged);
  EXPECT_THAT(world.paths(link), ElementsAre("/b", "/c", "/d"));
  EXPECT_EQ(world.metrics().link_errors[static_cast<std::size_t>(LinkError::reset)], 1u);
}

TEST(Ends, WhatWasNeverHandedOverSuspectsNobody) {
  World world;
  world.transport.hold_sends = true;
  add(world, {"/a"});
  const std::size_t link = world.connect();
  add(world, {"/b"});
  world.turn();  // waits in the second buffer
  world.transport.bytes(link, kPurged);
  world.close(link);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/b unanswered"));
  EXPECT_FALSE(world.last().alone);
}

TEST(Ends, AnAnnouncedCloseSuspectsNobodyAndSendsOneAtATime) {
  const std::string closing = "HTTP/1.1 204 x\r\nConnection: close\r\n\r\n";
  World world;
  add(world, {"/a", "/b", "/c"});
  std::size_t link = world.connect();
  world.answer(link, closing);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/c unanswered", "/b unanswered"));
  EXPECT_FALSE(world.last().alone);
  EXPECT_TRUE(world.transport.links[link].closing);
  world.transport.drain_closes();
  link = world.connect();
  EXPECT_THAT(world.paths(link), ElementsAre("/b"));
  world.answer(link, kPurged);  // it keeps this one open: all at once again
  EXPECT_THAT(world.paths(link), ElementsAre("/b", "/c"));
  EXPECT_EQ(errors(world), 0u);
}

TEST(Ends, AnAnswerWithoutLengthCountsAndEndsTheConnection) {
  World world;
  add(world, {"/a", "/b"});
  const std::size_t link = world.connect();
  world.answer(link, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/b unanswered"));
  EXPECT_TRUE(world.transport.links[link].closing);
}

TEST(Ends, AnAnswerToNothingIsCreditedToNobody) {
  World world;
  add(world, {"/a"});
  std::size_t link = world.connect();
  world.answer(link, kPurged + kPurged);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged"));
  EXPECT_TRUE(world.transport.links[link].closing);
  world.transport.drain_closes();
  add(world, {"/b"});
  link = world.connect();
  world.answer(link, kPurged);
  world.answer(link, "HTTP/1.1 408 Request Timeout\r\n");
  EXPECT_THAT(world.outcomes(), ElementsAre("/b purged"));
  EXPECT_TRUE(world.transport.links[link].closing);
}

TEST(Ends, AnAnswerBeforeItsRequestWasSentIsCreditedToNobody) {
  World world;
  world.transport.hold_sends = true;
  add(world, {"/a"});
  const std::size_t link = world.connect();
  add(world, {"/b"});
  world.turn();  // waits in the second buffer
  world.answer(link, kPurged + kPurged);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/b unanswered"));
  EXPECT_TRUE(world.transport.links[link].closing);
}

TEST(Ends, AcceptingAndClosingAtOnceIsNotConnectedToWithoutAPause) {
  World world;
  add(world, {"/a"});
  for (int i = 0; i < 100; ++i) {
    world.turn();
    if (world.transport.links.back().ended) break;
    world.transport.opened(world.transport.links.size() - 1);
    world.close(world.transport.links.size() - 1);
  }
  EXPECT_EQ(world.transport.links.size(), 5u);
  EXPECT_EQ(world.state(), TargetState::down);
  EXPECT_GT(world.dispatcher.next_due(), world.clock.now());
}

TEST(Poison, AUrlThatMakesACacheCloseIsIsolatedAndDies) {
  World world(World::one_target(2, 8));
  add(world, {"/a", "/poison", "/c"});
  std::size_t link = world.connect();
  world.transport.bytes(link, kPurged);
  world.close(link);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/c unanswered", "/poison unanswered"));
  for (int lonely = 1; lonely <= 3; ++lonely) {
    link = world.connect();
    ASSERT_THAT(world.paths(link), ElementsAre("/poison"));
    // It has a connection to itself; the others get another one.
    if (lonely == 1) {
      const std::size_t other = world.connect();
      ASSERT_NE(other, link);
      EXPECT_THAT(world.paths(other), ElementsAre("/c"));
      world.answer(other, kPurged);
      world.close(other);
    } else {
      world.queue.add("/good");
      world.turn();
      const std::size_t other = world.connect();
      world.answer(other, kPurged);
      world.close(other);
    }
    world.close(link);
    if (lonely < 3) {
      EXPECT_EQ(world.last().result, AttemptResult::retry);
      EXPECT_EQ(world.last().lonely, lonely);
      EXPECT_TRUE(world.last().alone);
      EXPECT_EQ(world.last().attempts, 0);
      world.clock.advance(world.last().not_before - world.clock.now());
    }
  }
  EXPECT_EQ(world.last().result, AttemptResult::poison);
  EXPECT_EQ(world.state(), TargetState::up);
  EXPECT_EQ(world.queue.waiting(), 0u);
}

TEST(Poison, AloneOnAQuietTargetItDiesByTheProbesThatAreAnswered) {
  World world;
  add(world, {"/poison"});
  for (int turn = 0; turn < 20; ++turn) {
    const std::size_t link = world.connect();
    if (world.paths(link) == std::vector<std::string>{"/poison"}) {
      world.close(link, Errc::reset);
      world.queue.add_probe("/probe");  // as the pipeline does after a suspect
    } else {
      world.answer(link, kPurged);
      world.close(link);
    }
    if (is_dead(world.last().result)) break;
    world.clock.advance(seconds(1));
  }
  EXPECT_EQ(world.last().result, AttemptResult::poison);
}

// As a proxy does whose cache is down.
TEST(Poison, WhoAcceptsAndClosesForEverybodyMakesNoDeadLetter) {
  World world;
  add(world, {"/fine"});
  for (int round = 0; round < 50; ++round) {
    world.queue.add_probe("/probe");
    const std::size_t link = world.connect();
    world.close(link, Errc::reset);
    world.clock.advance(seconds(10));
  }
  for (const Reported& reported : world.queue.reported)
    EXPECT_FALSE(is_dead(reported.outcome.result));
}

TEST(Poison, AnOutageIsHeldAgainstNobody) {
  World world;
  for (int i = 0; i < 20; ++i) world.queue.add("/" + std::to_string(i));
  for (int i = 0; i < 200; ++i) {
    world.turn();
    if (!world.transport.links.back().ended) {
      world.transport.opened(world.transport.links.size() - 1);
      world.turn();
      world.close(world.transport.links.size() - 1, Errc::reset);
    }
    world.clock.advance(milliseconds(700));
  }
  EXPECT_EQ(world.state(), TargetState::down);
  EXPECT_EQ(world.queue.waiting(), 20u);
  for (const Reported& reported : world.queue.reported)
    EXPECT_FALSE(is_dead(reported.outcome.result));
}

TEST(Alone, WaitsForAnEmptyConnectionAndNothingFollowsIt) {
  World world;
  add(world, {"/a", "/b", "/c"});
  std::size_t link = world.connect();
  world.close(link);
  link = world.connect();
  add(world, {"/d"});
  world.turn();
  EXPECT_THAT(world.paths(link), ElementsAre("/a"));
  // An error answer ends the suspicion: it was answered.
  world.answer(link, with_status(503));
  EXPECT_FALSE(world.last().alone);
  EXPECT_THAT(world.paths(link), ElementsAre("/a", "/b", "/c", "/d"));
  // A suspect that comes back while the connection is busy is held until it is empty.
  world.answer(link, kPurged + kPurged);
  EXPECT_THAT(world.outcomes(), testing::SizeIs(6));
  world.close(link);  // unanswered: /d
  link = world.connect();
  EXPECT_THAT(world.paths(link), ElementsAre("/d"));
  add(world, {"/e"});
  world.close(link);  // lonely: comes back after a pause, alone
  EXPECT_TRUE(world.last().alone);
  const Duration pause = world.last().not_before - world.clock.now();
  link = world.connect();
  world.clock.advance(milliseconds(100));  // the 503 is due again
  world.turn();
  EXPECT_THAT(world.paths(link), ElementsAre("/e", "/a"));
  world.after(pause);
  add(world, {"/f"});
  world.turn();
  EXPECT_THAT(world.paths(link), ElementsAre("/e", "/a"));
  EXPECT_EQ(world.queue.held, 3u);
  world.answer(link, kPurged + kPurged);
  EXPECT_THAT(world.paths(link), ElementsAre("/e", "/a", "/d"));
  world.answer(link, kPurged);
  EXPECT_THAT(world.paths(link), ElementsAre("/e", "/a", "/d", "/f"));
}

TEST(Drain, EndsWhatIsInFlightAndClosesAll) {
  World world;
  add(world, {"/a", "/b", "/c"});
  const std::size_t link = world.connect();
  add(world, {"/d"});
  world.dispatcher.drain(world.clock.now() + seconds(2));
  world.answer(link, kPurged);
  EXPECT_FALSE(world.dispatcher.idle());
  EXPECT_EQ(world.dispatcher.next_due(), world.clock.now() + seconds(2));
  world.after(seconds(2));
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/c unanswered", "/b unanswered"));
  EXPECT_FALSE(world.last().alone);
  world.transport.drain_closes();
  world.turn();
  EXPECT_TRUE(world.dispatcher.idle());
  EXPECT_EQ(world.queue.waiting(), 3u);
  EXPECT_EQ(world.transport.links.size(), 1u);
}

TEST(Drain, GivesUpWhatConnectsAndWhatIsIdle) {
  World world(World::one_target(2, 2));
  EXPECT_TRUE(world.dispatcher.idle());
  add(world, {"/a"});
  const std::size_t first = world.connect();
  ASSERT_EQ(world.transport.links.size(), 2u);  // a second one on its way
  world.answer(first, kPurged);
  world.dispatcher.drain(world.clock.now() + seconds(2));
  world.turn();
  EXPECT_TRUE(world.transport.links[0].closing);
  EXPECT_TRUE(world.transport.links[1].closing);
  world.transport.drain_closes();
  world.turn();
  EXPECT_TRUE(world.dispatcher.idle());
}

TEST(States, EveryOneHasAName) {
  EXPECT_STREQ(connection_state_name(Connection::State::closed), "closed");
  EXPECT_STREQ(connection_state_name(Connection::State::closing), "closing");
}

TEST(StatesDeathTest, AnIllegalChangeIsABug) {
  FakeTransport transport;
  Connection connection(transport, 4, "agent");
  EXPECT_DEATH(connection.on_open(), "kLegal");
  EXPECT_DEATH(connection.close(), "connecting");
}

}  // namespace
}  // namespace purgeline::test
