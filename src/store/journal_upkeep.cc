// What the journal's writer does besides writing: retention, the bound of the file's size, and
// folding the write-ahead log into the file.
#include <algorithm>
#include <utility>

#include "purgeline/check.h"
#include "store/journal.h"

namespace purgeline {
namespace {

std::string mebibytes(std::int64_t bytes) {
  return std::to_string(bytes / (1 << 20)) + "." + std::to_string(bytes % (1 << 20) * 10 >> 20) +
         " MiB";
}

}  // namespace

// Runs inside the transaction that is about to be committed, so that removing costs no sync of its
// own.
Status Journal::retain(bool due) {
  more_to_remove_ = false;
  if (due) {
    Status old = remove_old();
    if (!old) return old;
  }
  if (used_ > static_cast<std::int64_t>(options_.max_size)) return remove_for_size();
  return {};
}

Status Journal::remove_old() {
  const WallTime cutoff = clock_.wall() - options_.retention;
  for (const auto& [name, topic] : tables_.topics()) {
    Result<Offset> young = tables_.first_not_older(name, cutoff, rows_);
    if (!young) return tl::unexpected<Error>(std::move(young.error()));
    if (*young <= topic.low) continue;
    Status removed = remove(name, *young);
    if (!removed) return removed;
  }
  return {};
}

Status Journal::remove_for_size() {
  for (const auto& [name, topic] : tables_.topics()) {
    Status removed = remove(name, topic.next);
    if (!removed) return removed;
  }
  return {};
}

// Never what somebody still needs.
Status Journal::remove(const std::string& topic, Offset below) {
  Result<Offset> needed = tables_.needed_from(topic);
  if (!needed) return tl::unexpected<Error>(std::move(needed.error()));
  Result<std::int64_t> gone = tables_.remove(topic, std::min(below, *needed), rows_);
  if (!gone) return tl::unexpected<Error>(std::move(gone.error()));
  removed_ += *gone;
  more_to_remove_ = more_to_remove_ || *gone == rows_;
  return {};
}

// Before the thread runs, and in steps, as retention does. When the disk refuses, the rest stays
// and is forwarded: that costs purges that nobody needs, and a daemon that does not start would
// cost more.
void Journal::drop_finished() {
  constexpr std::int64_t kStep = 10000;
  rows_ = kStep;
  bool more = true;
  while (more) {
    Status status = tables_.begin();
    for (const auto& [name, topic] : tables_.topics()) {
      if (status) status = remove(name, topic.next);
    }
    more = removed_ > 0;
    if (status) status = tables_.commit();
    if (!status) {
      undo();
      break;
    }
    publish();
  }
  more_to_remove_ = false;
  measure();
}

MonoTime Journal::next_upkeep() const {
  return more_to_remove_ ? clock_.now() : clock_.now() + options_.upkeep;
}

// While nothing is asked.
void Journal::upkeep() {
  rows_ = options_.remove_rows;
  Status status = tables_.begin();
  if (status) status = retain(true);
  const bool any = removed_ > 0;
  if (status && any) status = tables_.commit();
  if (status && any) {
    publish();
  } else {
    undo();
  }
  if (!status) {
    more_to_remove_ = false;
    failed(status.error());
  }
  upkeep_at_ = next_upkeep();
  measure();
  fold(true);
}

void Journal::measure() {
  const Result<std::int64_t> used = tables_.used_bytes();
  if (!used) return;  // the disk is in trouble, and the next write says so
  used_ = *used;
  const auto most = static_cast<std::int64_t>(options_.max_size);
  size_trouble_.clear();
  if (used_ > most) {
    if (removable()) {
      more_to_remove_ = true;
    } else {
      size_trouble_ = path_ + " is full: unfinished events take " + mebibytes(used_) +
                      " of log.journal.max_size " + mebibytes(most);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    metrics_.used_bytes = static_cast<double>(used_);
  }
  set_trouble();
}

// Is there anything that nobody needs any more?
bool Journal::removable() {
  for (const auto& [name, topic] : tables_.topics()) {
    const Result<Offset> needed = tables_.needed_from(name);
    if (needed && std::min(*needed, topic.next) > topic.low) return true;
  }
  return false;
}

void Journal::fold(bool idle) {
  std::int64_t frames = tables_.wal_frames();
  const bool anew = frames < frames_at_fold_;
  if (anew) frames_at_fold_ = 0;
  const bool due = frames >= frames_at_fold_ + fold_pages_;
  if (due || (idle && frames > 0)) {
    // A failure leaves everything in the write-ahead log, where it is just as safe.
    const Result<WalState> state = tables_.checkpoint();
    frames_at_fold_ = frames;
    if (state && state->folded == state->frames) {
      // The next commit begins it anew, unless somebody still reads from it, and says so.
      tables_.forget_frames();
      frames = 0;
    }
  }
  const std::int64_t bytes = frames * tables_.page_size();
  const std::lock_guard lock(mutex_);
  metrics_.wal_bytes = static_cast<double>(bytes);
  const bool above = bytes > static_cast<std::int64_t>(options_.wal_limit);
  metrics_.wal_pinned = above ? 1 : 0;
  pinned_ = above ? path_ + "-wal has grown to " + mebibytes(bytes) +
                        ": a program (sqlite3, a backup) holds an old state of the journal open; "
                        "end its transaction"
                  : std::string();
}

void Journal::set_trouble() {
  const std::lock_guard lock(mutex_);
  trouble_ = disk_trouble_.empty() ? size_trouble_ : disk_trouble_;
  metrics_.trouble = trouble_.empty() ? 0 : 1;
}

}  // namespace purgeline
