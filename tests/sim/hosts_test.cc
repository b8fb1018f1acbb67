// Several hosts in the simulator: it repeats itself, and without the peers' barrier the checkers
// say no. Most seeds are run by `sim --hosts`, in an entry of ctest.
#include <gtest/gtest.h>

#include "sim/runner.h"

namespace purgeline::sim {
namespace {

using Barrier = Hosts::Barrier;

TEST(SeveralHosts, TheSameSeedGivesTheSameTrace) {
  for (const std::uint64_t seed : {3, 17, 40}) {
    const HostsResult one = run_hosts(seed);
    EXPECT_EQ(one.hash, run_hosts(seed).hash) << "seed " << seed;
    EXPECT_EQ(one.violation, "") << "replay: ./dev sim --hosts " << seed;
  }
  EXPECT_NE(run_hosts(3).hash, run_hosts(4).hash);
}

TEST(SeveralHosts, WithTheBarrierNothingIsFound) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    EXPECT_EQ(run_hosts(seed).violation, "") << "replay: ./dev sim --hosts " << seed;
  }
}

// Only the peers are taken out of each host's configuration.
TEST(SeveralHosts, WithoutTheBarrierPurgesAreFoundThatCameTooEarly) {
  std::uint64_t found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::string violation = run_hosts(seed, false, Barrier::off).violation;
    if (violation.find("is committed past offset") != std::string::npos) ++found;
  }
  EXPECT_GE(found, 10u);
}

TEST(SeveralHosts, WithoutTheBarrierReadersGetOldPagesOfOtherHosts) {
  std::uint64_t found = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const std::string violation = run_hosts(seed, false, Barrier::off_to_read).violation;
    if (violation.rfind("stale: ", 0) == 0) ++found;
  }
  EXPECT_GE(found, 3u);
}

}  // namespace
}  // namespace purgeline::sim
