#include "purgeline/audit.h"

#include <array>

#include "purgeline/check.h"

namespace purgeline {

const char* audit_stage_name(AuditStage stage) {
  static constexpr std::array<const char*, kAuditStages> names{"first", "fence", "late"};
  const auto at = static_cast<std::size_t>(stage);
  CHECK(at < names.size());
  return names[at];
}

const char* audit_verdict_name(AuditVerdict verdict) {
  static constexpr std::array<const char*, kAuditVerdicts> names{"absent",    "fresh",  "stale",
                                                                 "undecided", "failed", "skipped"};
  const auto at = static_cast<std::size_t>(verdict);
  CHECK(at < names.size());
  return names[at];
}

}  // namespace purgeline
