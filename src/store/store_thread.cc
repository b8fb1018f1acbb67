#include "store/store_thread.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"
#include "store/schema.h"

namespace purgeline {
namespace {

// Changes of trouble that may wait for the shard's poll; one that finds no place is told a try
// later.
constexpr std::size_t kTroubles = 16;

const char* const kFull = "the store's queue is full; the disk does not keep up";

}  // namespace

// ---- the shard's side ----

void StoreThread::Letters::start(DeadLetterListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
}

bool StoreThread::Letters::put(std::uint64_t ticket, const DeadLetter& letter) {
  CHECK(listener_ != nullptr);
  if (waiting_ >= capacity_) return false;
  if (!store_.requests_.push(Letter{ticket, letter})) return false;  // stopped
  ++waiting_;
  return true;
}

void StoreThread::Letters::poll() {
  store_.letter_answers_.drain(answers_);
  if (answers_.empty()) return;
  CHECK(listener_ != nullptr);
  for (const LetterAnswer& answer : answers_) {
    if (const Trouble* trouble = std::get_if<Trouble>(&answer)) {
      listener_->on_dead_letter_trouble(trouble->why);
      continue;
    }
    CHECK(waiting_ > 0);
    --waiting_;
    listener_->on_dead_letter_kept(std::get<Kept>(answer).ticket);
  }
  answers_.clear();
}

void StoreThread::Positions::start(OffsetStoreListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
}

bool StoreThread::Positions::ask(Request request) {
  CHECK(listener_ != nullptr);
  if (waiting_ >= capacity_ || !store_.requests_.push(std::move(request))) return false;
  ++waiting_;
  return true;
}

// A caller that never polls would grow this list without bound; a refusal that is left out looks to
// it like an answer that never came, which it has to survive anyway.
void StoreThread::Positions::refuse(PositionAnswer answer) {
  if (refused_.size() < capacity_) refused_.push_back(std::move(answer));
}

void StoreThread::Positions::load(PartitionId partition, const PartitionName& name) {
  if (!ask(Load{partition, name})) {
    refuse(Loaded{partition, failure(Errc::unavailable, kFull)});
  }
}

void StoreThread::Positions::commit(std::span<const Commit> commits) {
  for (const Commit& commit : commits) {
    if (!ask(commit)) {
      refuse(
          Committed{commit.partition, commit.position.offset, failure(Errc::unavailable, kFull)});
    }
  }
}

void StoreThread::Positions::tell(PositionAnswer& answer) {
  if (Loaded* loaded = std::get_if<Loaded>(&answer)) {
    listener_->on_loaded(loaded->partition, std::move(loaded->position));
    return;
  }
  auto& committed = std::get<Committed>(answer);
  listener_->on_committed(committed.partition, committed.offset, std::move(committed.status));
}

void StoreThread::Positions::poll() {
  store_.position_answers_.drain(answers_);
  CHECK(waiting_ >= answers_.size());
  waiting_ -= answers_.size();
  for (PositionAnswer& refused : refused_) answers_.push_back(std::move(refused));
  refused_.clear();  // a listener may be refused again while it is told
  for (PositionAnswer& answer : answers_) tell(answer);
  answers_.clear();
}

// ---- life ----

StoreThread::StoreThread(StateTables tables, Clock& clock, const StoreOptions& options)
    : requests_(options.letters + options.positions),
      letter_answers_(options.letters + kTroubles),
      position_answers_(options.positions),
      letters_(*this, options.letters),
      positions_(*this, options.positions),
      tables_(std::move(tables)),
      clock_(clock),
      options_(options) {
  CHECK(options.letters > 0);
  CHECK(options.positions > 0);
  CHECK(options.retry > Duration::zero());
}

Result<std::unique_ptr<StoreThread>> StoreThread::open(const std::string& path, Clock& clock,
                                                       const StoreOptions& options) {
  Result<Database> database = open_state(path, options.database);
  if (!database) return tl::unexpected<Error>(std::move(database.error()));
  Result<StateTables> tables = StateTables::open(std::move(*database));
  if (!tables) return tl::unexpected<Error>(std::move(tables.error()));
  // Not make_unique: the constructor is private.
  return std::unique_ptr<StoreThread>(new StoreThread(std::move(*tables), clock, options));
}

StoreThread::~StoreThread() {
  static_cast<void>(stop());
}

void StoreThread::start(int wake_fd) {
  CHECK(!thread_.joinable());
  wake_fd_ = wake_fd;
  thread_ = std::thread([this] { run(); });
}

Status StoreThread::stop() {
  if (!thread_.joinable()) return {};
  requests_.close();
  thread_.join();
  if (unwritten_.empty()) return {};
  return failure(Errc::unavailable, std::to_string(unwritten_.size()) +
                                        " dead letters could not be written (" + trouble_ +
                                        "); their events will be read again");
}

// ---- the writer thread ----

void StoreThread::run() {
  bool open = true;
  while (open) {
    clock_.refresh();
    open = requests_.wait(batch_, patience());
    take_apart();
    write_pass(!open);
  }
}

// How long there is nothing to do unless somebody asks.
std::optional<Duration> StoreThread::patience() const {
  if (unwritten_.empty()) return std::nullopt;
  CHECK(in_trouble_);
  return std::max(Duration::zero(), retry_at_ - clock_.now());
}

void StoreThread::take_apart() {
  CHECK(commits_.empty() && loads_.empty());
  for (Request& request : batch_) {
    if (Letter* letter = std::get_if<Letter>(&request)) {
      unwritten_.push_back(std::move(*letter));
    } else if (Commit* commit = std::get_if<Commit>(&request)) {
      commits_.push_back(std::move(*commit));
    } else {
      loads_.push_back(std::move(std::get<Load>(request)));
    }
  }
  batch_.clear();
  CHECK(unwritten_.size() <= options_.letters);
}

void StoreThread::write_pass(bool last) {
  clock_.refresh();
  const bool asked = !commits_.empty() || !loads_.empty();
  const bool try_letters =
      !unwritten_.empty() && (!in_trouble_ || last || clock_.now() >= retry_at_);
  bool commits_written = false;
  if (try_letters) {
    const Status status = write(unwritten_);
    if (status) {
      letters_kept();
      answer_commits(status);
      commits_written = true;
    } else {
      letters_failed(status.error());
    }
  }
  // Letters that cannot be written hold back no commit: the shard lets no position pass a letter of
  // its own. A position only overwrites a row, so it often still fits.
  if (!commits_written && !commits_.empty()) answer_commits(write({}));
  answer_loads();
  if (try_letters || asked) wake();
}

// One transaction of `letters` and all commits.
Status StoreThread::write(const std::vector<Letter>& letters) {
  Result<Transaction> transaction = tables_.begin();
  if (!transaction) return tl::unexpected<Error>(std::move(transaction.error()));
  for (const Letter& letter : letters) {
    Status added = tables_.add(letter.letter);
    if (!added) return added;
  }
  for (const Commit& commit : commits_) {
    Status upserted = tables_.upsert(commit, clock_.wall());
    if (!upserted) return upserted;
  }
  return transaction->commit();
}

void StoreThread::letters_kept() {
  for (const Letter& letter : unwritten_) {
    const bool answered = letter_answers_.push(Kept{letter.ticket});
    CHECK(answered);
  }
  unwritten_.clear();
  in_trouble_ = false;
  trouble_.clear();
}

void StoreThread::letters_failed(const Error& error) {
  in_trouble_ = true;
  retry_at_ = clock_.now() + options_.retry;
  if (error.detail == trouble_) return;
  // The places of letters stay free: their answers must always find one.
  if (letter_answers_.push(Trouble{error.detail}, options_.letters)) trouble_ = error.detail;
}

void StoreThread::answer_commits(const Status& status) {
  for (const Commit& commit : commits_) {
    const bool answered =
        position_answers_.push(Committed{commit.partition, commit.position.offset, status});
    CHECK(answered);
  }
  commits_.clear();
}

void StoreThread::answer_loads() {
  for (const Load& load : loads_) {
    const bool answered =
        position_answers_.push(Loaded{load.partition, tables_.position(load.name)});
    CHECK(answered);
  }
  loads_.clear();
}

void StoreThread::wake() const {
  if (wake_fd_ >= 0) write_eventfd(wake_fd_);
}

}  // namespace purgeline
