// Changed configurations: targets and layers that come, go and change places while events are on
// their way. What the program does not run for, it starts with.
#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "sim/world.h"

namespace purgeline::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::size_t kMostTargets = 8;
constexpr std::size_t kMostLayers = 4;

}  // namespace

std::vector<std::vector<std::uint16_t>> World::ports() const {
  std::vector<std::vector<std::uint16_t>> layers;
  for (const LayerConfig& layer : config_.layers) {
    layers.emplace_back();
    for (const Endpoint& target : layer.targets) layers.back().push_back(target.port);
  }
  return layers;
}

void World::add_target(LayerConfig& layer) {
  SimTarget target = draw_target(next_port_++, layer);
  target.name = "127.0.0.1:" + std::to_string(target.port);
  layer.targets.push_back({target.name, "127.0.0.1", target.port, ""});
  transport_.add(std::move(target));
}

void World::add_layer() {
  LayerConfig layer = config_.layers[random_.below(config_.layers.size())];
  layer.name = "new" + std::to_string(++next_layer_);
  layer.targets.clear();
  add_target(layer);
  const auto at = static_cast<std::ptrdiff_t>(random_.below(config_.layers.size() + 1));
  config_.layers.insert(config_.layers.begin() + at, std::move(layer));
}

// The last one of a layer goes with its layer.
void World::remove_target() {
  const std::size_t which = random_.below(config_.layers.size());
  LayerConfig& layer = config_.layers[which];
  if (layer.targets.size() == 1 && config_.layers.size() == 1) return;
  const auto target = static_cast<std::ptrdiff_t>(random_.below(layer.targets.size()));
  gone_.emplace_back(layer.name, layer.targets[static_cast<std::size_t>(target)]);
  layer.targets.erase(layer.targets.begin() + target);
  if (layer.targets.empty())
    config_.layers.erase(config_.layers.begin() + static_cast<std::ptrdiff_t>(which));
}

void World::change_config() {
  std::size_t targets = 0;
  for (const LayerConfig& layer : config_.layers) targets += layer.targets.size();
  LayerConfig& layer = config_.layers[random_.below(config_.layers.size())];
  switch (random_.below(7)) {
    case 0:
      if (targets < kMostTargets) add_target(layer);
      break;
    case 1:
      remove_target();
      break;
    case 2:
      if (config_.layers.size() < kMostLayers && targets < kMostTargets) add_layer();
      break;
    case 3:
      if (config_.layers.size() > 1) std::swap(config_.layers[0], config_.layers[1]);
      break;
    case 4: {  // one that was removed comes back while it is still on its way out, or later
      if (gone_.empty() || targets >= kMostTargets) break;
      const std::string name = gone_.back().first;
      const Endpoint endpoint = gone_.back().second;
      gone_.pop_back();
      const auto home = std::find_if(config_.layers.begin(), config_.layers.end(),
                                     [&name](const LayerConfig& one) { return one.name == name; });
      LayerConfig& into = home == config_.layers.end() ? layer : *home;
      into.targets.push_back(endpoint);
      SimTarget& target = transport_.cache(endpoint.port);
      target.connections += into.connections;
      target.depth = std::max(target.depth, into.depth);
      break;
    }
    case 5:
      layer.connections = 1 + random_.below(4);
      layer.depth = 1 + random_.below(20);
      layer.request_timeout = milliseconds(1500 + random_.below(2000));
      layer.max_attempts = 3 + random_.below(8);
      for (const Endpoint& endpoint : layer.targets) {
        SimTarget& target = transport_.cache(endpoint.port);
        target.connections = std::max(target.connections, layer.connections);
        target.depth = std::max(target.depth, layer.depth);
      }
      break;
    default:
      deny_.push_back("never" + std::to_string(deny_.size()) + ".example");
      config_.behind_after = milliseconds(5000 + random_.below(10000));
      log_config_.catch_up.min_share = static_cast<std::uint32_t>(1 + random_.below(50));
  }
  trace_.note("configuration", "world");
  reload_now_ = true;
}

void World::reload() {
  auto hosts = HostMatcher::make(kOurs, deny_);
  CHECK(hosts.has_value());
  const auto done = program_->pipeline.reload(config_, log_config_, *hosts);
  CHECK(done != Pipeline::Reloaded::impossible);
  if (done == Pipeline::Reloaded::later) return;
  reload_now_ = false;
  trace_.note("reloaded", "program");
  configured();
}

}  // namespace purgeline::sim
