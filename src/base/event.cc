#include "purgeline/event.h"

#include <array>

#include "purgeline/check.h"

namespace purgeline {

const char* tag_name(Tag tag) {
  static constexpr std::array<const char*, kTags> names{"", "mediawiki", "other"};
  const auto at = static_cast<std::size_t>(tag);
  CHECK(at < names.size());
  return names[at];
}

const char* reject_reason_name(RejectReason reason) {
  static constexpr std::array<const char*, kRejectReasons> names{
      "not_json",   "not_utf8", "no_uri",   "duplicate_key", "too_long",  "user_info",
      "bad_scheme", "bad_host", "bad_port", "bad_character", "too_large", "tombstone"};
  const auto at = static_cast<std::size_t>(reason);
  CHECK(at < names.size());
  return names[at];
}

const char* event_outcome_name(EventOutcome outcome) {
  static constexpr std::array<const char*, kEventOutcomes> names{"purged",   "dead",   "expired",
                                                                 "filtered", "canary", "rejected",
                                                                 "owed"};
  const auto at = static_cast<std::size_t>(outcome);
  CHECK(at < names.size());
  return names[at];
}

}  // namespace purgeline
