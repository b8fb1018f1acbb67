#include "store/schema.h"

#include <array>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

// Version 1. Times are nanoseconds since 1970-01-01T00:00:00Z. One row per partition in `position`:
// the cluster is a value, not a key, so that an overtaken position of a former cluster is gone for
// good. Ids of dead letters are never used twice (AUTOINCREMENT): a person may have one in a note.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE position (
  topic         TEXT    NOT NULL,
  "partition"   INTEGER NOT NULL,
  "offset"      INTEGER NOT NULL,
  event_time_ns INTEGER,
  cluster       TEXT    NOT NULL,
  updated_ns    INTEGER NOT NULL,
  PRIMARY KEY (topic, "partition")
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ns       INTEGER NOT NULL,
  target      TEXT    NOT NULL,
  layer       TEXT    NOT NULL,
  host        TEXT    NOT NULL,
  path        TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  status      INTEGER NOT NULL,
  attempts    INTEGER NOT NULL,
  topic       TEXT    NOT NULL,
  "partition" INTEGER NOT NULL,
  "offset"    INTEGER NOT NULL,
  event_id    TEXT    NOT NULL
) STRICT;
)sql";

constexpr std::array<const char*, 1> kSteps{kVersion1};

// Never moved away by the daemon itself: what is lost with it is for a person to weigh.
Error with_advice(Error error) {
  if (error.code == Errc::corrupt) {
    error.detail +=
        "; move the file away to start without it: positions are kept in Kafka too, its dead "
        "letters "
        "are not";
  }
  return error;
}

Status bring_up(Database& database, const Schema& schema) {
  Result<std::int64_t> version =
      schema_version(database, static_cast<std::int64_t>(schema.steps.size()), schema.application);
  if (!version) return tl::unexpected<Error>(std::move(version.error()));
  // Only now: the log's mode is written into the file.
  Status durable = database.make_durable();
  if (!durable) return durable;
  return migrate(database, schema.steps, schema.application);
}

}  // namespace

std::span<const char* const> state_steps() {
  return kSteps;
}

Result<std::int64_t> schema_version(Database& database, std::int64_t known,
                                    std::int64_t application) {
  Result<std::int64_t> id = database.number("PRAGMA application_id");
  if (!id) return id;
  Result<std::int64_t> version = database.number("PRAGMA user_version");
  if (!version) return version;
  if (*id != application && (*id != 0 || *version != 0)) {
    return failure(Errc::exists, database.path() +
                                     ": this database belongs to another program (application_id " +
                                     std::to_string(*id) + "); choose another state_dir");
  }
  if (*version > known) {
    return failure(Errc::unsupported,
                   database.path() + ": written by a newer release (schema version " +
                       std::to_string(*version) + ", this release knows up to " +
                       std::to_string(known) + "); start that release, or move the file away");
  }
  if (*version < 0) {
    return failure(Errc::corrupt, database.path() + ": schema version " + std::to_string(*version) +
                                      " does not exist");
  }
  return version;
}

Status migrate(Database& database, std::span<const char* const> steps, std::int64_t application) {
  const auto wanted = static_cast<std::int64_t>(steps.size());
  Result<Transaction> transaction = Transaction::begin(database);
  if (!transaction) return tl::unexpected<Error>(std::move(transaction.error()));
  // Read under the write lock, so that two programs never apply one step twice.
  Result<std::int64_t> version = schema_version(database, wanted, application);
  if (!version) return tl::unexpected<Error>(std::move(version.error()));
  if (*version == wanted) return transaction->commit();
  for (std::int64_t at = *version; at < wanted; ++at) {
    Status status = database.run(steps[static_cast<std::size_t>(at)]);
    if (!status) return status;
  }
  Status marked = database.run("PRAGMA application_id=" + std::to_string(application) +
                               "; PRAGMA user_version=" + std::to_string(wanted));
  if (!marked) return marked;
  return transaction->commit();
}

Result<Database> open_with(const Schema& schema, const std::string& path,
                           const DatabaseOptions& options) {
  CHECK(!options.read_only);
  Result<Database> database = Database::open(path, options);
  if (!database) return tl::unexpected<Error>(schema.with_advice(std::move(database.error())));
  database->keep_untouched(true);
  Status status = bring_up(*database, schema);
  if (!status) return tl::unexpected<Error>(schema.with_advice(std::move(status.error())));
  database->keep_untouched(false);
  return database;
}

Result<Database> open_state(const std::string& path, const DatabaseOptions& options) {
  return open_with({state_steps(), kApplicationId, with_advice}, path, options);
}

}  // namespace purgeline
