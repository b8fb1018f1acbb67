// StateTables: the daemon's statements on state.db, prepared once.
//
// Place:  between StoreThread and Database.
// Thread: the store's writer thread.
// Bound:  nothing is kept here; the database grows by one row per dead letter.
#pragma once

#include <optional>

#include "purgeline/record.h"
#include "purgeline/result.h"
#include "purgeline/stores.h"
#include "store/database.h"

namespace purgeline {

class StateTables {
 public:
  // The database has the schema of this release.
  [[nodiscard]] static Result<StateTables> open(Database database);

  // Writes belong into a transaction: each is on disk when that has been committed.
  [[nodiscard]] Result<Transaction> begin() { return Transaction::begin(database_); }
  [[nodiscard]] Status add(const DeadLetter& letter);
  // Never backwards on one cluster: then it is no error, what is stored already covers it. On
  // another cluster offsets cannot be compared, and the new position replaces the old one.
  [[nodiscard]] Status upsert(const Commit& commit, WallTime now);

  [[nodiscard]] Result<std::optional<Position>> position(const PartitionName& name);

 private:
  StateTables(Database database, Statement add, Statement upsert, Statement position);

  Database database_;  // first: it is closed after the statements are gone
  Statement add_;
  Statement upsert_;
  Statement position_;
};

}  // namespace purgeline
