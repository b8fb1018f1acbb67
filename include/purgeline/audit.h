// The audit's words: when a finished purge is looked at again, what was found, and what is kept of
// a violation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "purgeline/types.h"

namespace purgeline {

enum class AuditStage : std::uint8_t {
  first,  // a second after the purge was answered
  fence,  // after the purge that removes what a fetch stored that was under way; only with fences
  late,   // a minute after the purge was answered
};
inline constexpr std::size_t kAuditStages = 3;
[[nodiscard]] const char* audit_stage_name(AuditStage stage);

enum class AuditVerdict : std::uint8_t {
  absent,     // the cache has no copy
  fresh,      // it has one that is not certain to be older than the change
  stale,      // it has one that is certain to be older: a violation
  undecided,  // it has one, and says too little of when it was made
  failed,     // no answer, or one that says nothing of a copy
  skipped,    // not asked: over the budget for too long, or the target was down or left out
};
inline constexpr std::size_t kAuditVerdicts = 6;
[[nodiscard]] const char* audit_verdict_name(AuditVerdict verdict);

// One violation, with all that is known of how it came about.
struct AuditFinding {
  WallTime at{};
  std::string layer;
  std::string target;
  std::string host;
  std::string path;
  AuditStage stage{};
  WallTime changed{};         // the page's version: not later than this it was changed
  WallTime purged{};          // when the purge that was sampled was answered
  std::uint32_t attempts{0};  // how many of its attempts had failed before
  WallTime date{};            // what the copy says of itself
  Duration age{};
  std::string before;  // what the stages before had found: "first absent", or nothing
};

}  // namespace purgeline
