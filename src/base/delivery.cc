#include "purgeline/delivery.h"

#include <array>

#include "purgeline/check.h"

namespace purgeline {

const char* attempt_result_name(AttemptResult result) {
  static constexpr std::array<const char*, kAttemptResults> names{
      "purged", "absent",  "filtered",  "retry", "unanswered",
      "denied", "refused", "exhausted", "poison"};
  const auto at = static_cast<std::size_t>(result);
  CHECK(at < names.size());
  return names[at];
}

const char* target_state_name(TargetState state) {
  static constexpr std::array<const char*, kTargetStates> names{"unknown", "up", "down", "denied"};
  const auto at = static_cast<std::size_t>(state);
  CHECK(at < names.size());
  return names[at];
}

}  // namespace purgeline
