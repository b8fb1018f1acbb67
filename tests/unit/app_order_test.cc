// The whole pipeline when its layers change places while an event is on its way: it is purged once
// more in the new order, because what is behind now was filled from what is in front now.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::seconds;

constexpr auto kBackend = LonePipeline::kBackend;
constexpr auto kFrontend = LonePipeline::kFrontend;

TEST(Order, ChangedWhileAnEventIsOnItsWayIsTheOneThatCounts) {
  test::NoLetters letters;
  LonePipeline bench(
      LonePipeline::config_of({LonePipeline::layer_of("backend", kBackend, seconds(60)),
                               LonePipeline::layer_of("frontend", kFrontend, seconds(60))}),
      letters);
  bench.start();
  bench.run(seconds(2));
  bench.transport.cache(kFrontend).latency = seconds(5);
  bench.append("h/page");
  bench.run(seconds(1));
  ASSERT_EQ(bench.purges(kFrontend, "h/page").size(), 1u) << "under way";
  bench.reorder();
  bench.run(seconds(30));
  const auto now_first = bench.purges(kFrontend, "h/page");
  const auto now_second = bench.purges(kBackend, "h/page");
  ASSERT_GE(now_first.size(), 2u);
  ASSERT_GE(now_second.size(), 2u) << "sent ahead once, perhaps, and once in order";
  ASSERT_NE(now_first.back().answered, MonoTime::max());
  EXPECT_GE(now_second.back().received, now_first.back().answered);
}

}  // namespace
}  // namespace purgeline
