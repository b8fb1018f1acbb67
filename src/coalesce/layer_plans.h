// LayerPlans: the layers that there are, and those that there were when what is still in flight
// came.
//
// Place:  under journeys and fences, which go through the layers of their plan.
// Thread: the shard's.
// Bound:  kMostPlans plans; a change is refused while so many are in use.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "purgeline/types.h"

namespace purgeline {

class LayerPlans {
 public:
  using Layers = std::vector<std::vector<TargetId>>;  // in refill order, none empty

  explicit LayerPlans(Layers layers) { take(0, std::move(layers)); }

  // Other layers for what comes from now on. False, and nothing is changed: too many former ones
  // are in use yet.
  [[nodiscard]] bool change(Layers layers);

  // The plan of what comes now; use() and release() count those that go by a plan.
  [[nodiscard]] std::uint8_t current() const { return current_; }
  void use(std::uint8_t plan) { ++plans_[plan].users; }
  void release(std::uint8_t plan);

  [[nodiscard]] const Layers& layers(std::uint8_t plan) const { return plans_[plan].layers; }
  [[nodiscard]] TargetMask mask(std::uint8_t plan, std::size_t layer) const {
    return plans_[plan].masks[layer];
  }
  // A plan that is current or in use names the target.
  [[nodiscard]] bool refers(TargetId target) const;
  // Targets in the widest layer of any plan.
  [[nodiscard]] std::uint32_t widest() const { return widest_; }

 private:
  static constexpr std::size_t kMostPlans = 16;

  struct Plan {
    Layers layers;
    std::vector<TargetMask> masks;
    std::uint32_t users{0};
  };
  void take(std::size_t number, Layers layers);

  std::array<Plan, kMostPlans> plans_;
  std::uint8_t current_{0};
  std::uint32_t widest_{1};
};

}  // namespace purgeline
