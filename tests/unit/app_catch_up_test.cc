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
  LonePipeline bench(LonePipeline::config_of({LonePipeline::layer_of(
                         "backend", LonePipeline::kBackend, seconds(60))}),
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

}  // namespace
}  // namespace purgeline
