// What the configuration says, as the stages take it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "app/partitions.h"
#include "coalesce/coalescer.h"
#include "coalesce/fences.h"
#include "coalesce/journeys.h"
#include "purgeline/config.h"

namespace purgeline {

[[nodiscard]] inline FenceTimes fence_times(const PurgeConfig& config) {
  return {config.fence.origin_lag, config.fence.fetch_time, config.fence.hit_time, config.rebound};
}

// Without fences a purge that started before the origin is sure to show the change covers nothing.
[[nodiscard]] inline Duration coalescing_lag(const PurgeConfig& config) {
  return config.fence.fetch_time ? Duration{0} : config.fence.origin_lag;
}

[[nodiscard]] inline CoalescerOptions coalescer_options(const PurgeConfig& config,
                                                        const LogConfig& log) {
  std::size_t targets = 0;
  for (const LayerConfig& layer : config.layers) targets += layer.targets.size();
  CoalescerOptions options;
  options.keys = static_cast<std::uint32_t>(config.coalesce.capacity + config.fence.capacity);
  options.bytes = config.coalesce.bytes;
  // As wide as a layer can become by a reload; memory is made for what is used.
  options.joins = static_cast<std::uint32_t>(config.coalesce.capacity * kMaxTargets);
  options.targets = static_cast<std::uint32_t>(targets);
  options.window = config.coalesce.window;
  options.lag = coalescing_lag(config);
  options.min_share = log.catch_up.min_share;
  return options;
}

[[nodiscard]] inline JourneyOptions journey_options(const PurgeConfig& config,
                                                    LayerPlans::Layers layers) {
  JourneyOptions options;
  options.events = static_cast<std::uint32_t>(config.coalesce.capacity);
  options.layer_deadline = config.layer_deadline;
  options.layers = std::move(layers);
  // Without fences a table of one, for a reload may bring them.
  options.fences = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, config.fence.capacity));
  options.fence_times = fence_times(config);
  return options;
}

[[nodiscard]] inline PartitionOptions partition_options(const PurgeConfig& config,
                                                        const LogConfig& log) {
  PartitionOptions options;
  options.start_at = log.kafka.start_at;
  options.max_useful_age = config.max_useful_age;
  options.catch_up_threshold = log.catch_up.threshold;
  // Well within the margin, so that the floor of a live event is never older than it.
  options.sample_spacing =
      config.coalesce.clock_margin.value_or(std::chrono::milliseconds(2000)) / 4;
  return options;
}

}  // namespace purgeline
