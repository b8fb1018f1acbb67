// The schema of state.db, in versions. SQLite's user_version is the number of steps that were
// applied.
//
// A release may only append steps. An older file is brought up in one transaction; a newer one is
// refused and left as it is, so that a person who went back one release by mistake can go forward
// again.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "purgeline/result.h"
#include "store/database.h"

namespace purgeline {

// SQLite's application_id of our files ("Prgl"): `file state.db` shows it, and another program's
// database at this path is not taken for ours.
inline constexpr std::int64_t kApplicationId = 0x5072676c;

// The steps of this release, oldest first; step i leads from version i to i + 1.
[[nodiscard]] std::span<const char* const> state_steps();

// The version of the file, 0 when it is new. Refuses a file of another program, and one that is
// newer than `known` steps.
[[nodiscard]] Result<std::int64_t> schema_version(Database& database, std::int64_t known,
                                                  std::int64_t application = kApplicationId);

// Applies the steps that are missing, all or none.
[[nodiscard]] Status migrate(Database& database, std::span<const char* const> steps,
                             std::int64_t application = kApplicationId);

// What makes a database file one of ours.
struct Schema {
  std::span<const char* const> steps;
  std::int64_t application{kApplicationId};
  Error (*with_advice)(Error);  // what a person can do about a file that is refused
};

// Opens a file for the daemon: created or brought up to this release, durable. One that is refused
// is left untouched.
[[nodiscard]] Result<Database> open_with(const Schema& schema, const std::string& path,
                                         const DatabaseOptions& options);

// Opens state.db for the daemon: created or brought up to this release, durable. A file that is
// refused is left untouched.
[[nodiscard]] Result<Database> open_state(const std::string& path,
                                          const DatabaseOptions& options = {});

}  // namespace purgeline
