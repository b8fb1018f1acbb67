// Histogram: durations in the fixed buckets that /metrics shows.
//
// Edges in seconds; the last bucket is +Inf. The 1 s, 3 s and 5 s edges are there because alerts
// use them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "purgeline/types.h"

namespace purgeline {

class Histogram {
 public:
  static constexpr std::array<double, 20> kEdges{.0005, .001, .0025, .005, .01, .025, .05,
                                                 .1,    .25,  .5,    1,    1.5, 2,    3,
                                                 5,     10,   30,    60,   300, 3600};

  void record(Duration duration) {
    const double seconds = std::max(0.0, static_cast<double>(duration.count()) * 1e-9);
    const auto edge = std::lower_bound(kEdges.begin(), kEdges.end(), seconds);
    ++counts_[static_cast<std::size_t>(edge - kEdges.begin())];
    sum_ += seconds;
  }
  // Not cumulative; one more than there are edges.
  [[nodiscard]] const std::array<std::uint64_t, kEdges.size() + 1>& counts() const {
    return counts_;
  }
  [[nodiscard]] double sum_seconds() const { return sum_; }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts_) total += count;
    return total;
  }

 private:
  std::array<std::uint64_t, kEdges.size() + 1> counts_{};
  double sum_{0};
};

}  // namespace purgeline
