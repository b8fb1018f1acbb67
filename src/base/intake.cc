#include "purgeline/intake.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {

const char* htcp_outcome_name(HtcpOutcome outcome) {
  static constexpr std::array<const char*, kHtcpOutcomes> names{
      "accepted",    "too_short", "too_long", "bad_length",  "bad_version", "not_clear",
      "not_request", "signed",    "bad_url",  "not_allowed", "limited",     "failed"};
  const auto at = static_cast<std::size_t>(outcome);
  CHECK(at < names.size());
  return names[at];
}

const char* intake_outcome_name(IntakeOutcome outcome) {
  static constexpr std::array<const char*, kIntakeOutcomes> names{"accepted", "invalid", "failed"};
  const auto at = static_cast<std::size_t>(outcome);
  CHECK(at < names.size());
  return names[at];
}

std::size_t intake_status_index(unsigned status) {
  const auto* found = std::find(kIntakeAnswers.begin(), kIntakeAnswers.end(), status);
  return static_cast<std::size_t>(found - kIntakeAnswers.begin());
}

const char* intake_status_name(std::size_t index) {
  static constexpr std::array<const char*, kIntakeStatuses> names{
      "200", "201", "202", "207", "400", "401", "404", "405",
      "413", "415", "431", "500", "501", "503", "504", "other"};
  CHECK(index < names.size());
  return names[index];
}

}  // namespace purgeline
