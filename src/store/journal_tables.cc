#include "store/journal_tables.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "store/journal_schema.h"

namespace purgeline {
namespace {

constexpr const char* kUpsert = R"sql(
INSERT INTO position (reader, topic, "offset", event_time_ns, cluster, updated_ns)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (reader, topic) DO UPDATE SET
  "offset" = excluded."offset", event_time_ns = excluded.event_time_ns,
  cluster = excluded.cluster, updated_ns = excluded.updated_ns
)sql";

// A position of another journal says nothing about offsets of this one: then all is needed.
constexpr const char* kFloor = R"sql(
SELECT min(CASE WHEN cluster = ?2 THEN "offset" ELSE 0 END) FROM position WHERE topic = ?1
)sql";

// A mark for so many events: what find() scans at most, in a log whose times rise.
constexpr std::int64_t kMarkEvery = 256;

std::int64_t count(WallTime time) {
  return time.time_since_epoch().count();
}

}  // namespace

JournalTables::JournalTables(Database database)
    : database_(std::make_unique<Database>(std::move(database))),
      wal_frames_(std::make_unique<int>(0)) {}

Result<JournalTables> JournalTables::open(Database database) {
  JournalTables tables(std::move(database));
  Status prepared = tables.prepare();
  if (!prepared) return tl::unexpected<Error>(std::move(prepared.error()));
  Result<std::string> id = tables.database_->word("SELECT id FROM journal");
  if (!id) return tl::unexpected<Error>(std::move(id.error()));
  tables.id_ = std::move(*id);
  Result<std::int64_t> page = tables.database_->number("PRAGMA page_size");
  if (!page) return tl::unexpected<Error>(std::move(page.error()));
  tables.page_size_ = *page;
  Status loaded = tables.load_topics();
  if (!loaded) return tl::unexpected<Error>(std::move(loaded.error()));
  return tables;
}

Status JournalTables::prepare() {
  struct Wanted {
    std::optional<Statement>& statement;
    const char* sql;
  };
  const Wanted all[] = {
      {sql_.add_topic,
       "INSERT INTO topic (id, name, low, next, max_time_ns) VALUES (?1, ?2, 0, 0, 0)"},
      {sql_.write_topic, "UPDATE topic SET low = ?2, next = ?3, max_time_ns = ?4 WHERE id = ?1"},
      {sql_.add_event, "INSERT INTO event (id, time_ns, key, value) VALUES (?1, ?2, ?3, ?4)"},
      {sql_.add_mark, "INSERT INTO mark (topic, \"offset\", max_time_ns) VALUES (?1, ?2, ?3)"},
      {sql_.upsert, kUpsert},
      {sql_.floor, kFloor},
      {sql_.times, "SELECT id, time_ns FROM event WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3"},
      {sql_.remove, "DELETE FROM event WHERE id >= ?1 AND id < ?2"},
      {sql_.remove_marks, "DELETE FROM mark WHERE topic = ?1 AND \"offset\" < ?2"},
      {sql_.pages, "PRAGMA page_count"},
      {sql_.free_pages, "PRAGMA freelist_count"},
      {sql_.probe_on, "UPDATE journal SET probe = zeroblob(65536)"},
      {sql_.probe_off, "UPDATE journal SET probe = NULL"},
  };
  for (const Wanted& wanted : all) {
    Result<Statement> made = database_->prepare(wanted.sql);
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    wanted.statement.emplace(std::move(*made));
  }
  return {};
}

Status JournalTables::load_topics() {
  auto rows = database_->prepare("SELECT id, name, low, next, max_time_ns FROM topic");
  if (!rows) return tl::unexpected<Error>(std::move(rows.error()));
  while (true) {
    Result<bool> row = rows->step();
    if (!row) return tl::unexpected<Error>(std::move(row.error()));
    if (!*row) break;
    topics_[rows->text(1)] =
        Topic{rows->integer(0), Offset(rows->integer(2)), Offset(rows->integer(3)),
              WallTime(Duration(rows->integer(4))), false};
  }
  before_ = topics_;
  return {};
}

Status JournalTables::begin() {
  CHECK(!transaction_);
  Result<Transaction> begun = Transaction::begin(*database_);
  if (!begun) return tl::unexpected<Error>(std::move(begun.error()));
  transaction_.emplace(std::move(*begun));
  return {};
}

Status JournalTables::write_topics() {
  for (auto& [name, topic] : topics_) {
    if (!topic.changed) continue;
    sql_.write_topic->bind(1, topic.id)
        .bind(2, topic.low.value())
        .bind(3, topic.next.value())
        .bind(4, count(topic.max_time));
    Status written = sql_.write_topic->run();
    if (!written) return written;
    topic.changed = false;
  }
  return {};
}

Status JournalTables::commit() {
  CHECK(transaction_);
  Status written = write_topics();
  if (!written) return written;
  Status committed = transaction_->commit();
  if (!committed) return committed;
  transaction_.reset();
  for (const auto& [name, topic] : topics_) before_[name] = topic;  // allocates for new topics only
  return {};
}

void JournalTables::undo() {
  transaction_.reset();
  topics_ = before_;
}

Status JournalTables::ensure_topic(std::string_view name) {
  if (topics_.find(name) != topics_.end()) return {};
  std::int64_t id = 1;
  for (const auto& [other, topic] : topics_) id = std::max(id, topic.id + 1);
  if (id >= kMaxTopics) return failure(Errc::out_of_range, "the journal has too many topics");
  sql_.add_topic->bind(1, id).bind(2, name);
  Status added = sql_.add_topic->run();
  if (!added) return added;
  topics_.emplace(std::string(name), Topic{id, {}, {}, {}, false});
  return {};
}

Result<Offset> JournalTables::append(const Append& event) {
  auto found = topics_.find(event.topic);
  if (found == topics_.end()) {
    Status made = ensure_topic(event.topic);
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    found = topics_.find(event.topic);
  }
  Topic& topic = found->second;
  const Offset offset = topic.next;
  CHECK(offset.value() < kOffsetMask);
  if (offset.value() % kMarkEvery == 0 && offset.value() > 0) {
    sql_.add_mark->bind(1, topic.id).bind(2, offset.value()).bind(3, count(topic.max_time));
    Status marked = sql_.add_mark->run();
    if (!marked) return tl::unexpected<Error>(std::move(marked.error()));
  }
  sql_.add_event->bind(1, event_id(topic.id, offset))
      .bind(2, count(event.time))
      .bind(3, event.key)
      .bind(4, event.value);
  Status added = sql_.add_event->run();
  if (!added) return tl::unexpected<Error>(std::move(added.error()));
  topic.next = offset.next();
  topic.max_time = std::max(topic.max_time, event.time);
  topic.changed = true;
  return offset;
}

Status JournalTables::upsert(const std::string& reader, const Commit& commit, WallTime now) {
  sql_.upsert->bind(1, reader)
      .bind(2, commit.name.topic)
      .bind(3, commit.position.offset.value())
      .bind(5, commit.position.cluster)
      .bind(6, count(now));
  if (commit.position.event_time) {
    sql_.upsert->bind(4, count(*commit.position.event_time));
  } else {
    sql_.upsert->bind_null(4);
  }
  return sql_.upsert->run();
}

Result<std::int64_t> JournalTables::remove(const std::string& topic, Offset below,
                                           std::int64_t rows) {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return failure(Errc::not_found, "no topic " + topic);
  Topic& at = found->second;
  const Offset to(std::min({below.value(), at.next.value(), at.low.value() + rows}));
  if (to <= at.low) return 0;
  sql_.remove->bind(1, event_id(at.id, at.low)).bind(2, event_id(at.id, to));
  Status removed = sql_.remove->run();
  if (!removed) return tl::unexpected<Error>(std::move(removed.error()));
  sql_.remove_marks->bind(1, at.id).bind(2, to.value());
  Status marks = sql_.remove_marks->run();
  if (!marks) return tl::unexpected<Error>(std::move(marks.error()));
  const std::int64_t gone = to.value() - at.low.value();
  at.low = to;
  at.changed = true;
  return gone;
}

// What is freed again within one transaction is never written, so it takes two to learn something.
Status JournalTables::probe() {
  for (std::optional<Statement>* step : {&sql_.probe_on, &sql_.probe_off}) {
    Status begun = begin();
    if (!begun) return begun;
    Status done = (*step)->run();
    if (done) done = commit();
    if (!done) {
      undo();
      return done;
    }
  }
  return {};
}

Result<Offset> JournalTables::needed_from(const std::string& topic) {
  sql_.floor->bind(1, topic).bind(2, id_);
  Result<bool> row = sql_.floor->step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  const Offset floor(*row && !sql_.floor->is_null(0) ? sql_.floor->integer(0) : 0);
  sql_.floor->reset();
  return floor;
}

Result<Offset> JournalTables::first_not_older(const std::string& topic, WallTime time,
                                              std::int64_t rows) {
  const auto found = topics_.find(topic);
  CHECK(found != topics_.end());
  const Topic& at = found->second;
  Offset first = at.low;
  sql_.times->bind(1, event_id(at.id, at.low)).bind(2, event_id(at.id, at.next)).bind(3, rows);
  while (true) {
    Result<bool> row = sql_.times->step();
    if (!row) return tl::unexpected<Error>(std::move(row.error()));
    if (!*row || sql_.times->integer(1) >= count(time)) break;
    first = offset_of(sql_.times->integer(0)).next();
  }
  sql_.times->reset();
  return first;
}

Result<std::int64_t> JournalTables::used_bytes() {
  std::int64_t pages = 0;
  for (auto [statement, sign] : {std::pair(&sql_.pages, 1), std::pair(&sql_.free_pages, -1)}) {
    Result<bool> row = (*statement)->step();
    if (!row) return tl::unexpected<Error>(std::move(row.error()));
    CHECK(*row);
    pages += sign * (*statement)->integer(0);
    (*statement)->reset();
  }
  return pages * page_size_;
}

}  // namespace purgeline
