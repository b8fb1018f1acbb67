// The whole pipeline before a backlog that takes less time than the one between two looks at it:
// whoever was told that it began is told that it is over.
#include <gtest/gtest.h>

#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(CatchUp, OfAMomentIsToldToBeOver) {
  test::NoLetters letters;
  LonePipeline bench(LonePipeline::config_of(
                         {LonePipeline::layer_of("backend", LonePipeline::kBackend, seconds(60))}),
                     letters);
  bench.append("h/old");
  bench.clock.advance(seconds(60));
  bench.start();
  bench.run(milliseconds(500));
  ASSERT_EQ(bench.lines.count("catching up"), 1);
  ASSERT_EQ(bench.purges(LonePipeline::kBackend, "h/old").size(), 1u) << "before the first look";
  bench.run(seconds(3));
  EXPECT_EQ(bench.lines.count("caught up"), 1);
  EXPECT_EQ(bench.lines.count("catching up"), 1);
}

// A full table gives the targets all they can do: whoever filled it up after each few answers would
// turn more often than anything is gained by.
TEST(CatchUp, FillsAFullTableUpOncePerTick) {
  constexpr int kEvents = 2000;
  test::NoLetters letters;
  LayerConfig layer = LonePipeline::layer_of("backend", LonePipeline::kBackend, seconds(60));
  layer.connections = 4;
  layer.depth = 16;
  LonePipeline bench(LonePipeline::config_of({layer}), letters);
  for (int i = 0; i < kEvents; ++i) bench.append("h/" + std::to_string(i));
  bench.start();
  std::uint64_t ticks = 0;
  while (bench.committed() < kEvents && bench.clock.now() < MonoTime(std::chrono::hours(24))) {
    bench.pipeline->turn();
    const MonoTime due = bench.pipeline->next_due();
    if (bench.pipeline->tick().count() > 0 && bench.pipeline->unfinished() > 0) {
      EXPECT_GT(due, bench.clock.now());
      ++ticks;
    }
    bench.transport.turn(std::min(due, bench.clock.now() + milliseconds(10)),
                         bench.pipeline->tick());
  }
  EXPECT_EQ(bench.committed(), kEvents);
  EXPECT_GT(ticks, 0u);
}

}  // namespace
}  // namespace purgeline
