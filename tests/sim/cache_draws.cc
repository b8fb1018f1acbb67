#include "sim/cache_draws.h"

#include <algorithm>

namespace purgeline::sim {

using std::chrono::milliseconds;

Duration drawn_below(test::FakeRandom& random, Duration most) {
  if (most <= Duration(0)) return Duration(0);
  return Duration(
      static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most.count()))));
}

SimContent::Draws cache_draws(test::FakeRandom& random, const FillTimes& times,
                              const CacheKind& kinds) {
  SimContent::Draws draws;
  draws.fetch = [&random, &times] {
    FetchPlan plan;
    // Any time, or as long as it may take.
    const bool longest = random.below(4) == 0;
    plan.last = longest ? times.fetch - Duration(1) - drawn_below(random, milliseconds(10))
                        : drawn_below(random, times.fetch);
    plan.last = std::max(*plan.last, Duration(0));
    if (random.below(2) == 0) plan.read_after = drawn_below(random, *plan.last + Duration(1));
    plan.replica = random.below(SimContent::kReplicas);
    return plan;
  };
  draws.hop = [&random, &times] {
    return drawn_below(random, times.hit / 2);
  };
  draws.removal = [&random, &times] {
    return random.below(8) == 0 ? drawn_below(random, times.hit / 2) : Duration(0);
  };
  draws.pick = [&random](std::size_t of) {
    return random.below(of);
  };
  draws.kind = [&random, &kinds] {
    CacheKind kind = kinds;
    kind.kills_fill = random.below(2) == 0;
    kind.reads_writer = random.below(2) == 0;
    kind.asks_alone = !kind.reads_writer && random.below(2) == 0;
    return kind;
  };
  return draws;
}

}  // namespace purgeline::sim
