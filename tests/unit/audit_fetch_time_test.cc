// How long a fetch may last: what a look shows of it, and how far F follows.
#include "audit/fetch_time.h"

#include <gtest/gtest.h>

#include "audit/auditor.h"
#include "support/fake_clock.h"

namespace purgeline::audit {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr MonoTime kStart{hours(10)};
constexpr TargetId kTarget{0};

struct FetchTimeTest : testing::Test {
  explicit FetchTimeTest(std::optional<Duration> most = seconds(60)) {
    time.configure(seconds(10), most, kStart);
  }
  FetchTime time;
};

TEST_F(FetchTimeTest, IsRaisedToHalfAsMuchAgainAsIsKnownAndNoFurtherThanAllowed) {
  EXPECT_EQ(time.in_force(), Duration(seconds(10)));
  EXPECT_TRUE(time.raise(seconds(12), kStart));
  EXPECT_EQ(time.in_force(), Duration(seconds(18)));
  EXPECT_FALSE(time.raise(seconds(12), kStart)) << "another that F covers by now";
  EXPECT_FALSE(time.raise(seconds(4), kStart));
  EXPECT_EQ(time.in_force(), Duration(seconds(18)));
  EXPECT_TRUE(time.raise(seconds(50), kStart));
  EXPECT_EQ(time.in_force(), Duration(seconds(60)));
  EXPECT_FALSE(time.raise(hours(1), kStart));
}

TEST_F(FetchTimeTest, FallsByHalfOfTheExcessInEachHourWithoutAViolation) {
  EXPECT_EQ(time.next_due(), MonoTime::max());
  EXPECT_FALSE(time.turn(kStart + hours(100)));
  time.raise(seconds(20), kStart);
  EXPECT_EQ(time.next_due(), kStart + hours(1));
  EXPECT_FALSE(time.turn(kStart + minutes(59)));
  // One that cannot raise it any more.
  EXPECT_FALSE(time.raise(seconds(20), kStart + minutes(30)));
  EXPECT_FALSE(time.turn(kStart + minutes(61)));
  MonoTime now = kStart + minutes(90);
  for (const int expected : {20'000, 15'000, 12'500, 11'250, 10'625, 10'000}) {
    EXPECT_EQ(time.next_due(), now);
    EXPECT_TRUE(time.turn(now));
    EXPECT_EQ(time.in_force(), Duration(milliseconds(expected)));
    now += hours(1);
  }
  EXPECT_EQ(time.next_due(), MonoTime::max());
}

TEST_F(FetchTimeTest, AChangeKeepsWhatWasLearntWithinTheNewBounds) {
  time.raise(seconds(20), kStart);
  time.configure(seconds(15), seconds(40), kStart + minutes(10));
  EXPECT_EQ(time.in_force(), Duration(seconds(30)));
  EXPECT_EQ(time.next_due(), kStart + hours(1));
  time.configure(seconds(15), seconds(20), kStart);
  EXPECT_EQ(time.in_force(), Duration(seconds(20)));
  time.configure(seconds(25), std::nullopt, kStart);
  EXPECT_EQ(time.in_force(), Duration(seconds(25)));
  time.configure(seconds(12), seconds(60), kStart);
  EXPECT_EQ(time.in_force(), Duration(seconds(12))) << "what was configured is not learnt";
  time.raise(seconds(20), kStart);
  time.configure(std::nullopt, std::nullopt, kStart);
  EXPECT_FALSE(time.in_force());
  EXPECT_FALSE(time.raise(seconds(20), kStart));
  EXPECT_EQ(time.next_due(), MonoTime::max());
}

TEST(FetchTime, IsAsConfiguredWhereNothingElseIsAllowed) {
  FetchTime time;
  time.configure(seconds(10), std::nullopt, kStart);
  EXPECT_FALSE(time.raise(minutes(1), kStart));
  EXPECT_EQ(time.in_force(), Duration(seconds(10)));
}

// ---- what a look shows of it

struct FetchSeen : testing::Test {
  FetchSeen() { auditor.grant(100); }
  static AuditorOptions options() {
    AuditorOptions options;
    options.sample = 1'000'000;
    options.budget = 100;
    options.window = minutes(5);
    options.fence = FenceTimes{seconds(1), seconds(15), seconds(3)};
    return options;
  }
  void add(std::uint8_t layer = 0, Duration version_ago = {}) {
    auditor.add({kTarget, layer, "h", "/a", clock.now() - version_ago, 0}, clock.now());
  }
  // The next look, at a copy that was made so long ago; without one there is none.
  Auditor::Seen see(std::optional<Duration> made_ago) {
    const auto look = auditor.take(kTarget, clock.now());
    EXPECT_TRUE(look.has_value());
    Head head;
    head.status = made_ago ? 200 : 504;
    if (made_ago) {
      head.date = clock.wall() - *made_ago;
      head.age = *made_ago;
    }
    return auditor.conclude(look->slot, head, clock.now(), clock.wall());
  }
  test::FakeClock clock;
  test::FakeRandom random;
  Auditor auditor{options(), random};
};

// It was asked 4 s before v, and stored after v + L + F.
TEST_F(FetchSeen, ByTheFenceIsUntilThatWasDue) {
  add();
  clock.advance(seconds(1));
  EXPECT_FALSE(see(seconds(5)).fetch) << "the fence will remove it";
  clock.advance(seconds(17));
  const auto seen = see(seconds(4 + 18));
  EXPECT_EQ(seen.stage, AuditStage::fence);
  EXPECT_EQ(seen.fetch, Duration(seconds(4 + 1 + 15)));
}

// And when the copy was not there yet after the fence, until then.
TEST_F(FetchSeen, LaterIsUntilTheLookThatDidNotFindIt) {
  add();
  clock.advance(seconds(1));
  see({});
  clock.advance(seconds(19));
  see({});
  clock.advance(seconds(60));
  auto seen = see(seconds(4 + 80));
  EXPECT_EQ(seen.stage, AuditStage::late);
  EXPECT_EQ(seen.fetch, Duration(seconds(4 + 20)));
  // Where that look had no answer, the fence is what is known.
  add();
  clock.advance(seconds(1));
  see({});
  clock.advance(seconds(30));
  EXPECT_EQ(auditor.skip_late(clock.now()).size(), 1u);
  clock.advance(seconds(60));
  seen = see(seconds(4 + 91));
  EXPECT_EQ(seen.fetch, Duration(seconds(4 + 1 + 15)));
}

TEST_F(FetchSeen, IsNotThatOfALayerBehind) {
  add(1);
  clock.advance(seconds(1));
  see({});
  clock.advance(seconds(20));
  const auto seen = see(seconds(30));
  EXPECT_EQ(seen.verdict, AuditVerdict::stale);
  EXPECT_FALSE(seen.fetch) << "that may have come from the layer before";
}

// An event that came before F was lowered has its fence by the former one.
TEST_F(FetchSeen, ByItsOwnFence) {
  auditor.set_fetch_time(seconds(8), clock.now());
  add(0, seconds(1));
  clock.advance(seconds(1));
  see({});
  EXPECT_EQ(auditor.next_due(kTarget, clock.now()), clock.now() - seconds(2) + seconds(18));
  clock.advance(minutes(2));
  see({});
  see({});
  ASSERT_EQ(auditor.open(), 0u);
  add(0, seconds(1));
  clock.advance(seconds(1));
  see({});
  EXPECT_EQ(auditor.next_due(kTarget, clock.now()),
            clock.now() - seconds(2) + seconds(9) + Duration(seconds(9)) / 16 + seconds(1));
}

}  // namespace
}  // namespace purgeline::audit
