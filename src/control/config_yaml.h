// YAML into nodes: the only place that knows yaml-cpp.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "control/config_error.h"
#include "control/config_node.h"

namespace purgeline::config {

// The tree of `text`, which is sources[source]. What yaml-cpp would let pass is reported: aliases,
// anchors, tags, keys that stand twice, more than one document, and too much of anything. When the
// text is no YAML, the tree holds what stood before the mistake and the source is marked broken.
[[nodiscard]] Node read_yaml(std::vector<Source>& sources, std::size_t source,
                             const std::string& text, Problems& problems);

}  // namespace purgeline::config
