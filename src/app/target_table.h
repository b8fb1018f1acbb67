// TargetTable: the targets of the configuration and their numbers, and those that were removed and
// are not done yet.
//
// Place:  owned by the Pipeline. It says what a changed configuration changes; the stages do it.
// Thread: the shard's.
// Bound:  kMaxTargets, here and leaving together.
//
// A target that stays keeps its number: it is the same one when its layer has the same name and its
// endpoint reads the same. A number is given to another only after forget().
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "dispatch/target_spec.h"
#include "purgeline/config.h"
#include "purgeline/types.h"

namespace purgeline {

class TargetTable {
 public:
  struct Target {
    std::string name;
    std::string layer;
    TargetId id;
    bool leaving{false};
  };
  struct Change {
    std::vector<TargetSpec> kept;  // with the limits that they have from now on
    std::vector<TargetSpec> added;
    std::vector<TargetId> removed;
    std::vector<LayerConfig> config;
    std::vector<std::vector<TargetId>> layers;  // in refill order
    // A layer that stays has another one before it than it had.
    bool reordered{false};
  };

  explicit TargetTable(const std::vector<LayerConfig>& layers);

  // Empty: there are not enough free numbers.
  [[nodiscard]] std::optional<Change> plan(const std::vector<LayerConfig>& layers) const;
  void apply(const Change& change);
  void forget(TargetId leaving);

  // In the order of the configuration.
  [[nodiscard]] const std::vector<TargetId>& here() const { return here_; }
  [[nodiscard]] const std::vector<TargetId>& leaving() const { return leaving_; }
  // Also one that is leaving.
  [[nodiscard]] const Target& operator[](TargetId target) const;
  [[nodiscard]] std::vector<TargetSpec> specs() const;
  [[nodiscard]] const std::vector<std::vector<TargetId>>& layers() const { return layers_; }

 private:
  [[nodiscard]] std::optional<TargetId> find(const std::string& layer,
                                             const std::string& name) const;
  [[nodiscard]] bool reorders(const std::vector<LayerConfig>& layers) const;

  std::array<std::optional<Target>, kMaxTargets> targets_;  // by TargetId
  std::vector<TargetId> here_;
  std::vector<TargetId> leaving_;
  std::vector<LayerConfig> config_;
  std::vector<std::vector<TargetId>> layers_;
};

}  // namespace purgeline
