// What a purge is credited with, and what it is not: the coalescer alone, with one cache.
#include <gtest/gtest.h>

#include <vector>

#include "coalesce/coalescer.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TargetId kBackend{0};
constexpr Duration kMoment = milliseconds(1);

struct Bench : SettleSink {
  explicit Bench(std::uint32_t keys = 100) : coalescer(options(keys), clock) {
    coalescer.set_sink(*this);
  }
  static CoalescerOptions options(std::uint32_t keys) {
    CoalescerOptions options;
    options.keys = keys;
    options.bytes = 8 << 20;
    options.joins = 100;
    options.targets = 2;
    return options;
  }
  void on_settled(std::uint32_t event, TargetId, MonoTime, bool) override {
    settled.push_back(event);
  }
  void on_left_out(std::uint32_t, TargetId) override {}

  Coalescer::Want want(std::uint64_t key, MonoTime version, std::uint32_t event = 0) {
    const std::uint32_t held = coalescer.hold(Key{1, key}, {"h", "/" + std::to_string(key), ""});
    const Coalescer::Want want = coalescer.want(kBackend, held, version, event, Priority::live);
    coalescer.release(held);
    return want;
  }
  DeliveryId take() {
    const auto delivery = coalescer.take(kBackend);
    EXPECT_TRUE(delivery.has_value());
    return delivery ? delivery->id : DeliveryId{};
  }
  [[nodiscard]] bool end(DeliveryId id, AttemptResult result) {
    Outcome outcome;
    outcome.result = result;
    outcome.not_before = clock.now() + seconds(1);
    return coalescer.complete(id, outcome);
  }

  test::FakeClock clock;
  Coalescer coalescer;
  std::vector<std::uint32_t> settled;
};

TEST(Credit, FromTheStartOnAndNotFromTheAnswer) {
  Bench b;
  b.clock.advance(seconds(1));
  const MonoTime start = b.clock.now();
  static_cast<void>(b.want(7, start));
  const DeliveryId purge = b.take();
  b.clock.advance(milliseconds(20));
  const MonoTime answer = b.clock.now();
  EXPECT_TRUE(b.end(purge, AttemptResult::purged));
  b.clock.advance(milliseconds(20));
  const Coalescer::Want before = b.want(7, start - kMoment);
  EXPECT_EQ(before.how, CoalesceHow::covered);
  EXPECT_EQ(before.answered, answer);
  EXPECT_EQ(b.want(7, start + kMoment).how, CoalesceHow::opened)
      << "changed while the purge was on its way: the copy it removed may have come back";
}

TEST(Credit, NoneForAnAttemptThatFailedOrWasGivenUp) {
  Bench b;
  b.clock.advance(seconds(1));
  const MonoTime before = b.clock.now() - kMoment;
  static_cast<void>(b.want(7, b.clock.now()));
  EXPECT_TRUE(b.end(b.take(), AttemptResult::retry));
  b.clock.advance(seconds(1));
  EXPECT_TRUE(b.end(b.take(), AttemptResult::refused));
  EXPECT_EQ(b.want(7, before).how, CoalesceHow::opened);
}

TEST(Credit, OneOutcomeForEachAttempt) {
  Bench b;
  static_cast<void>(b.want(7, b.clock.now(), 3));
  const DeliveryId purge = b.take();
  EXPECT_TRUE(b.end(purge, AttemptResult::purged));
  EXPECT_FALSE(b.end(purge, AttemptResult::purged));
  EXPECT_EQ(b.settled, std::vector<std::uint32_t>{3});
}

TEST(Credit, IsNotInheritedByTheNextUrlInThePlace) {
  Bench b(1);
  const MonoTime version = b.clock.now();
  b.clock.advance(seconds(1));
  static_cast<void>(b.want(7, version));
  EXPECT_TRUE(b.end(b.take(), AttemptResult::purged));
  EXPECT_EQ(b.want(7, version).how, CoalesceHow::covered);
  EXPECT_EQ(b.want(8, version).how, CoalesceHow::opened);
}

}  // namespace
}  // namespace purgeline
