#include "store/state_tables.h"

#include <utility>

namespace purgeline {
namespace {

constexpr const char* kAdd = R"sql(
INSERT INTO dead_letter (at_ns, target, layer, host, path, reason, status, attempts, topic,
                         "partition", "offset", event_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
)sql";

// A commit of the same offset refreshes it. One without an event time keeps the time of an earlier
// event of that cluster: a start from an earlier time reads more, never less.
constexpr const char* kUpsert = R"sql(
INSERT INTO position (topic, "partition", "offset", event_time_ns, cluster, updated_ns)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (topic, "partition") DO UPDATE SET
  "offset" = excluded."offset",
  event_time_ns = CASE WHEN position.cluster = excluded.cluster
                       THEN coalesce(excluded.event_time_ns, position.event_time_ns)
                       ELSE excluded.event_time_ns END,
  cluster = excluded.cluster,
  updated_ns = excluded.updated_ns
WHERE position.cluster <> excluded.cluster OR position."offset" <= excluded."offset"
)sql";

constexpr const char* kPosition = R"sql(
SELECT "offset", event_time_ns, cluster FROM position WHERE topic = ?1 AND "partition" = ?2
)sql";

}  // namespace

StateTables::StateTables(Database database, Statement add, Statement upsert, Statement position)
    : database_(std::move(database)),
      add_(std::move(add)),
      upsert_(std::move(upsert)),
      position_(std::move(position)) {}

Result<StateTables> StateTables::open(Database database) {
  Result<Statement> add = database.prepare(kAdd);
  if (!add) return tl::unexpected<Error>(std::move(add.error()));
  Result<Statement> upsert = database.prepare(kUpsert);
  if (!upsert) return tl::unexpected<Error>(std::move(upsert.error()));
  Result<Statement> position = database.prepare(kPosition);
  if (!position) return tl::unexpected<Error>(std::move(position.error()));
  return StateTables(std::move(database), std::move(*add), std::move(*upsert),
                     std::move(*position));
}

Status StateTables::add(const DeadLetter& letter) {
  add_.bind(1, letter.at.time_since_epoch().count())
      .bind(2, letter.target)
      .bind(3, letter.layer)
      .bind(4, letter.host)
      .bind(5, letter.path)
      .bind(6, letter.reason)
      .bind(7, std::int64_t{letter.status})
      .bind(8, std::int64_t{letter.attempts})
      .bind(9, letter.partition.topic)
      .bind(10, std::int64_t{letter.partition.partition})
      .bind(11, letter.offset.value())
      .bind(12, letter.event_id);
  return add_.run();
}

Status StateTables::upsert(const Commit& commit, WallTime now) {
  upsert_.bind(1, commit.name.topic)
      .bind(2, std::int64_t{commit.name.partition})
      .bind(3, commit.position.offset.value())
      .bind(5, commit.position.cluster)
      .bind(6, now.time_since_epoch().count());
  if (commit.position.event_time) {
    upsert_.bind(4, commit.position.event_time->time_since_epoch().count());
  } else {
    upsert_.bind_null(4);
  }
  return upsert_.run();
}

Result<std::optional<Position>> StateTables::position(const PartitionName& name) {
  position_.bind(1, name.topic).bind(2, std::int64_t{name.partition});
  Result<bool> row = position_.step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  std::optional<Position> found;
  if (*row) {
    found.emplace();
    found->offset = Offset{position_.integer(0)};
    if (!position_.is_null(1)) found->event_time = WallTime{Duration{position_.integer(1)}};
    found->cluster = position_.text(2);
  }
  // An open read would keep the write-ahead log from being folded back.
  position_.reset();
  return found;
}

}  // namespace purgeline
