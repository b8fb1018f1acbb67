#include "coalesce/versions.h"

#include <gtest/gtest.h>

#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeClock;

constexpr Duration kMargin = seconds(2);
constexpr Duration kSpacing = milliseconds(500);

VersionClocks clocks_of(const FakeClock& clock, std::optional<Duration> margin = kMargin) {
  return {clock.now(), clock.wall(), clock.wall_synchronised(), margin};
}

struct Row {
  const char* what;
  std::optional<Duration> event_age;  // dt before now
  std::optional<Duration> log_age;
  std::optional<Duration> expected;  // how long before now the version lies
  bool synchronised{true};
  bool margin{true};
};

// One event that no sample says anything about.
TEST(Versions, BoundByTheEventsOwnTimes) {
  const std::vector<Row> rows{
      {"no time known: arrival", {}, {}, seconds(0)},
      {"old by dt", seconds(10), {}, seconds(8)},
      {"old by the log's time", {}, seconds(10), seconds(8)},
      {"the later of the two counts", seconds(100), seconds(10), seconds(8)},
      {"the later of the two counts, other way", seconds(10), seconds(100), seconds(8)},
      {"younger than the margin: arrival", seconds(1), {}, seconds(0)},
      {"slightly in the future: arrival", -seconds(1), {}, seconds(0)},
      {"far in the future: arrival", -seconds(100), {}, seconds(0)},
      {"clock not synchronised: arrival", seconds(10), {}, seconds(0), false},
      {"margin off: arrival", seconds(10), {}, seconds(0), true, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    FakeClock clock;
    clock.set_synchronised(row.synchronised);
    Versions versions;
    // Seen to end before the offset a long time ago, so that the floor is known and does not bind.
    versions.observe_end(clock.now() - seconds(1000), Offset{0}, kSpacing);
    VersionInput input{Offset{5}, {}, {}};
    if (row.event_age) input.event_time = clock.wall() - *row.event_age;
    if (row.log_age) input.log_time = clock.wall() - *row.log_age;
    const Version version =
        versions.of(input, clocks_of(clock, row.margin ? std::optional(kMargin) : std::nullopt));
    EXPECT_EQ((clock.now() - version.at).count(), row.expected->count());
    EXPECT_EQ(version.future_dated, row.event_age == -seconds(100));
  }
}

TEST(Versions, ALiveEventDatedInThePastIsNotTakenForOld) {
  FakeClock clock;
  Versions versions;
  versions.observe_end(clock.now(), Offset{5}, kSpacing);  // offset 5 was not there a moment ago
  const MonoTime seen = clock.now();
  clock.advance(milliseconds(300));
  const Version version =
      versions.of({Offset{5}, clock.wall() - seconds(3600), {}}, clocks_of(clock));
  EXPECT_GE(version.at, seen);
  EXPECT_EQ(version.at, clock.now());  // floor + margin lies after the arrival
}

TEST(Versions, ABacklogIsAsOldAsTheFirstLookAtTheEnd) {
  FakeClock clock;
  Versions versions;
  versions.observe_end(clock.now(), Offset{1000}, kSpacing);
  const MonoTime first_look = clock.now();
  clock.advance(seconds(60));
  versions.observe_end(clock.now(), Offset{2000}, kSpacing);
  // No time of its own: still known to be older than our first look.
  EXPECT_EQ(versions.of({Offset{999}, {}, {}}, clocks_of(clock)).at, first_look);
  EXPECT_EQ(versions.of({Offset{1000}, {}, {}}, clocks_of(clock)).at, clock.now());
  // The first bound does not need a synchronised clock.
  clock.set_synchronised(false);
  EXPECT_EQ(versions.of({Offset{10}, {}, {}}, clocks_of(clock)).at, first_look);
}

TEST(Versions, FloorIsTheLastMomentTheEndWasSeenAtOrBefore) {
  FakeClock clock;
  Versions versions;
  versions.observe_end(clock.now(), Offset{10}, kSpacing);
  clock.advance(seconds(100));
  versions.observe_end(clock.now(), Offset{10}, kSpacing);  // seen again, unchanged
  const MonoTime last_seen = clock.now();
  clock.advance(seconds(10));
  const Version version =
      versions.of({Offset{10}, clock.wall() - seconds(500), {}}, clocks_of(clock));
  EXPECT_EQ(version.at, last_seen + kMargin);
}

TEST(Versions, ALostFloorIsNotGuessed) {
  FakeClock clock;
  Versions versions;
  versions.observe_end(clock.now(), Offset{0}, kSpacing);
  for (int i = 1; i <= 100; ++i) {  // more than are kept
    clock.advance(seconds(1));
    versions.observe_end(clock.now(), Offset{i * 10}, kSpacing);
  }
  // Offset 5 came between the first two samples, which are gone: its own old time must not be
  // believed (nothing says that its producer's clock was right), only what is known to reach beyond
  // it.
  const Version version =
      versions.of({Offset{5}, clock.wall() - seconds(99999), {}}, clocks_of(clock));
  EXPECT_GT(version.at, clock.now() - seconds(40));
  EXPECT_LT(version.at, clock.now());
}

TEST(Versions, ARecreatedPartitionStartsAfresh) {
  FakeClock clock;
  Versions versions;
  versions.observe_end(clock.now(), Offset{1000}, kSpacing);
  clock.advance(seconds(10));
  versions.observe_end(clock.now(), Offset{3}, kSpacing);
  EXPECT_EQ(versions.of({Offset{2}, {}, {}}, clocks_of(clock)).at, clock.now());
}

// Against the rule as the design states it, on random histories: the bound is never earlier than
// the true moment of the change when the producer's clock errs by less than the margin, nor when it
// errs by any amount and samples are close.
TEST(Versions, NeverBeforeTheChange) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    test::FakeRandom random(seed);
    FakeClock clock;
    Versions versions;
    std::int64_t end = 0;
    versions.observe_end(clock.now(), Offset{0}, kSpacing);
    std::vector<std::pair<MonoTime, WallTime>> made;  // by offset: the change, and what its dt says
    std::size_t read = 0;
    for (int step = 0; step < 200; ++step) {
      clock.advance(milliseconds(static_cast<std::int64_t>(random.below(900))));
      for (std::uint64_t n = random.below(4); n > 0; --n) {
        const Duration wrong =
            milliseconds(static_cast<std::int64_t>(random.below(200000)) - 100000);
        made.emplace_back(clock.now(), clock.wall() + wrong);
        ++end;
      }
      versions.observe_end(clock.now(), Offset{end}, kSpacing);
      while (read < made.size() && random.below(3) != 0) {
        const Version version = versions.of(
            {Offset{static_cast<std::int64_t>(read)}, made[read].second, {}}, clocks_of(clock));
        ASSERT_GE(version.at, made[read].first) << "seed " << seed << " offset " << read;
        ASSERT_LE(version.at, clock.now());
        ++read;
      }
    }
  }
}

}  // namespace
}  // namespace purgeline
