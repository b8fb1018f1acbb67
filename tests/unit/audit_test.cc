// The Auditor: what is sampled, when it is looked at, what that may cost, and what is concluded.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "audit/auditor.h"
#include "support/fake_clock.h"

namespace purgeline::audit {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr TargetId kTarget{0};
constexpr TargetId kOther{1};

AuditorOptions options(std::uint32_t sample = 1'000'000, std::uint32_t budget = 100) {
  AuditorOptions options;
  options.sample = sample;
  options.budget = budget;
  options.window = minutes(5);
  return options;
}
AuditorOptions fenced() {
  AuditorOptions with = options();
  with.fence = FenceTimes{seconds(1), seconds(15), seconds(3)};
  return with;
}

class AuditTest : public ::testing::Test {
 protected:
  explicit AuditTest(const AuditorOptions& with = options()) : auditor_(with, random_) {
    auditor_.grant(1000);
  }
  void add(const std::string& path, TargetId target = kTarget, std::uint8_t layer = 0,
           Duration version_ago = {}, std::uint32_t attempts = 0) {
    auditor_.add({target, layer, "h", path, clock_.now() - version_ago, attempts}, clock_.now());
  }
  // The path of the next look, concluded as absent; "-" for none.
  std::string look(TargetId target = kTarget) {
    const auto look = auditor_.take(target, clock_.now());
    if (!look) return "-";
    std::string path(look->path);
    conclude(look->slot, absent());
    return path;
  }
  Auditor::Seen conclude(std::uint32_t slot, const std::optional<Head>& head) {
    return auditor_.conclude(slot, head, clock_.now(), clock_.wall());
  }
  static Head absent() {
    Head head;
    head.status = 504;
    head.date = WallTime(seconds(1));
    return head;
  }
  // A copy that says that it was made so long ago.
  [[nodiscard]] Head copy(Duration ago) const {
    Head head;
    head.status = 200;
    head.date = clock_.wall() - ago;
    head.age = ago;
    return head;
  }
  // The next look at kTarget, answered with such a copy.
  Auditor::Seen see(Duration made_ago) {
    const auto look = auditor_.take(kTarget, clock_.now());
    EXPECT_TRUE(look.has_value());
    return conclude(look->slot, copy(made_ago));
  }

  test::FakeClock clock_;
  test::FakeRandom random_;
  Auditor auditor_;
};

class FencedAuditTest : public AuditTest {
 protected:
  FencedAuditTest() : AuditTest(fenced()) {}
};

TEST(AuditSample, IsTheShareThatWasAskedForAndAllThatNeededARetry) {
  test::FakeRandom random;
  Auditor auditor(options(1000), random);  // 0.1 %
  int sampled = 0;
  for (int i = 0; i < 1'000'000; ++i) sampled += auditor.wants(0) ? 1 : 0;
  EXPECT_NEAR(sampled, 1000, 100);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(auditor.wants(1));
  Auditor all(options(1'000'000), random);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(all.wants(0));
  Auditor off(options(0), random);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(off.wants(0) || off.wants(1));
  off.change(options(1'000'000), MonoTime{});
  EXPECT_TRUE(off.wants(0));
}

TEST_F(AuditTest, LooksAfterASecondAndAfterAMinute) {
  add("/a");
  EXPECT_EQ(auditor_.next_due(kTarget, clock_.now()), clock_.now() + seconds(1));
  EXPECT_EQ(auditor_.next_due(kOther, clock_.now()), MonoTime::max());
  clock_.advance(milliseconds(999));
  EXPECT_EQ(look(), "-");
  clock_.advance(milliseconds(1));
  EXPECT_EQ(look(kOther), "-");
  EXPECT_EQ(look(), "/a");
  clock_.advance(milliseconds(58'999));
  EXPECT_EQ(look(), "-");
  clock_.advance(milliseconds(1));
  EXPECT_EQ(look(), "/a");
  EXPECT_EQ(auditor_.open(), 0u);
  EXPECT_EQ(auditor_.next_due(kTarget, clock_.now()), MonoTime::max());
}

// Due at v + L + F, one H later on each further layer, and by a grid step and a second more.
TEST_F(FencedAuditTest, LooksAfterTheFenceOfItsLayer) {
  add("/backend", kTarget, 0, seconds(2));
  add("/frontend", kOther, 1, seconds(2));
  clock_.advance(seconds(1));
  EXPECT_EQ(look(), "/backend");
  EXPECT_EQ(look(kOther), "/frontend");
  EXPECT_EQ(auditor_.next_due(kTarget, clock_.now()), clock_.now() - seconds(3) + seconds(18));
  EXPECT_EQ(auditor_.next_due(kOther, clock_.now()), clock_.now() - seconds(3) + seconds(21));
  clock_.advance(seconds(15));
  EXPECT_EQ(look(), "/backend");
  EXPECT_EQ(look(kOther), "-");
  clock_.advance(seconds(3));
  EXPECT_EQ(look(kOther), "/frontend");
  clock_.advance(seconds(41));
  EXPECT_EQ(look(), "/backend") << "late, a minute after the purge";
}

TEST_F(FencedAuditTest, BehindTheFenceWhatTheOriginStillHadBeforeItsLagIsStaleToo) {
  // Made at v + 0.5 s, by an origin that shows a change after up to a second.
  add("/a");
  const MonoTime version = clock_.now();
  const auto made_ago = [&] {
    return clock_.now() - version - milliseconds(500);
  };
  clock_.advance(seconds(2));
  auto seen = see(made_ago() + seconds(1));  // the second that Date is vague by
  EXPECT_EQ(seen.stage, AuditStage::first);
  EXPECT_EQ(seen.verdict, AuditVerdict::fresh) << "the first look compares with v";
  clock_.advance(seconds(18));
  seen = see(made_ago() + seconds(1));
  EXPECT_EQ(seen.stage, AuditStage::fence);
  EXPECT_EQ(seen.verdict, AuditVerdict::stale);
  clock_.advance(seconds(60));
  seen = see(made_ago() + seconds(1));
  EXPECT_EQ(seen.stage, AuditStage::late);
  EXPECT_EQ(seen.verdict, AuditVerdict::stale);
}

TEST_F(AuditTest, AViolationIsToldWithAllThatIsKnown) {
  add("/a", kTarget, 1, seconds(3), 2);
  clock_.advance(seconds(1));
  const WallTime purged = clock_.wall() - seconds(1);
  EXPECT_EQ(look(), "/a");
  clock_.advance(seconds(60));
  const auto seen = see(seconds(90));
  EXPECT_EQ(seen.verdict, AuditVerdict::stale);
  EXPECT_EQ(seen.layer, 1);
  EXPECT_EQ(seen.finding.host, "h");
  EXPECT_EQ(seen.finding.path, "/a");
  EXPECT_EQ(seen.finding.stage, AuditStage::late);
  EXPECT_EQ(seen.finding.purged, purged);
  EXPECT_EQ(seen.finding.changed, purged - seconds(3));
  EXPECT_EQ(seen.finding.attempts, 2u);
  EXPECT_EQ(seen.finding.age, seconds(90));
  EXPECT_EQ(seen.finding.date, clock_.wall() - seconds(90));
  EXPECT_EQ(seen.finding.before, "first absent");
}

// The copy's Date was written by others' clocks: what ours has jumped by meanwhile is no age.
TEST_F(AuditTest, AClockThatJumpsMakesNoCopyStale) {
  add("/a");
  clock_.jump_wall(-minutes(10));
  clock_.advance(seconds(1));
  EXPECT_EQ(see(milliseconds(500)).verdict, AuditVerdict::fresh);
}

TEST_F(AuditTest, OneLookAtATimeForEachTarget) {
  add("/a");
  add("/b");
  add("/other", kOther);
  clock_.advance(seconds(1));
  const auto first = auditor_.take(kTarget, clock_.now());
  ASSERT_TRUE(first);
  EXPECT_FALSE(auditor_.take(kTarget, clock_.now()));
  EXPECT_EQ(auditor_.next_due(kTarget, clock_.now()), MonoTime::max());
  EXPECT_EQ(look(kOther), "/other");
  EXPECT_EQ(conclude(first->slot, std::nullopt).verdict, AuditVerdict::failed);
  EXPECT_EQ(look(), "/b");
}

TEST_F(AuditTest, ALookThatWasNotMadeIsDueAgain) {
  add("/a");
  clock_.advance(seconds(1));
  const auto taken = auditor_.take(kTarget, clock_.now());
  ASSERT_TRUE(taken);
  auditor_.put_back(taken->slot);
  EXPECT_EQ(look(), "/a");
}

// One look a second, and one for each hundred purges at a budget of one percent.
TEST(AuditBudget, BoundsWhatIsAskedOfACache) {
  test::FakeClock clock;
  test::FakeRandom random;
  Auditor auditor(options(1'000'000, 1), random);
  for (int i = 0; i < 500; ++i) auditor.add({kTarget, 0, "h", "/a", clock.now(), 0}, clock.now());
  clock.advance(seconds(1));
  const auto looks = [&] {
    int made = 0;
    while (const auto look = auditor.take(kTarget, clock.now())) {
      static_cast<void>(auditor.conclude(look->slot, std::nullopt, clock.now(), clock.wall()));
      ++made;
    }
    return made;
  };
  EXPECT_EQ(looks(), 1) << "the first is free";
  EXPECT_EQ(looks(), 0);
  EXPECT_EQ(auditor.next_due(kTarget, clock.now()), clock.now() + seconds(1));
  clock.advance(seconds(1));
  EXPECT_EQ(looks(), 1);
  auditor.grant(99);
  EXPECT_EQ(looks(), 0);
  auditor.grant(1);
  EXPECT_EQ(looks(), 1);
  auditor.grant(1000);
  EXPECT_EQ(looks(), 10);
  auditor.grant(1'000'000'000);
  EXPECT_EQ(looks(), 64) << "what was not used is not saved up";
}

TEST_F(AuditTest, WhatIsDueForTooLongIsLeftOut) {
  add("/a");
  clock_.advance(seconds(1) + Auditor::kTooLate - milliseconds(1));
  EXPECT_TRUE(auditor_.skip_late(clock_.now()).empty());
  clock_.advance(milliseconds(1));
  const auto skipped = auditor_.skip_late(clock_.now());
  ASSERT_EQ(skipped.size(), 1u);
  EXPECT_EQ(skipped[0].target, kTarget);
  EXPECT_EQ(skipped[0].stage, AuditStage::first);
  EXPECT_TRUE(auditor_.skip_late(clock_.now()).empty()) << "each once";
  EXPECT_EQ(auditor_.open(), 1u) << "its next stage is to come";
  clock_.advance(minutes(2));
  EXPECT_EQ(auditor_.skip_late(clock_.now())[0].stage, AuditStage::late);
  EXPECT_EQ(auditor_.open(), 0u);
}

TEST_F(AuditTest, TheTableIsBoundedAndSaysWhatItLeftOut) {
  for (std::size_t i = 0; i < Auditor::kMost + 7; ++i) add("/" + std::to_string(i));
  EXPECT_EQ(auditor_.open(), Auditor::kMost);
  EXPECT_EQ(auditor_.sampled(), Auditor::kMost + 7);
  EXPECT_EQ(auditor_.passed_over(), 7u);
  auditor_.forget(kTarget);
  EXPECT_EQ(auditor_.open(), 0u);
  add("/again");
  EXPECT_EQ(auditor_.open(), 1u);
  clock_.advance(seconds(1));
  EXPECT_EQ(look(), "/again");
}

TEST_F(AuditTest, TheRatioIsOfTheWindowAndAbsentWithoutALook) {
  EXPECT_FALSE(auditor_.ratio(clock_.now()));
  for (const char* path : {"/a", "/b", "/c", "/d"}) add(path);
  clock_.advance(seconds(1));
  EXPECT_EQ(look(), "/a");
  EXPECT_EQ(auditor_.ratio(clock_.now()), 1.0);
  EXPECT_EQ(see(minutes(1)).verdict, AuditVerdict::stale);
  EXPECT_EQ(auditor_.ratio(clock_.now()), 0.5);
  const auto unanswered = auditor_.take(kTarget, clock_.now());
  conclude(unanswered->slot, std::nullopt);
  Head dateless = copy(minutes(1));
  dateless.date.reset();
  const auto undecided = auditor_.take(kTarget, clock_.now());
  EXPECT_EQ(conclude(undecided->slot, dateless).verdict, AuditVerdict::undecided);
  EXPECT_EQ(auditor_.ratio(clock_.now()), 0.5) << "what is not known counts for neither";
  clock_.advance(minutes(4));
  EXPECT_EQ(auditor_.ratio(clock_.now()), 0.5);
  clock_.advance(minutes(1) + seconds(1));
  EXPECT_FALSE(auditor_.ratio(clock_.now()));
  clock_.advance(minutes(100));
  EXPECT_FALSE(auditor_.ratio(clock_.now()));
}

}  // namespace
}  // namespace purgeline::audit
