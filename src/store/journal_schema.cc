#include "store/journal_schema.h"

#include <array>

#include "store/schema.h"

namespace purgeline {
namespace {

// Version 1. Times are nanoseconds since 1970-01-01T00:00:00Z. `low` and `next` of a topic are the
// first offset that still exists and the one that comes next. A row of `mark` says that no event of
// the topic before this offset is later than this time: it finds an offset by time without an index
// over every event. `probe` is written to learn whether a full disk has room again.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE journal (
  id      TEXT NOT NULL,
  created TEXT NOT NULL,
  probe   BLOB
) STRICT;
INSERT INTO journal (id, created)
VALUES ('journal-' || lower(hex(randomblob(16))), strftime('%Y-%m-%dT%H:%M:%SZ', 'now'));

CREATE TABLE topic (
  id          INTEGER PRIMARY KEY,
  name        TEXT    NOT NULL UNIQUE,
  low         INTEGER NOT NULL,
  next        INTEGER NOT NULL,
  max_time_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
  id      INTEGER PRIMARY KEY,
  time_ns INTEGER NOT NULL,
  key     TEXT    NOT NULL,
  value   TEXT    NOT NULL
) STRICT;

CREATE TABLE mark (
  topic       INTEGER NOT NULL,
  "offset"    INTEGER NOT NULL,
  max_time_ns INTEGER NOT NULL,
  PRIMARY KEY (topic, "offset")
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
  reader        TEXT    NOT NULL,
  topic         TEXT    NOT NULL,
  "offset"      INTEGER NOT NULL,
  event_time_ns INTEGER,
  cluster       TEXT    NOT NULL,
  updated_ns    INTEGER NOT NULL,
  PRIMARY KEY (reader, topic)
) STRICT, WITHOUT ROWID;
)sql";

// Version 2: what a person with `sqlite3` wants to see.
constexpr const char* kVersion2 = R"sql(
CREATE VIEW events AS
SELECT topic.name AS topic, event.id & 17592186044415 AS "offset",
       strftime('%Y-%m-%dT%H:%M:%fZ', event.time_ns / 1e9, 'unixepoch') AS time,
       event.key AS key, event.value AS value
FROM event JOIN topic ON topic.id = event.id >> 44;
)sql";
static_assert(kOffsetBits == 44 && kOffsetMask == 17592186044415, "written out in the view");

constexpr std::array<const char*, 2> kSteps{kVersion1, kVersion2};

// Never moved away by the daemon itself: what is lost with it is for a person to weigh.
Error with_advice(Error error) {
  if (error.code == Errc::corrupt) {
    error.detail +=
        "; copy the file, try `sqlite3 journal.db .recover`, or move it away to start with an "
        "empty one: its unfinished events are then lost";
  }
  if (error.code == Errc::unavailable) {
    error.detail += "; another program (sqlite3, a backup) holds the file";
  }
  return error;
}

}  // namespace

std::span<const char* const> journal_steps() {
  return kSteps;
}

Result<Database> open_journal(const std::string& path, const DatabaseOptions& options) {
  return open_with({journal_steps(), kJournalApplicationId, with_advice}, path, options);
}

}  // namespace purgeline
