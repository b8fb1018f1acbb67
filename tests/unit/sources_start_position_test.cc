// Where reading begins: every rule of the start policy as a row.
#include "sources/start_position.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace purgeline {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr WallTime kNow{hours(24 * 365 * 50)};
constexpr Duration kDay = hours(24);

Position at(std::int64_t offset, std::optional<Duration> ago, std::string cluster = "here") {
  Position position{Offset(offset), std::nullopt, std::move(cluster)};
  if (ago) position.event_time = kNow - *ago;
  return position;
}

struct Row {
  std::string name;
  std::optional<Position> from_log;
  std::optional<Position> from_state;
  StartAt start_at;
  bool is_new;
  LogEnds ends;
  // What find() is asked for, as an age, and what it answers; none: it must not be asked.
  std::optional<Duration> asked_ago;
  std::int64_t found;
  // The end.
  std::int64_t offset;
  bool cold;
  std::int64_t lost;
  std::string reason;  // a part of it

  friend std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }
};

constexpr LogEnds kEnds{Offset(100), Offset(900)};
const StartAt kEarliest{StartEarliest{}};
const StartAt kLatest{StartNow{}};
const StartAt kTwoHours{Duration(hours(2))};
const StartAt kDate{kNow - hours(240)};

const std::vector<Row> kRows{
    // No position: start_at.
    {"earliest", {}, {}, kEarliest, false, kEnds, {}, 0, 100, false, 0, "start_at"},
    {"now", {}, {}, kLatest, false, kEnds, {}, 0, 900, false, 0, "start_at"},
    {"age", {}, {}, kTwoHours, false, kEnds, hours(2), 500, 500, false, 0, "start_at"},
    {"date", {}, {}, kDate, false, kEnds, hours(240), 100, 100, false, 0, "start_at"},
    {"age_default",
     {},
     {},
     StartFacts{}.start_at,
     false,
     kEnds,
     kDay,
     900,
     900,
     false,
     0,
     "start_at"},
    {"new_partition",
     {},
     {},
     kLatest,
     true,
     {Offset(0), Offset(7)},
     {},
     0,
     0,
     false,
     0,
     "appeared while running"},
    {"new_partition_trimmed",
     {},
     {},
     StartFacts{}.start_at,
     true,
     {Offset(3), Offset(7)},
     {},
     0,
     3,
     false,
     0,
     "appeared while running"},
    // The stored offset is still there.
    {"stored", at(300, hours(1)), {}, kLatest, false, kEnds, {}, 0, 300, false, 0, "continues at"},
    {"stored_of_new_partition",
     at(300, hours(1)),
     {},
     kLatest,
     true,
     kEnds,
     {},
     0,
     300,
     false,
     0,
     "continues at"},
    {"stored_at_low",
     at(100, hours(1)),
     {},
     kLatest,
     false,
     kEnds,
     {},
     0,
     100,
     false,
     0,
     "continues at"},
    {"stored_at_end",
     at(900, hours(900)),
     {},
     kLatest,
     false,
     kEnds,
     {},
     0,
     900,
     false,
     0,
     "continues at"},
    {"stored_without_cluster",
     at(300, {}, ""),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     120,
     300,
     false,
     0,
     "continues at"},
    // Never older than max_useful_age.
    {"stored_too_old",
     at(300, hours(30)),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     450,
     450,
     false,
     0,
     "max_useful_age"},
    {"stored_old_but_next_is_useful",
     at(300, hours(30)),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     280,
     300,
     false,
     0,
     "continues at"},
    {"stored_untimed",
     at(300, {}),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     310,
     310,
     false,
     0,
     "max_useful_age"},
    // Retention has eaten events.
    {"eaten",
     at(40, hours(3)),
     {},
     kLatest,
     false,
     kEnds,
     {},
     0,
     100,
     true,
     60,
     "no longer in the log"},
    {"eaten_old_ones_only",
     at(40, hours(90)),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     400,
     400,
     false,
     0,
     "max_useful_age"},
    {"eaten_useful_ones",
     at(40, hours(90)),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     100,
     100,
     true,
     60,
     "no longer in the log"},
    {"eaten_all",
     at(40, hours(2)),
     {},
     kLatest,
     false,
     {Offset(900), Offset(900)},
     {},
     0,
     900,
     true,
     860,
     "no longer in the log"},
    // Beyond the end: a log that was made anew.
    {"beyond_end",
     at(950, hours(2)),
     {},
     kLatest,
     false,
     {Offset(0), Offset(900)},
     hours(2) + minutes(10),
     700,
     700,
     false,
     0,
     "beyond the end"},
    {"beyond_end_untimed",
     at(950, {}),
     {},
     kLatest,
     false,
     {Offset(0), Offset(900)},
     kDay,
     5,
     5,
     false,
     0,
     "beyond the end"},
    // Another cluster: by time, ten minutes back.
    {"other_cluster",
     at(300, hours(2), "there"),
     {},
     kLatest,
     false,
     kEnds,
     hours(2) + minutes(10),
     640,
     640,
     false,
     0,
     "of cluster \"there\""},
    {"other_cluster_old",
     at(300, hours(50), "there"),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     640,
     640,
     false,
     0,
     "of cluster"},
    {"other_cluster_future",
     at(300, -hours(5), "there"),
     {},
     kLatest,
     false,
     kEnds,
     minutes(10),
     890,
     890,
     false,
     0,
     "of cluster"},
    {"other_cluster_eaten",
     at(300, hours(2), "there"),
     {},
     kLatest,
     false,
     kEnds,
     hours(2) + minutes(10),
     100,
     100,
     true,
     0,
     "of cluster"},
    {"other_cluster_whole_log",
     at(300, hours(2), "there"),
     {},
     kLatest,
     false,
     {Offset(0), Offset(900)},
     hours(2) + minutes(10),
     0,
     0,
     false,
     0,
     "of cluster"},
    {"other_cluster_untimed",
     at(300, {}, "there"),
     {},
     kLatest,
     false,
     kEnds,
     kDay,
     640,
     640,
     false,
     0,
     "of cluster"},
    // Two positions: the newer one wins, whichever store has it.
    {"state_newer",
     at(300, hours(2)),
     at(320, hours(1)),
     kLatest,
     false,
     kEnds,
     {},
     0,
     320,
     false,
     0,
     "continues at"},
    {"log_newer",
     at(320, hours(1)),
     at(300, hours(2)),
     kLatest,
     false,
     kEnds,
     {},
     0,
     320,
     false,
     0,
     "continues at"},
    {"overtaken_on_return", at(300, hours(20)), at(80'000, hours(1), "there"), kLatest, false,
     kEnds, hours(1) + minutes(10), 700, 700, false, 0, "of cluster \"there\""},
    {"state_only",
     {},
     at(320, hours(1)),
     kLatest,
     false,
     kEnds,
     {},
     0,
     320,
     false,
     0,
     "continues at"},
};

class StartPositionTest : public ::testing::TestWithParam<Row> {};

TEST_P(StartPositionTest, Row) {
  const Row& row = GetParam();
  StartFacts facts;
  facts.from_log = row.from_log;
  facts.from_state = row.from_state;
  facts.cluster = "here";
  facts.now = kNow;
  facts.start_at = row.start_at;
  facts.partition_is_new = row.is_new;
  StartPosition start(facts);
  ASSERT_TRUE(std::holds_alternative<AskEnds>(start.next()));
  start.on_ends(row.ends);
  if (row.asked_ago) {
    const StartStep step = start.next();
    ASSERT_TRUE(std::holds_alternative<FindTime>(step));
    EXPECT_EQ(std::get<FindTime>(step).time, kNow - *row.asked_ago);
    start.on_found(Offset(row.found));
  }
  const StartStep step = start.next();
  ASSERT_TRUE(std::holds_alternative<OpenAt>(step)) << "a question that was not expected";
  const OpenAt& open = std::get<OpenAt>(step);
  EXPECT_EQ(open.offset.value(), row.offset);
  EXPECT_EQ(open.cold, row.cold);
  EXPECT_EQ(open.lost, row.lost);
  EXPECT_NE(open.reason.find(row.reason), std::string::npos) << open.reason;
  EXPECT_EQ(open.reason.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Rules, StartPositionTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

// A topic that was made anew may have grown past the stored offset by the time it is looked at.
TEST(StartPosition, AnOffsetThatTheLogRefusedIsFoundByTime) {
  struct {
    std::int64_t low;
    bool by_time;
  } const rows[] = {{0, true}, {300, true}, {301, false}};
  for (const auto& row : rows) {
    StartFacts facts;
    facts.from_state = at(300, hours(2));
    facts.cluster = "here";
    facts.now = kNow;
    facts.offset_refused = true;
    StartPosition start(facts);
    start.on_ends({Offset(row.low), Offset(900)});
    const StartStep step = start.next();
    ASSERT_EQ(std::holds_alternative<FindTime>(step), row.by_time) << row.low;
    if (!row.by_time) {  // before the beginning: retention, and the offset means what it did
      EXPECT_EQ(std::get<OpenAt>(step).lost, 1);
      continue;
    }
    EXPECT_EQ(std::get<FindTime>(step).time, kNow - hours(2) - minutes(10));
    start.on_found(Offset(row.low + 5));
    EXPECT_EQ(std::get<OpenAt>(start.next()).offset.value(), row.low + 5);
    EXPECT_EQ(std::get<OpenAt>(start.next()).reason,
              "the stored offset 300 is of a log that is gone, by time at offset " +
                  std::to_string(row.low + 5));
  }
}

TEST(StartPosition, AgesLongerThanTimeDoNotWrap) {
  StartFacts facts;
  facts.now = WallTime(hours(1));
  facts.start_at = Duration::max();
  StartPosition start(facts);
  start.on_ends({Offset(0), Offset(9)});
  EXPECT_EQ(std::get<FindTime>(start.next()).time, WallTime(Duration::zero()));
}

TEST(NewerPosition, ByTimeThenByOffsetThenByCluster) {
  struct Pair {
    Position winner;
    Position loser;
  };
  const std::vector<Pair> pairs{
      {at(1, hours(1)), at(9, hours(2))},          {at(1, hours(1), "there"), at(9, hours(2))},
      {at(9, hours(1)), at(1, hours(1))},          {at(9, {}), at(1, hours(1))},
      {at(1, hours(1), "there"), at(9, {})},       {at(1, {}), at(9, {}, "there")},
      {at(1, hours(1)), at(9, hours(1), "there")},
  };
  for (const Pair& pair : pairs) {
    for (const auto& [a, b] :
         {std::pair(pair.winner, pair.loser), std::pair(pair.loser, pair.winner)}) {
      const auto chosen = newer_position(a, b, "here");
      ASSERT_TRUE(chosen.has_value());
      EXPECT_EQ(chosen->offset, pair.winner.offset);
      EXPECT_EQ(chosen->cluster, pair.winner.cluster);
    }
  }
  EXPECT_FALSE(newer_position(std::nullopt, std::nullopt, "here").has_value());
  EXPECT_TRUE(newer_position(at(1, {}), std::nullopt, "here").has_value());
}

}  // namespace
}  // namespace purgeline
