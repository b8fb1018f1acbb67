// The simulator as a test: it repeats itself, seeds that once found something stay mended, and the
// checkers can say no. Most seeds are run by the program `sim`, over several entries of ctest.
#include <gtest/gtest.h>

#include "sim/runner.h"

namespace purgeline::sim {
namespace {

TEST(Simulation, TheSameSeedGivesTheSameTrace) {
  for (const std::uint64_t seed : {3, 17, 40, 101}) {
    const RunResult one = run_seed(seed);
    const RunResult two = run_seed(seed);
    EXPECT_EQ(one.hash, two.hash) << "seed " << seed;
    EXPECT_EQ(one.counts.purges, two.counts.purges) << "seed " << seed;
    EXPECT_EQ(one.violation, "") << "replay: ./dev sim " << seed;
  }
  EXPECT_NE(run_seed(3).hash, run_seed(4).hash);
}

TEST(Simulation, SeedsThatFoundSomethingStayMended) {
  const auto seeds = read_seeds(PURGELINE_SEEDS_FILE);
  ASSERT_FALSE(seeds.empty());
  for (const std::uint64_t seed : seeds) {
    EXPECT_EQ(run_seed(seed).violation, "") << "replay: ./dev sim " << seed;
  }
}

// Purges alone do not keep promise 4, however well they are sent.
TEST(Simulation, WithoutFencesOldPagesAreFound) {
  std::uint64_t found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    world.without_fences();
    const std::string violation = world.run(std::chrono::seconds(5));
    if (violation.rfind("stale: ", 0) == 0) ++found;
  }
  EXPECT_GE(found, 10u);
}

}  // namespace
}  // namespace purgeline::sim
