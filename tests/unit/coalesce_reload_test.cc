// Targets and layers that change while events are on their way.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "coalesce/journeys.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TargetId kBack{0}, kFront{1}, kNew{2};

struct Changing : testing::Test, JourneySink {
  void on_target_done(const EventTicket&, TargetId target) override { done.insert(target); }
  void on_finished(const FinishedEvent& event) override { ended.push_back(event); }
  void event(std::uint64_t key, TargetMask targets) {
    journeys.accept(
        {Key{1, key}, {"h", "/" + std::to_string(key), ""}, clock.now(), {}, {}, targets, {}});
  }
  DeliveryId take(TargetId target) {
    const auto delivery = coalescer.take(target);
    EXPECT_TRUE(delivery.has_value());
    return delivery ? delivery->id : DeliveryId{};
  }
  void answer(DeliveryId id) {
    clock.advance(milliseconds(1));
    EXPECT_TRUE(coalescer.complete(id, {{}, AttemptResult::purged, 204, {}}));
  }

  test::FakeClock clock;
  std::set<TargetId> done;
  std::vector<FinishedEvent> ended;
  Coalescer coalescer{{300, 8 << 20, 9000, 2, milliseconds(100)}, clock};
  Journeys journeys{{300, seconds(1), {{kBack}, {kFront}}}, coalescer, clock, *this};
  static constexpr TargetMask kOld = 3;
};

TEST_F(Changing, AnEventGoesOnThroughTheLayersThatThereWereWhenItCame) {
  event(1, kOld);
  coalescer.add_target(kNew);
  ASSERT_TRUE(journeys.change_layers({{kNew}, {kBack}, {kFront}}));
  answer(take(kBack));
  answer(take(kFront));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(coalescer.ready(kNew));
  event(2, kOld | mask_of(kNew));
  EXPECT_FALSE(coalescer.ready(kBack));
  answer(take(kNew));
  answer(take(kBack));
  answer(take(kFront));
  EXPECT_EQ(ended.size(), 2u);
}

// Also in flight: what comes then settles what shares it, and nothing waits.
TEST_F(Changing, ATargetThatIsRemovedHoldsNothing) {
  event(1, kOld);
  event(2, kOld);
  const DeliveryId flying = take(kBack);
  ASSERT_TRUE(journeys.change_layers({{kFront}}));
  journeys.remove(kBack);
  EXPECT_TRUE(journeys.refers(kBack));
  while (coalescer.drop_some(kBack, 1)) {
  }
  answer(take(kFront));  // of the one that waited
  EXPECT_FALSE(coalescer.idle(kBack));
  answer(flying);
  answer(take(kFront));
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_FALSE(ended[0].left_out);  // nobody owes it anything
  EXPECT_TRUE(coalescer.idle(kBack));
  EXPECT_FALSE(journeys.refers(kBack));
}

// Another target with the number of one that has gone knows nothing of what that was purged of.
TEST_F(Changing, ANumberThatIsUsedAgainBeginsAnew) {
  event(1, kOld);
  answer(take(kBack));
  answer(take(kFront));
  ASSERT_TRUE(journeys.change_layers({{kFront}}));
  journeys.remove(kBack);
  journeys.forget(kBack);
  coalescer.add_target(kBack);
  ASSERT_TRUE(journeys.change_layers({{kBack}, {kFront}}));
  event(1, kOld);
  EXPECT_TRUE(coalescer.ready(kBack));
  static_cast<void>(take(kBack));
}

TEST_F(Changing, TooManyChangesInFlightHaveToWait) {
  for (int i = 0; i < 15; ++i) {
    event(static_cast<std::uint64_t>(i), i % 2 == 0 ? kOld : mask_of(kFront));
    const bool both = i % 2 == 1;
    ASSERT_TRUE(journeys.change_layers(both ? std::vector<std::vector<TargetId>>{{kBack}, {kFront}}
                                            : std::vector<std::vector<TargetId>>{{kFront}}));
  }
  event(15, mask_of(kFront));
  EXPECT_FALSE(journeys.change_layers({{kBack}, {kFront}}));
  for (int i = 0; i < 20; ++i) {
    while (const auto delivery = coalescer.take(kBack)) answer(delivery->id);
    while (const auto delivery = coalescer.take(kFront)) answer(delivery->id);
    clock.advance(milliseconds(100));
  }
  EXPECT_EQ(ended.size(), 16u);
  EXPECT_TRUE(journeys.change_layers({{kBack}, {kFront}}));
}

// The list is in the order of beginnings, so a shorter one counts for those that wait already.
TEST_F(Changing, AShorterDeadlineCountsForThoseThatWait) {
  event(1, kOld);
  clock.advance(milliseconds(500));
  journeys.set_layer_deadline(milliseconds(400));
  journeys.turn();
  EXPECT_TRUE(coalescer.ready(kFront));
}

}  // namespace
}  // namespace purgeline
