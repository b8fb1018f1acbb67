// Small simulation: the real stages against simulated time, log, caches and disk, from seeds.
// PURGELINE_SIM_SEED=N runs that seed alone; PURGELINE_SIM_SEEDS=N changes how many are run.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/world.h"

namespace purgeline::sim {
namespace {

using std::chrono::seconds;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, EverySeedKeepsThePromises) {
  const std::uint64_t only = number_from("PURGELINE_SIM_SEED", 0);
  const std::uint64_t first = only != 0 ? only : 1;
  const std::uint64_t last = only != 0 ? only : number_from("PURGELINE_SIM_SEEDS", 60);
  World::Counts total;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    World world(seed);
    ASSERT_TRUE(world.run(seconds(20))) << "seed " << seed << " never came to rest";
    ASSERT_EQ(world.check(), "") << "seed " << seed;
    const World::Counts counts = world.counts();
    total.events += counts.events;
    total.crashes += counts.crashes;
    total.cache_stops += counts.cache_stops;
    total.log_outages += counts.log_outages;
    total.refused_commits += counts.refused_commits;
    total.dead_letters += counts.dead_letters;
    total.wire.refused += counts.wire.refused;
    total.wire.resets += counts.wire.resets;
    total.wire.errors += counts.wire.errors;
    total.wire.silences += counts.wire.silences;
    total.wire.denials += counts.wire.denials;
    total.wire.splits += counts.wire.splits;
  }
  const std::vector<std::pair<const char*, std::uint64_t>> kinds{
      {"events", total.events},
      {"crashes", total.crashes},
      {"cache stops", total.cache_stops},
      {"log outages", total.log_outages},
      {"refused commits", total.refused_commits},
      {"refused connects", total.wire.refused},
      {"resets", total.wire.resets},
      {"5xx answers", total.wire.errors},
      {"silences", total.wire.silences},
      {"denials", total.wire.denials},
      {"split sends", total.wire.splits}};
  for (const auto& [kind, count] : kinds) {
    std::printf("%-16s %llu\n", kind, static_cast<unsigned long long>(count));
    if (only == 0) {
      EXPECT_GT(count, 0u) << kind << " never occurred";
    }
  }
  std::printf("%-16s %llu\n", "dead letters", static_cast<unsigned long long>(total.dead_letters));
}

TEST(Simulation, TheSameSeedGivesTheSameTrace) {
  for (const std::uint64_t seed : {3, 17}) {
    World one(seed);
    World two(seed);
    EXPECT_TRUE(one.run(seconds(10)));
    EXPECT_TRUE(two.run(seconds(10)));
    EXPECT_EQ(one.trace_hash(), two.trace_hash());
  }
}

}  // namespace
}  // namespace purgeline::sim
