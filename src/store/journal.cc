#include "store/journal.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"
#include "store/journal_schema.h"

namespace purgeline {
namespace {

// The write-ahead log is folded into the file when it has so many pages: rarely enough that few
// appends wait for it, and small enough beside the bound of the file.
std::int64_t fold_pages(const JournalOptions& options, std::int64_t page_size) {
  const auto share = static_cast<std::int64_t>(std::min(options.max_size, options.wal_limit) / 8);
  return std::clamp<std::int64_t>(share / page_size, 16, 4096);
}

// What an event takes in memory besides its bytes.
constexpr std::size_t kEventOverhead = 128;

JournalLoad load_of(const std::vector<Append>& batch) {
  JournalLoad load{batch.size(), 0};
  for (const Append& event : batch) {
    load.bytes += event.topic.size() + event.key.size() + event.value.size() + kEventOverhead;
  }
  return load;
}

}  // namespace

Journal::Journal(std::string path, JournalTables tables, Clock& clock,
                 const JournalOptions& options)
    : path_(std::move(path)),
      id_(tables.journal_id()),
      options_(options),
      fold_pages_(fold_pages(options, tables.page_size())),
      queue_({options.queue_events, options.queue_bytes}),
      tables_(std::move(tables)),
      clock_(clock) {
  CHECK(options.queue_events > 0 && options.queue_bytes > 0 && options.remove_rows > 0);
  CHECK(options.retry > Duration::zero() && options.upkeep > Duration::zero());
  metrics_.max_bytes = static_cast<double>(options.max_size);
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path, Clock& clock,
                                               const JournalOptions& options) {
  Result<Database> database = open_journal(path, options.database);
  if (!database) return tl::unexpected<Error>(std::move(database.error()));
  Result<JournalTables> tables = JournalTables::open(std::move(*database));
  if (!tables) return tl::unexpected<Error>(std::move(tables.error()));
  // Not make_unique: the constructor is private.
  auto journal = std::unique_ptr<Journal>(new Journal(path, std::move(*tables), clock, options));
  Status kept = journal->tables_.keep_wal(2 * journal->fold_pages_ * journal->tables_.page_size());
  if (!kept) return tl::unexpected<Error>(std::move(kept.error()));
  Status made = journal->make_topics();
  if (!made) return tl::unexpected<Error>(std::move(made.error()));
  if (options.drop_finished) journal->drop_finished();
  return journal;
}

Journal::~Journal() {
  stop();
}

Status Journal::make_topics() {
  const auto& known = tables_.topics();
  const bool all = std::all_of(options_.topics.begin(), options_.topics.end(),
                               [&](const std::string& name) { return known.count(name) > 0; });
  // A full disk must not keep a journal from opening that has all it needs.
  if (!all) {
    Status status = tables_.begin();
    for (const std::string& name : options_.topics) {
      if (status) status = tables_.ensure_topic(name);
    }
    if (status) status = tables_.commit();
    if (!status) {
      tables_.undo();
      return status;
    }
  }
  publish();
  measure();
  return {};
}

void Journal::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void Journal::stop() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

// ---- any thread ----

bool Journal::append(std::vector<Append> batch, Done done) {
  CHECK(!batch.empty());
  const JournalLoad load = load_of(batch);
  const std::size_t events = batch.size();
  {
    const std::lock_guard lock(mutex_);
    if (!trouble_.empty() || !damage_.empty()) {
      metrics_.refused += events;
      return false;
    }
  }
  if (queue_.push(Batch{std::move(batch), std::move(done), load}, load)) return true;
  const std::lock_guard lock(mutex_);
  metrics_.refused += events;
  return false;
}

bool Journal::takes_topic(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  if (names_.find(topic) != names_.end()) return true;
  if (names_.size() >= options_.max_topics) return false;
  names_.insert(topic);
  return true;
}

std::string Journal::trouble() const {
  {
    const std::lock_guard lock(mutex_);
    if (!trouble_.empty()) return trouble_;
    if (!damage_.empty()) return "the journal is damaged: " + damage_.begin()->second;
  }
  const JournalLoad held = queue_.held();
  if (held.events >= options_.queue_events || held.bytes >= options_.queue_bytes / 16 * 15) {
    return "the journal's queue is full; the disk does not keep up";
  }
  return {};
}

void Journal::report_damage(const std::string& reader, const std::string& words) {
  const std::lock_guard lock(mutex_);
  if (words.empty())
    damage_.erase(reader);
  else
    damage_[reader] = words;
}

bool Journal::damaged() const {
  const std::lock_guard lock(mutex_);
  return !damage_.empty();
}

bool Journal::commit(std::string reader, const Commit& commit, Answer done) {
  return queue_.push(Move{std::move(reader), commit, std::move(done)}, {});
}

bool Journal::trim(std::string topic, Offset below, Answer done) {
  return queue_.push(Trim{std::move(topic), below, std::move(done)}, {});
}

void Journal::topics(std::vector<JournalTopic>& out) const {
  const std::lock_guard lock(mutex_);
  out = published_;
}

void Journal::watch(int wake_fd) {
  const std::lock_guard lock(mutex_);
  watchers_.push_back(wake_fd);
}

void Journal::unwatch(int wake_fd) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find(watchers_.begin(), watchers_.end(), wake_fd);
  if (at != watchers_.end()) watchers_.erase(at);
}

JournalMetrics Journal::metrics() const {
  const std::lock_guard lock(mutex_);
  JournalMetrics out = metrics_;
  if (!damage_.empty()) out.trouble = 1;
  out.queued = static_cast<double>(queue_.held().events);
  return out;
}

std::string Journal::pinned() const {
  const std::lock_guard lock(mutex_);
  return pinned_;
}

// ---- the writer thread ----

void Journal::run() {
  bool open = true;
  while (open) {
    clock_.refresh();
    open = queue_.wait(requests_, patience());
    pass();
  }
}

// How long there is nothing to do unless somebody asks.
Duration Journal::patience() const {
  if (more_to_remove_ && disk_trouble_.empty()) return Duration::zero();
  const MonoTime next = disk_trouble_.empty() ? upkeep_at_ : std::min(upkeep_at_, retry_at_);
  return std::max(Duration::zero(), next - clock_.now());
}

void Journal::pass() {
  clock_.refresh();
  for (Request& request : requests_) {
    if (Batch* batch = std::get_if<Batch>(&request)) {
      batches_.push_back(std::move(*batch));
    } else if (Move* move = std::get_if<Move>(&request)) {
      moves_.push_back(std::move(*move));
    } else {
      trims_.push_back(std::move(std::get<Trim>(request)));
    }
  }
  requests_.clear();
  if (!disk_trouble_.empty() && clock_.now() >= retry_at_) try_again();
  if (!disk_trouble_.empty()) {
    // Taken before the trouble was known.
    answer_batches(failure(Errc::unavailable, disk_trouble_));
  }
  const bool due = clock_.now() >= upkeep_at_;
  if (!batches_.empty() || !moves_.empty() || !trims_.empty() || more_to_remove_) {
    write(due);
  } else if (due) {
    upkeep();
  }
}

// One transaction of everything. When it fails, positions and trims are tried without the appends:
// they make room. `due`: retention comes with it.
void Journal::write(bool due) {
  const MonoTime begun = clock_.now();
  Status status = tables_.begin();
  rows_ = options_.remove_rows;
  // Removing keeps up with any rate of appending.
  for (const Batch& batch : batches_) rows_ += 2 * static_cast<std::int64_t>(batch.events.size());
  if (status) status = write_batches();
  if (status) status = write_moves();
  if (status) status = retain(due);
  if (status) status = tables_.commit();
  clock_.refresh();
  if (status) {
    {
      const std::lock_guard lock(mutex_);
      metrics_.commit.record(clock_.now() - begun);
    }
    publish();
    if (due) upkeep_at_ = next_upkeep();
  } else {
    undo();
    more_to_remove_ = false;
    failed(status.error());
  }
  const bool alone = !status && !batches_.empty() && (!moves_.empty() || !trims_.empty());
  answer_batches(status);
  if (alone) {
    write_alone();
  } else {
    answer_moves(status);
  }
  measure();
  fold(due);
}

void Journal::write_alone() {
  Status status = tables_.begin();
  if (status) status = write_moves();
  if (status) status = tables_.commit();
  if (status) {
    publish();
  } else {
    undo();
  }
  answer_moves(status);
}

void Journal::answer_moves(const Status& status) {
  for (const Move& move : moves_) move.done(status);
  for (const Trim& trim : trims_) trim.done(status);
  moves_.clear();
  trims_.clear();
}

// What it would have removed is still there.
void Journal::undo() {
  tables_.undo();
  removed_ = 0;
}

Status Journal::write_batches() {
  offsets_.clear();
  for (const Batch& batch : batches_) {
    std::vector<Offset>& offsets = offsets_.emplace_back();
    offsets.reserve(batch.events.size());
    for (const Append& event : batch.events) {
      Result<Offset> offset = tables_.append(event);
      if (!offset) return tl::unexpected<Error>(std::move(offset.error()));
      offsets.push_back(*offset);
    }
  }
  return {};
}

Status Journal::write_moves() {
  for (const Move& move : moves_) {
    Status moved = tables_.upsert(move.reader, move.commit, clock_.wall());
    if (!moved) return moved;
  }
  for (const Trim& trim : trims_) {
    if (tables_.topics().count(trim.topic) == 0) continue;
    Result<std::int64_t> gone = tables_.remove(trim.topic, trim.below, kOffsetMask);
    if (!gone) return tl::unexpected<Error>(std::move(gone.error()));
    removed_ += *gone;
  }
  return {};
}

void Journal::answer_batches(const Status& status) {
  std::uint64_t events = 0;
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    queue_.release(batches_[i].load);
    events += batches_[i].events.size();
    if (status) {
      batches_[i].done(std::move(offsets_[i]));
    } else {
      batches_[i].done(tl::unexpected<Error>(status.error()));
    }
  }
  batches_.clear();
  const std::lock_guard lock(mutex_);
  (status ? metrics_.appended : metrics_.refused) += events;
}

void Journal::failed(const Error& error) {
  // What others ask meanwhile must not put off the next try.
  if (disk_trouble_.empty()) retry_at_ = clock_.now() + options_.retry;
  disk_trouble_ = error.detail;
  {
    const std::lock_guard lock(mutex_);
    ++metrics_.write_failures;
  }
  set_trouble();
}

void Journal::try_again() {
  // A checkpoint lets the write-ahead log begin anew, which alone may make the room.
  static_cast<void>(tables_.checkpoint());
  const Status room = tables_.probe();
  if (!room) {
    failed(room.error());
    retry_at_ = clock_.now() + options_.retry;
    return;
  }
  disk_trouble_.clear();
  set_trouble();
}

void Journal::publish() {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    metrics_.removed += static_cast<std::uint64_t>(std::exchange(removed_, 0));
    auto at = published_.begin();
    for (const auto& [name, topic] : tables_.topics()) {
      if (at == published_.end() || at->name != name) {
        at = published_.insert(at, {name, topic.low, topic.next});
        names_.insert(name);
        changed = true;
      } else if (at->low != topic.low || at->high != topic.next) {
        at->low = topic.low;
        at->high = topic.next;
        changed = true;
      }
      ++at;
    }
  }
  if (!changed) return;
  version_.fetch_add(1, std::memory_order_release);
  wake();
}

void Journal::wake() const {
  const std::lock_guard lock(mutex_);
  for (const int fd : watchers_) write_eventfd(fd);
}

}  // namespace purgeline
