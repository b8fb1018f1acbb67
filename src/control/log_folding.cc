#include <algorithm>

#include "control/log.h"
#include "purgeline/check.h"

namespace purgeline {

namespace {

std::string subject_key(std::string_view event, LogFields fields) {
  std::string key(event);
  if (fields.size() > 0) {
    key += '\n';  // not in any event name, so no two kinds share a key
    key += fields.begin()->second;
  }
  return key;
}

// Whole seconds: nobody needs more of "how long".
std::string seconds_text(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

// An initializer_list cannot be built at run time, so the number of fields is one of a few cases.
// Lines with more fields than this are told with the first ones only.
constexpr std::size_t kMaxKeptFields = 6;

}  // namespace

FoldingLog::FoldingLog(EventLog& next, const Clock& clock) : next_(next), clock_(clock) {}

FoldingLog::~FoldingLog() {
  flush();
}

FoldingLog::Fold& FoldingLog::fold_of(Folds& folds, std::string_view key, std::string_view event) {
  const MonoTime now = clock_.now();
  auto found = folds.find(key);
  if (found == folds.end()) {
    found = folds.emplace(std::string(key), Fold{}).first;
    found->second.event = event;
    next_poll_ = std::min(next_poll_, now + kForget);
  }
  found->second.seen = now;
  return found->second;
}

void FoldingLog::keep_back(Fold& fold, LogLevel level, LogFields fields) {
  const MonoTime now = clock_.now();
  if (fold.repeated == 0) {
    fold.since = now;
    fold.due = now + fold.pause;
    fold.level = level;
    next_poll_ = std::min(next_poll_, fold.due);
  }
  // The line tells its worst level: an error must not disappear among warnings.
  fold.level = std::max(fold.level, level);
  fold.fields.clear();
  for (const auto& [name, value] : fields) {
    if (fold.fields.size() < kMaxKeptFields) fold.fields.emplace_back(name, value);
  }
  ++fold.repeated;
  folded_.fetch_add(1, std::memory_order_relaxed);
}

void FoldingLog::write(LogLevel level, std::string_view event, LogFields fields) {
  if (!next_.enabled(level)) return;
  poll();
  const std::string key = subject_key(event, fields);
  // When there are too many subjects the limit on the name alone has to do.
  Fold* subject = nullptr;
  if (subjects_.size() < kSubjects || subjects_.contains(key)) {
    subject = &fold_of(subjects_, key, event);
    if (subject->passed >= kBurst) {
      keep_back(*subject, level, fields);
      return;
    }
  }
  Fold& name = fold_of(events_, event, event);
  if (name.passed >= kEventBurst) {
    keep_back(name, level, fields);
    return;
  }
  ++name.passed;
  if (subject != nullptr) ++subject->passed;
  next_.write(level, event, fields);
}

void FoldingLog::tell(Fold& fold) {
  CHECK(fold.repeated > 0);
  const auto& kept = fold.fields;
  CHECK(kept.size() <= kMaxKeptFields);
  const auto at = [&kept](std::size_t i) {
    return LogField(kept[i].first, kept[i].second);
  };
  const LogField r("repeated", std::to_string(fold.repeated));
  const LogField o("over_s", seconds_text(fold.seen - fold.since));
  const auto write = [&](LogFields fields) {
    next_.write(fold.level, fold.event, fields);
  };
  switch (kept.size()) {
    case 0:
      write({r, o});
      break;
    case 1:
      write({at(0), r, o});
      break;
    case 2:
      write({at(0), at(1), r, o});
      break;
    case 3:
      write({at(0), at(1), at(2), r, o});
      break;
    case 4:
      write({at(0), at(1), at(2), at(3), r, o});
      break;
    case 5:
      write({at(0), at(1), at(2), at(3), at(4), r, o});
      break;
    default:
      write({at(0), at(1), at(2), at(3), at(4), at(5), r, o});
      break;
  }
  fold.repeated = 0;
  fold.pause = std::min(fold.pause * 2, kLastPause);
}

void FoldingLog::poll_folds(Folds& folds, MonoTime now) {
  for (auto it = folds.begin(); it != folds.end();) {
    Fold& fold = it->second;
    if (fold.repeated > 0 && fold.due <= now) tell(fold);
    if (fold.repeated == 0 && fold.seen + kForget <= now) {
      it = folds.erase(it);
      continue;
    }
    next_poll_ = std::min(next_poll_, fold.repeated > 0 ? fold.due : fold.seen + kForget);
    ++it;
  }
}

void FoldingLog::poll() {
  const MonoTime now = clock_.now();
  if (now < next_poll_) return;
  next_poll_ = MonoTime::max();
  poll_folds(subjects_, now);
  poll_folds(events_, now);
}

void FoldingLog::flush() {
  for (Folds* folds : {&subjects_, &events_}) {
    for (auto& [key, fold] : *folds) {
      if (fold.repeated > 0) tell(fold);
    }
  }
}

}  // namespace purgeline
