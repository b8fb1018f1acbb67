// When a target is left out of live purging, and when it comes back.
#include "app/absences.h"

#include <gtest/gtest.h>

namespace purgeline {
namespace {

using std::chrono::seconds;
using Move = Absences::Move;

constexpr TargetId kBackend{0};
constexpr MonoTime kStart{seconds(1000)};

struct AbsencesTest : testing::Test {
  Move judge(Duration after, bool tight = false) {
    return absences.judge(kBackend, facts, tight, kStart + after).move;
  }
  Absences absences{seconds(60), 2};
  std::vector<AbsenceFacts> facts{{TargetState::up, 0, true}, {TargetState::up, 0, true}};
};

TEST_F(AbsencesTest, LeftOutAfterBehindAfterWithoutAGoodAnswer) {
  for (const TargetState state : {TargetState::unknown, TargetState::down, TargetState::denied}) {
    SCOPED_TRACE(target_state_name(state));
    absences = Absences(seconds(60), 2);
    facts[0].state = state;
    EXPECT_EQ(judge(seconds(0)), Move::none);
    EXPECT_EQ(absences.next_due(kStart), kStart + seconds(60));
    EXPECT_EQ(judge(seconds(59)), Move::none);
    EXPECT_EQ(judge(seconds(60)), Move::leave_out);
    EXPECT_TRUE(absences.behind(kBackend));
    EXPECT_EQ(judge(seconds(61)), Move::none);
  }
}

TEST_F(AbsencesTest, AGoodAnswerStartsTheTimeAnew) {
  facts[0].state = TargetState::down;
  judge(seconds(0));
  facts[0].state = TargetState::up;
  judge(seconds(50));
  facts[0].state = TargetState::down;
  EXPECT_EQ(judge(seconds(60)), Move::none);
  EXPECT_EQ(judge(seconds(119)), Move::none);
  EXPECT_EQ(judge(seconds(120)), Move::leave_out);
}

TEST_F(AbsencesTest, ComesBackWhenItAnswersAndNothingOfTheFormerTimeWaits) {
  facts[0].state = TargetState::down;
  judge(seconds(0));
  ASSERT_EQ(judge(seconds(60)), Move::leave_out);
  facts[0] = {TargetState::up, 0, false};
  EXPECT_EQ(judge(seconds(70)), Move::none);  // what waited is still being let go
  facts[0].idle = true;
  EXPECT_EQ(judge(seconds(71)), Move::take_in);
  EXPECT_FALSE(absences.behind(kBackend));
  EXPECT_EQ(judge(seconds(72)), Move::none);
}

struct TightRow {
  const char* what;
  AbsenceFacts backend;
  AbsenceFacts frontend;
  bool tight;
  Move move;
};

TEST_F(AbsencesTest, WhoFillsTheTableIsLeftOut) {
  const TightRow rows[] = {
      {"down, and there is room", {TargetState::down, 900, false}, {}, false, Move::none},
      {"down", {TargetState::down, 900, false}, {}, true, Move::leave_out},
      {"denied", {TargetState::denied, 9, false}, {}, true, Move::leave_out},
      {"down, and nobody waits for it", {TargetState::down, 0, true}, {}, true, Move::none},
      {"not heard of yet",
       {TargetState::unknown, 900, false},
       {TargetState::up, 800, false},
       true,
       Move::none},
      {"slow, and the other has little to do",
       {TargetState::up, 900, false},
       {TargetState::up, 10, false},
       true,
       Move::leave_out},
      {"slow, and the other is as slow",
       {TargetState::up, 900, false},
       {TargetState::up, 800, false},
       true,
       Move::none},
      {"the other is slow",
       {TargetState::up, 10, false},
       {TargetState::up, 900, false},
       true,
       Move::none},
  };
  for (const TightRow& row : rows) {
    SCOPED_TRACE(row.what);
    absences = Absences(seconds(60), 2);
    facts = {row.backend, row.frontend};
    const bool at_once = row.backend.state != TargetState::up;
    EXPECT_EQ(judge(seconds(0), row.tight), at_once ? row.move : Move::none);
    if (at_once) continue;
    EXPECT_EQ(judge(seconds(4), row.tight), Move::none);
    EXPECT_EQ(judge(seconds(5), row.tight), row.move);
  }
}

TEST_F(AbsencesTest, ABurstMakesNobodySlow) {
  facts = {{TargetState::up, 900, false}, {TargetState::up, 0, true}};
  EXPECT_EQ(judge(seconds(0), true), Move::none);
  EXPECT_EQ(absences.next_due(kStart), kStart + seconds(5));
  EXPECT_EQ(judge(seconds(4), false), Move::none);
  EXPECT_EQ(judge(seconds(5), true), Move::none);
  EXPECT_EQ(judge(seconds(9), true), Move::none);
  EXPECT_EQ(judge(seconds(10), true), Move::leave_out);
}

TEST_F(AbsencesTest, AloneIsNeverTooSlow) {
  Absences alone(seconds(60), 1);
  const std::vector<AbsenceFacts> only{{TargetState::up, 1000, false}};
  EXPECT_EQ(alone.judge(kBackend, only, true, kStart).move, Move::none);
  EXPECT_EQ(alone.judge(kBackend, only, true, kStart + seconds(60)).move, Move::none);
}

TEST_F(AbsencesTest, ASlowTargetIsAwayForAtLeastASecond) {
  facts = {{TargetState::up, 900, false}, {TargetState::up, 0, true}};
  judge(seconds(0), true);
  ASSERT_EQ(judge(seconds(5), true), Move::leave_out);
  facts[0] = {TargetState::up, 0, true};
  EXPECT_EQ(judge(std::chrono::milliseconds(5999)), Move::none);
  EXPECT_EQ(absences.next_due(kStart + seconds(5)), kStart + seconds(6));
  EXPECT_EQ(judge(seconds(6)), Move::take_in);
}

}  // namespace
}  // namespace purgeline
