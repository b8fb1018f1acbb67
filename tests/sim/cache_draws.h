// How the caches of a world behave and how long they take, within what promise 4 needs of them.
#pragma once

#include "sim/sim_content.h"
#include "support/fake_clock.h"

namespace purgeline::sim {

// In [0, most); nothing is drawn where that is no time at all.
[[nodiscard]] Duration drawn_below(test::FakeRandom& random, Duration most);

// All three outlive what is returned: `times` and `kinds` may be drawn later.
[[nodiscard]] SimContent::Draws cache_draws(test::FakeRandom& random, const FillTimes& times,
                                            const CacheKind& kinds);

}  // namespace purgeline::sim
