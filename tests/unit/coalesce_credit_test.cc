// What a purge is credited with, and what it is not: the coalescer alone, with one cache.
#include <gtest/gtest.h>

#include <vector>

#include "coalesce/coalescer.h"
#include "coalesce/journeys.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TargetId kBackend{0};
constexpr TargetId kFrontend{1};
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

struct TwoLayers : JourneySink {
  void on_target_done(const EventTicket&, TargetId) override {}
  void on_finished(const FinishedEvent& event) override {
    finished.push_back(event.ticket.sequence);
  }
  void event(std::uint64_t sequence, MonoTime version) {
    JourneyInput input;
    input.key = Key{1, 7};
    input.text = {"h", "/7", ""};
    input.version = version;
    input.ticket = {0, sequence};
    input.targets = mask_of(kBackend) | mask_of(kFrontend);
    journeys.accept(input);
  }
  [[nodiscard]] DeliveryId take(TargetId target) {
    const auto delivery = coalescer.take(target);
    EXPECT_TRUE(delivery.has_value());
    return delivery ? delivery->id : DeliveryId{};
  }
  void answer(DeliveryId id, AttemptResult result = AttemptResult::purged) {
    Outcome outcome;
    outcome.result = result;
    EXPECT_TRUE(coalescer.complete(id, outcome));
  }

  test::FakeClock clock;
  Coalescer coalescer{Bench::options(100), clock};
  Journeys journeys{{100, seconds(1), {{kBackend}, {kFrontend}}}, coalescer, clock, *this};
  std::vector<std::uint64_t> finished;
};

// The frontend's only good purge came before the answer that covers the second event at the
// backend, so that it may have fetched the old copy from there since.
TEST(Credit, ACoveredEventGoesOnWithTheAnswerThatCoversIt) {
  TwoLayers b;
  b.clock.advance(seconds(1));
  const MonoTime old = b.clock.now() - kMoment;
  b.event(0, old);
  const DeliveryId backend = b.take(kBackend);
  b.clock.advance(seconds(1));
  b.journeys.turn();
  b.answer(b.take(kFrontend));  // ahead, at the deadline
  b.clock.advance(milliseconds(10));
  b.answer(backend);
  b.answer(b.take(kFrontend), AttemptResult::refused);
  EXPECT_EQ(b.finished, std::vector<std::uint64_t>{0});
  b.event(1, old);  // covered at the backend
  EXPECT_EQ(b.finished.size(), 1u);
  b.clock.advance(milliseconds(10));
  b.answer(b.take(kFrontend));
  EXPECT_EQ(b.finished.size(), 2u);
}

}  // namespace
}  // namespace purgeline
