// The schema of journal.db, in versions, as docs/journal.md describes it. What schema.h says about
// state.db holds here as well: steps are only appended, an older file is brought up in one
// transaction, a newer one is refused and left as it is.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "purgeline/result.h"
#include "purgeline/types.h"
#include "store/database.h"

namespace purgeline {

// SQLite's application_id of journal.db ("PrgJ"): state.db at its place is not taken for it.
inline constexpr std::int64_t kJournalApplicationId = 0x5072674a;

// An event's row id is its topic's id and its offset, so that one B-tree keeps each topic in order
// and needs no second index.
inline constexpr int kOffsetBits = 44;
inline constexpr std::int64_t kOffsetMask = (std::int64_t{1} << kOffsetBits) - 1;
inline constexpr std::int64_t kMaxTopics = std::int64_t{1} << (62 - kOffsetBits);

[[nodiscard]] constexpr std::int64_t event_id(std::int64_t topic, Offset offset) {
  return (topic << kOffsetBits) | offset.value();
}
[[nodiscard]] constexpr Offset offset_of(std::int64_t event_id) {
  return Offset(event_id & kOffsetMask);
}

[[nodiscard]] std::span<const char* const> journal_steps();

// Opens journal.db for the daemon: created or brought up to this release, durable. A file that is
// refused is left untouched.
[[nodiscard]] Result<Database> open_journal(const std::string& path,
                                            const DatabaseOptions& options = {});

}  // namespace purgeline
