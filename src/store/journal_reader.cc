#include "store/journal_reader.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"
#include "store/journal_schema.h"

namespace purgeline {

std::string_view JournalPage::key(std::size_t row) const {
  CHECK(row < rows.size());
  const std::size_t begin = row == 0 ? 0 : rows[row - 1].end;
  return std::string_view(bytes).substr(begin, rows[row].key_end - begin);
}

std::string_view JournalPage::value(std::size_t row) const {
  CHECK(row < rows.size());
  return std::string_view(bytes).substr(rows[row].key_end, rows[row].end - rows[row].key_end);
}

JournalReader::JournalReader(std::string path, int wake_fd)
    : questions_(kQuestions), answers_(kQuestions), path_(std::move(path)), wake_fd_(wake_fd) {
  thread_ = std::thread([this] { serve(); });
}

JournalReader::~JournalReader() {
  stop();
}

void JournalReader::stop() {
  questions_.close();
  if (thread_.joinable()) thread_.join();
}

bool JournalReader::ask(Question question, End end) {
  if (open_ >= kQuestions) return false;
  if (!questions_.push(Asked{std::move(question), std::move(end)})) return false;
  ++open_;
  return true;
}

void JournalReader::poll() {
  answers_.drain(telling_);
  tell(telling_);
}

void JournalReader::wait() {
  if (open_ == 0) return;
  static_cast<void>(answers_.wait(telling_, std::nullopt));
  tell(telling_);
}

void JournalReader::tell(std::vector<Answered>& answers) {
  CHECK(open_ >= answers.size());
  open_ -= answers.size();
  for (Answered& one : answers) one.end(std::move(one.answer));
  answers.clear();
}

// ---- its own thread ----

void JournalReader::serve() {
  std::vector<Asked> asked;
  bool open = true;
  while (open) {
    open = questions_.wait(asked, std::nullopt);
    for (Asked& one : asked) {
      // Whoever stops waits for one question, not for all.
      Result<Answer> answered =
          open ? answer(one.question) : Result<Answer>(failure(Errc::closed, "stopped"));
      // Its pages would be kept, also when the file has been mended.
      if (!answered && answered.error().code == Errc::corrupt) close_database();
      const bool pushed = answers_.push(Answered{std::move(answered), std::move(one.end)});
      CHECK(pushed);
      if (wake_fd_ >= 0) write_eventfd(wake_fd_);
    }
    asked.clear();
  }
}

void JournalReader::close_database() {
  sql_ = {};
  database_.reset();
}

Status JournalReader::prepare() {
  if (sql_.position) return {};
  if (!database_) {
    Result<Database> opened = Database::open(path_, {true, std::chrono::seconds(5), 0});
    if (!opened) return tl::unexpected<Error>(std::move(opened.error()));
    database_.emplace(std::move(*opened));
  }
  struct Wanted {
    std::optional<Statement>& statement;
    const char* sql;
  };
  const Wanted all[] = {
      {sql_.topic, "SELECT id, low, next FROM topic WHERE name = ?1"},
      {sql_.page,
       "SELECT id, time_ns, key, value FROM event WHERE id >= ?1 AND id < ?2 "
       "ORDER BY id LIMIT ?3"},
      {sql_.mark,
       "SELECT \"offset\" FROM mark WHERE topic = ?1 AND max_time_ns < ?2 "
       "ORDER BY \"offset\" DESC LIMIT 1"},
      {sql_.later,
       "SELECT id FROM event WHERE id >= ?1 AND id < ?2 AND time_ns >= ?3 "
       "ORDER BY id LIMIT 1"},
      {sql_.id, "SELECT id FROM journal"},
      {sql_.position,
       "SELECT \"offset\", event_time_ns, cluster FROM position "
       "WHERE reader = ?1 AND topic = ?2"},
  };
  for (const Wanted& wanted : all) {
    if (wanted.statement) continue;
    Result<Statement> made = database_->prepare(wanted.sql);
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    wanted.statement.emplace(std::move(*made));
  }
  return {};
}

Result<JournalReader::Answer> JournalReader::answer(const Question& question) {
  Status prepared = prepare();
  if (!prepared) return tl::unexpected<Error>(std::move(prepared.error()));
  if (const auto* read = std::get_if<ReadPage>(&question)) return page(*read);
  if (const auto* wanted = std::get_if<FindTime>(&question)) return find(*wanted);
  if (const auto* load = std::get_if<LoadPosition>(&question)) return position(*load);
  if (const auto* ask = std::get_if<AskEnds>(&question)) {
    Result<Topic> known = topic(ask->topic);
    if (!known) return tl::unexpected<Error>(std::move(known.error()));
    return Answer(known->ends);
  }
  return identity();
}

Result<JournalReader::Topic> JournalReader::topic(const std::string& name) {
  sql_.topic->bind(1, name);
  Result<bool> row = sql_.topic->step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  if (!*row) {
    sql_.topic->reset();
    return failure(Errc::not_found, "the journal has no topic " + name);
  }
  const Topic known{sql_.topic->integer(0),
                    {Offset(sql_.topic->integer(1)), Offset(sql_.topic->integer(2))}};
  sql_.topic->reset();
  return known;
}

Result<JournalReader::Answer> JournalReader::page(const ReadPage& question) {
  Result<Topic> known = topic(question.topic);
  if (!known) return tl::unexpected<Error>(std::move(known.error()));
  if (question.from < known->ends.low || question.from > known->ends.high) {
    return Answer(OutOfRange{});
  }
  JournalPage page;
  page.first = question.from;
  sql_.page->bind(1, event_id(known->id, question.from))
      .bind(2, event_id(known->id + 1, Offset(0)))
      .bind(3, kPageRows);
  while (page.bytes.size() < kPageBytes) {
    Result<bool> row = sql_.page->step();
    if (!row) return tl::unexpected<Error>(std::move(row.error()));
    if (!*row) break;
    const Offset offset = offset_of(sql_.page->integer(0));
    // Retention came between the two statements.
    if (offset.value() != page.first.value() + static_cast<std::int64_t>(page.rows.size())) {
      sql_.page->reset();
      return Answer(OutOfRange{});
    }
    JournalPage::Row& at = page.rows.emplace_back();
    at.time = WallTime(Duration(sql_.page->integer(1)));
    page.bytes += sql_.page->text_view(2);
    at.key_end = page.bytes.size();
    page.bytes += sql_.page->text_view(3);
    at.end = page.bytes.size();
  }
  sql_.page->reset();
  return Answer(std::move(page));
}

Result<JournalReader::Answer> JournalReader::find(const FindTime& question) {
  Result<Topic> known = topic(question.topic);
  if (!known) return tl::unexpected<Error>(std::move(known.error()));
  const std::int64_t time = question.time.time_since_epoch().count();
  sql_.mark->bind(1, known->id).bind(2, time);
  Result<bool> marked = sql_.mark->step();
  if (!marked) return tl::unexpected<Error>(std::move(marked.error()));
  Offset from = known->ends.low;
  if (*marked) from = std::max(from, Offset(sql_.mark->integer(0)));
  sql_.mark->reset();
  sql_.later->bind(1, event_id(known->id, from))
      .bind(2, event_id(known->id, known->ends.high))
      .bind(3, time);
  Result<bool> row = sql_.later->step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  const Offset found = *row ? offset_of(sql_.later->integer(0)) : known->ends.high;
  sql_.later->reset();
  return Answer(found);
}

Result<JournalReader::Answer> JournalReader::identity() {
  Identity known;
  Result<bool> id = sql_.id->step();
  if (!id) return tl::unexpected<Error>(std::move(id.error()));
  if (*id) known.journal_id = sql_.id->text(0);
  sql_.id->reset();
  return Answer(std::move(known));
}

Result<JournalReader::Answer> JournalReader::position(const LoadPosition& question) {
  sql_.position->bind(1, question.reader).bind(2, question.topic);
  Result<bool> row = sql_.position->step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  std::optional<Position> found;
  if (*row) {
    found.emplace();
    found->offset = Offset(sql_.position->integer(0));
    if (!sql_.position->is_null(1)) {
      found->event_time = WallTime(Duration(sql_.position->integer(1)));
    }
    found->cluster = sql_.position->text(2);
  }
  sql_.position->reset();
  return Answer(std::move(found));
}

}  // namespace purgeline
