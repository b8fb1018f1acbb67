// What the keys of intake.* may be together: nobody on the network purges without being allowed to.
#pragma once

#include <functional>
#include <string>

#include "control/config_error.h"
#include "purgeline/config.h"

namespace purgeline::config {

using Report = std::function<void(const std::string& path, Complaint complaint)>;

void check_intakes(const IntakeConfig& intake, const Report& report);

// Kafka's rule for names, to which the journal keeps too.
[[nodiscard]] bool is_topic(const std::string& name);
inline constexpr const char* kTopicRule = "letters, digits, '.', '_' and '-', at most 249";

}  // namespace purgeline::config
