#include "app/target_table.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

TargetSpec spec_of(const LayerConfig& config, std::size_t layer, const Endpoint& endpoint,
                   TargetId id) {
  TargetSpec spec;
  spec.id = id;
  spec.layer = LayerId{static_cast<std::uint8_t>(layer)};
  spec.endpoint = endpoint;
  spec.connections = static_cast<std::uint32_t>(config.connections);
  spec.depth = static_cast<std::uint32_t>(config.depth);
  spec.connect_timeout = config.connect_timeout;
  spec.request_timeout = config.request_timeout;
  spec.max_attempts = static_cast<std::uint16_t>(config.max_attempts);
  spec.proof = config.proof;
  return spec;
}

}  // namespace

TargetTable::TargetTable(const std::vector<LayerConfig>& layers) {
  const std::optional<Change> first = plan(layers);
  CHECK(first && !first->added.empty());
  apply(*first);
}

std::optional<TargetId> TargetTable::find(const std::string& layer, const std::string& name) const {
  for (const TargetId id : here_) {
    if ((*this)[id].layer == layer && (*this)[id].name == name) return id;
  }
  return std::nullopt;
}

std::optional<TargetTable::Change> TargetTable::plan(const std::vector<LayerConfig>& layers) const {
  Change change;
  change.config = layers;
  change.reordered = reorders(layers);
  std::uint16_t next = 0;
  std::vector<TargetId> stay;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    change.layers.emplace_back();
    for (const Endpoint& endpoint : layers[l].targets) {
      if (const auto kept = find(layers[l].name, endpoint.text)) {
        change.kept.push_back(spec_of(layers[l], l, endpoint, *kept));
        change.layers.back().push_back(*kept);
        stay.push_back(*kept);
        continue;
      }
      while (next < kMaxTargets && targets_[next]) ++next;
      if (next == kMaxTargets) return std::nullopt;
      change.added.push_back(spec_of(layers[l], l, endpoint, TargetId{next}));
      change.layers.back().push_back(TargetId{next++});
    }
  }
  for (const TargetId id : here_) {
    if (std::find(stay.begin(), stay.end(), id) == stay.end()) change.removed.push_back(id);
  }
  return change;
}

// Layers that are new come behind all that stay, and these in the order that they had.
bool TargetTable::reorders(const std::vector<LayerConfig>& layers) const {
  std::size_t former = 0;
  bool added = false;
  for (const LayerConfig& layer : layers) {
    const auto found =
        std::find_if(config_.begin(), config_.end(),
                     [&layer](const LayerConfig& before) { return before.name == layer.name; });
    if (found == config_.end()) {
      added = true;
      continue;
    }
    const auto at = static_cast<std::size_t>(found - config_.begin());
    if (added || at < former) return true;
    former = at;
  }
  return false;
}

void TargetTable::apply(const Change& change) {
  for (const TargetId id : change.removed) {
    targets_[id.value()]->leaving = true;
    leaving_.push_back(id);
  }
  for (const TargetSpec& spec : change.added) {
    targets_[spec.id.value()] =
        Target{spec.endpoint.text, change.config[spec.layer.value()].name, spec.id};
  }
  here_.clear();
  for (const auto& layer : change.layers) here_.insert(here_.end(), layer.begin(), layer.end());
  config_ = change.config;
  layers_ = change.layers;
}

void TargetTable::forget(TargetId id) {
  CHECK((*this)[id].leaving);
  std::erase(leaving_, id);
  targets_[id.value()].reset();
}

const TargetTable::Target& TargetTable::operator[](TargetId target) const {
  CHECK(target.value() < kMaxTargets && targets_[target.value()]);
  return *targets_[target.value()];
}

std::vector<TargetSpec> TargetTable::specs() const {
  const std::optional<Change> same = plan(config_);
  CHECK(same && same->added.empty() && same->removed.empty());
  return same->kept;
}

}  // namespace purgeline
