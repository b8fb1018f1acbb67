// What the configuration says about fences, as the stages take it.
#pragma once

#include "coalesce/fences.h"
#include "purgeline/config.h"

namespace purgeline {

[[nodiscard]] inline FenceTimes fence_times(const PurgeConfig& config) {
  return {config.fence.origin_lag, config.fence.fetch_time, config.fence.hit_time};
}

// Without fences a purge that started before the origin is sure to show the change covers nothing.
[[nodiscard]] inline Duration coalescing_lag(const PurgeConfig& config) {
  return config.fence.fetch_time ? Duration{0} : config.fence.origin_lag;
}

}  // namespace purgeline
