#include "coalesce/layer_plans.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {

void LayerPlans::take(std::size_t number, Layers layers) {
  CHECK(!layers.empty() && layers.size() < 256 && plans_[number].users == 0);
  plans_[number].masks.clear();
  for (const auto& layer : layers) {
    CHECK(!layer.empty() && layer.size() <= kMaxTargets);
    TargetMask mask = 0;
    for (const TargetId target : layer) mask |= mask_of(target);
    plans_[number].masks.push_back(mask);
  }
  plans_[number].layers = std::move(layers);
  current_ = static_cast<std::uint8_t>(number);
  widest_ = 1;
  for (std::size_t i = 0; i < kMostPlans; ++i) {
    if (i != current_ && plans_[i].users == 0) plans_[i].layers.clear();
    for (const auto& layer : plans_[i].layers) {
      widest_ = std::max(widest_, static_cast<std::uint32_t>(layer.size()));
    }
  }
}

bool LayerPlans::change(Layers layers) {
  if (layers == plans_[current_].layers) return true;
  std::size_t number = 0;
  while (number < kMostPlans && plans_[number].users > 0) ++number;
  if (number == kMostPlans) return false;
  take(number, std::move(layers));
  return true;
}

void LayerPlans::release(std::uint8_t plan) {
  CHECK(plans_[plan].users > 0);
  --plans_[plan].users;
}

bool LayerPlans::refers(TargetId target) const {
  return std::any_of(plans_.begin(), plans_.end(), [this, target](const Plan& plan) {
    if (plan.users == 0 && &plan != &plans_[current_]) return false;
    return std::any_of(plan.layers.begin(), plan.layers.end(), [target](const auto& layer) {
      return std::find(layer.begin(), layer.end(), target) != layer.end();
    });
  });
}

}  // namespace purgeline
