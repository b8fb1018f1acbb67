// What each answer means for a delivery and its target: design rules, one test each.
#include "dispatch_support.h"

namespace purgeline::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

struct AnswerRow {
  std::string answer;
  AttemptResult result;
  TargetState state;  // when it was the answer to the only request of a fresh target
};

class Answers : public testing::TestWithParam<AnswerRow> {};

TEST_P(Answers, HaveOneMeaning) {
  World world;
  world.queue.add("/a");
  const std::size_t link = world.connect();
  world.answer(link, GetParam().answer);
  ASSERT_EQ(world.queue.reported.size(), 1u);
  EXPECT_EQ(world.last().result, GetParam().result);
  EXPECT_EQ(world.last().status, std::stoi(GetParam().answer.substr(9, 3)));
  EXPECT_EQ(world.state(), GetParam().state);
  EXPECT_EQ(world.metrics().results[static_cast<std::size_t>(GetParam().result)], 1u);
  EXPECT_EQ(world.metrics().statuses[status_index(world.last().status)], 1u);
  EXPECT_EQ(world.metrics().attempt.total(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Vocabulary, Answers,
    testing::Values(AnswerRow{kOk, AttemptResult::purged, TargetState::up},
                    AnswerRow{kPurged, AttemptResult::purged, TargetState::up},
                    AnswerRow{kAbsent, AttemptResult::absent, TargetState::up},
                    AnswerRow{"HTTP/1.1 204 Domain not cached here\r\n\r\n",
                              AttemptResult::filtered, TargetState::up},
                    AnswerRow{"HTTP/1.1 200 Domain not cached here\r\nContent-Length: 0\r\n\r\n",
                              AttemptResult::purged, TargetState::up},
                    AnswerRow{with_status(403), AttemptResult::denied, TargetState::denied},
                    AnswerRow{with_status(405), AttemptResult::denied, TargetState::denied},
                    AnswerRow{with_status(501), AttemptResult::denied, TargetState::denied},
                    AnswerRow{with_status(400), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(414), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(301), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(304), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(401), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(410), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(429), AttemptResult::refused, TargetState::unknown},
                    AnswerRow{with_status(408), AttemptResult::retry, TargetState::unknown},
                    AnswerRow{with_status(500), AttemptResult::retry, TargetState::unknown},
                    AnswerRow{with_status(502), AttemptResult::retry, TargetState::unknown},
                    AnswerRow{with_status(503), AttemptResult::retry, TargetState::unknown},
                    AnswerRow{with_status(504), AttemptResult::retry, TargetState::unknown},
                    AnswerRow{with_status(999), AttemptResult::retry, TargetState::unknown}),
    [](const testing::TestParamInfo<AnswerRow>& row) {
      return "Row" + std::to_string(row.index) + "_" + row.param.answer.substr(9, 3);
    });

TEST(Retry, BacksOffWithJitterAndCountsAttempts) {
  World world;
  world.queue.add("/a");
  const std::size_t link = world.connect();
  Duration longest{0};
  for (int failure = 1; failure <= 4; ++failure) {
    world.queue.add("/good");
    world.turn();
    world.answer(link, with_status(503) + kPurged);
    const Outcome& outcome = world.queue.reported[world.queue.reported.size() - 2].outcome;
    ASSERT_EQ(outcome.result, AttemptResult::retry);
    EXPECT_EQ(outcome.attempts, failure);
    const Duration pause = outcome.not_before - world.clock.now();
    EXPECT_GE(pause, milliseconds(50) * (1 << (failure - 1)));
    EXPECT_LE(pause, milliseconds(100) * (1 << (failure - 1)));
    longest = std::max(longest, pause);
    world.after(pause);
  }
  EXPECT_GE(longest, milliseconds(400));
}

TEST(Retry, IsGivenUpOnlyWhileOthersAreAnsweredWell) {
  World world;
  world.queue.add("/bad");
  const std::size_t link = world.connect();
  for (int failure = 1; failure <= 10; ++failure) {
    world.queue.add("/good");
    world.turn();
    world.answer(link, with_status(503) + kPurged);
    world.after(seconds(5));
  }
  EXPECT_THAT(world.outcomes(), Contains("/bad exhausted"));
  EXPECT_EQ(world.queue.waiting(), 0u);
}

TEST(Retry, IsNeverGivenUpInAnOutage) {
  World world;
  world.queue.add("/a");
  std::size_t link = world.connect();
  world.answer(link, with_status(503));
  for (int failure = 2; failure <= 100; ++failure) {
    world.after(seconds(6));
    world.answer(link, with_status(503));
  }
  EXPECT_THAT(world.outcomes(), testing::Each("/a retry"));
  EXPECT_EQ(world.queue.reported.size(), 100u);
  EXPECT_EQ(world.last().attempts, 1);
  EXPECT_EQ(world.state(), TargetState::down);
  world.after(seconds(6));
  world.answer(link, kPurged);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged"));
}

TEST(Retry, AMalformedAnswerCostsItsOwnDeliveryAnAttemptAndTheConnection) {
  World world;
  for (const char* path : {"/a", "/b", "/c", "/d"}) world.queue.add(path);
  const std::size_t link = world.connect();
  world.answer(link, kPurged + "HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(world.outcomes(),
              ElementsAre("/a purged", "/d unanswered", "/c unanswered", "/b retry"));
  EXPECT_TRUE(world.transport.links[link].closing);
  EXPECT_EQ(world.metrics().link_errors[static_cast<std::size_t>(LinkError::malformed)], 1u);
  world.transport.drain_closes();
  const std::size_t next = world.connect();
  EXPECT_THAT(world.paths(next), ElementsAre("/c", "/d"));
  EXPECT_EQ(world.metrics().link_errors[static_cast<std::size_t>(LinkError::malformed)], 1u);
}

TEST(Retry, NoAnswerInTimeClosesTheConnectionAndCreditsNothingLater) {
  World world;
  for (const char* path : {"/a", "/b"}) world.queue.add(path);
  const std::size_t link = world.connect();
  EXPECT_EQ(world.dispatcher.next_due(), world.clock.now() + seconds(10));
  world.after(seconds(10));
  EXPECT_THAT(world.outcomes(), ElementsAre("/b unanswered", "/a retry"));
  EXPECT_TRUE(world.transport.links[link].closing);
  EXPECT_EQ(world.metrics().link_errors[static_cast<std::size_t>(LinkError::timed_out)], 1u);
  world.transport.drain_closes();
  EXPECT_EQ(world.paths(world.connect()), std::vector<std::string>{"/b"});
}

TEST(Retry, ALongPipelineMayTakeLongWhileAnswersCome) {
  World world;
  for (int i = 0; i < 8; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t link = world.connect();
  for (int i = 0; i < 8; ++i) {
    world.clock.advance(seconds(9));
    world.answer(link, kPurged);
  }
  EXPECT_EQ(world.outcomes().size(), 8u);
  EXPECT_FALSE(world.transport.links[link].closing);
}

TEST(Retry, BytesThatNeverMakeAnAnswerDoNotHelp) {
  World world;
  world.queue.add("/a");
  const std::size_t link = world.connect();
  world.answer(link, "HTTP/1.1 200 x\r\nX: ");
  for (int i = 0; i < 10; ++i) {
    world.clock.advance(seconds(1));
    world.answer(link, "x");
  }
  EXPECT_THAT(world.outcomes(), ElementsAre("/a retry"));
}

TEST(Refused, WhatCannotBeWrittenNeverIs) {
  World world;
  world.queue.add("/a b");
  world.queue.add("/fine");
  const std::size_t link = world.connect();
  EXPECT_THAT(world.outcomes(), ElementsAre("/a b refused"));
  EXPECT_THAT(world.paths(link), ElementsAre("/fine"));
}

TEST(Refused, LeavesTheNeighboursAlone) {
  World world;
  for (const char* path : {"/a", "/bad", "/c"}) world.queue.add(path);
  const std::size_t link = world.connect();
  world.answer(link, kPurged + with_status(400) + kAbsent);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a purged", "/bad refused", "/c absent"));
  EXPECT_EQ(world.state(), TargetState::up);
  EXPECT_FALSE(world.transport.links[link].closing);
}

TEST(Denied, OneUrlAmongGoodOnesIsRefused) {
  World world;
  for (const char* path : {"/bad", "/b", "/c"}) world.queue.add(path);
  const std::size_t link = world.connect();
  world.answer(link, with_status(403) + kPurged + kPurged);
  EXPECT_THAT(world.outcomes(), ElementsAre("/bad denied", "/b purged", "/c purged"));
  EXPECT_EQ(world.state(), TargetState::up);
  world.queue.add("/d");
  world.after(seconds(1));
  world.answer(link, kPurged + with_status(403));
  EXPECT_THAT(world.outcomes(), ElementsAre("/d purged", "/bad refused"));
  EXPECT_THAT(world.changes, ElementsAre("unknown -> up: answers well (HTTP 204)"));
}

// What answers a probe well may be a router before a cache that denies everybody.
TEST(Denied, AProbeIsNoEvidenceAgainstTheUrl) {
  World world;
  world.queue.add("/a");
  world.queue.add_probe("/probe");
  const std::size_t link = world.connect();
  world.answer(link, with_status(403) + kAbsent);
  EXPECT_THAT(world.outcomes(), ElementsAre("/a denied", "/probe absent"));
  EXPECT_EQ(world.state(), TargetState::up);
  world.after(seconds(1));
  world.answer(link, with_status(403));
  EXPECT_THAT(world.outcomes(), ElementsAre("/a denied"));
}

TEST(Denied, ATargetThatDeniesAllIsProbedOnceASecondAndLosesNothing) {
  World world(World::one_target(1, 16));
  for (int i = 0; i < 40; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t link = world.connect();
  while (world.queue.held > 0) world.answer(link, with_status(405));
  EXPECT_EQ(world.state(), TargetState::denied);
  EXPECT_THAT(world.changes, ElementsAre("unknown -> denied: denies purges (HTTP 405)"));
  const std::size_t before = world.queue.taken;
  EXPECT_LT(before, 16u + 8u);
  for (int second = 1; second <= 60; ++second) {
    EXPECT_LE(world.dispatcher.next_due(), world.clock.now() + seconds(1));
    world.after(milliseconds(999));
    EXPECT_EQ(world.queue.held, 0u) << "nothing between two probes";
    world.after(milliseconds(1));
    EXPECT_EQ(world.queue.held, 1u);
    world.answer(link, with_status(405));
  }
  EXPECT_EQ(world.queue.taken, before + 60);
  EXPECT_EQ(world.queue.waiting(), 40u);
  EXPECT_EQ(world.changes.size(), 1u);
  // It allows purging again: full speed at once.
  world.after(seconds(1));
  world.answer(link, kPurged);
  EXPECT_EQ(world.state(), TargetState::up);
  for (int i = 0; i < 39; ++i) {
    if (world.queue.held == 0) world.after(seconds(1));
    world.answer(link, kPurged);
  }
  EXPECT_EQ(world.queue.waiting(), 0u);
  for (const Reported& reported : world.queue.reported)
    EXPECT_FALSE(is_dead(reported.outcome.result));
}

TEST(Denied, GoodAnswersAtTheOnsetDoNotTurnItAgainstTheUrl) {
  World world(World::one_target(1, 16));
  for (int i = 0; i < 12; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t link = world.connect();
  // Denied, then others well, then all denied: the first one has seen good answers since its
  // denial.
  world.answer(link, with_status(403) + kPurged + kPurged + kPurged);
  for (int i = 0; i < 8; ++i) world.answer(link, with_status(403));
  ASSERT_EQ(world.state(), TargetState::denied);
  for (int i = 0; i < 30; ++i) {
    world.after(seconds(1));
    world.answer(link, with_status(403));
  }
  for (const Reported& reported : world.queue.reported)
    EXPECT_FALSE(is_dead(reported.outcome.result));
}

TEST(Denied, NeedsEightInARowWhileOthersAreInFlight) {
  World world(World::one_target(1, 16));
  for (int i = 0; i < 16; ++i) world.queue.add("/" + std::to_string(i));
  const std::size_t link = world.connect();
  for (int i = 0; i < 7; ++i) world.answer(link, with_status(403));
  EXPECT_EQ(world.state(), TargetState::unknown);
  world.answer(link, with_status(403));
  EXPECT_EQ(world.state(), TargetState::denied);
  world.answer(link, kPurged);
  EXPECT_EQ(world.state(), TargetState::up);
}

}  // namespace
}  // namespace purgeline::test
