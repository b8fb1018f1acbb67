// LogOutput: the lines on stderr. FoldingLog: repeats become one line.
//
// Place:  behind every EventLog of the daemon: part -> FoldingLog (its thread's own) -> LogOutput
// (shared).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/log.h"

namespace purgeline {

struct LogOptions {
  LogFormat format{LogFormat::text};
  LogLevel level{LogLevel::info};
  // journald puts the time and reads the level from a `<N>` prefix; see goes_to_journal().
  bool journal{false};
  std::size_t queue{8192};  // lines; at a few hundred bytes each, some MiB at worst
  std::FILE* file{stderr};
};

// Whether `fd` is the stream that $JOURNAL_STREAM ("device:inode") names. A service whose stderr
// was redirected has the variable too, hence the comparison.
[[nodiscard]] bool goes_to_journal(const char* journal_stream, int fd);

// One line without its time and without a line end: `level=info event="target state" target=a:1`,
// or for json the object's members without the opening brace. Pure; what the tests look at.
[[nodiscard]] std::string format_line(LogFormat format, LogLevel level, std::string_view event,
                                      LogFields fields);

// Thread: any; write() formats on the caller's thread and puts the line into a queue.
// Bound:  options.queue lines. When full the oldest line is dropped and counted: a log that nobody
// reads
//         must not hold up a purge, and the newest lines say what is wrong now.
// The destructor writes out what is queued.
class LogOutput : public EventLog {
 public:
  explicit LogOutput(const LogOptions& options);
  ~LogOutput() override;
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  void write(LogLevel level, std::string_view event, LogFields fields) override;
  [[nodiscard]] bool enabled(LogLevel level) const override;
  // Waits until everything written so far has left, or `patience` is over: for last words.
  void flush(Duration patience);
  // A reload of logging.format and logging.level.
  void change(LogFormat format, LogLevel level);
  // Lines lost to a full queue.
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  struct Impl;  // spdlog stays out of this header
  std::unique_ptr<Impl> impl_;
};

// Passes the first lines on and folds the rest: a broker or a cache that flaps all night gives a
// few lines an hour, and the last line always tells the last state.
//
// Lines are alike when event and first field (what the line is about) are alike. The first `kBurst`
// of them pass; the others are kept back and counted, and after a pause the last of them is written
// with `repeated` (how many it stands for) and `over_s`. The pause starts at one minute and doubles
// up to 15. After half an hour of quiet all is forgotten. A second limit, on the event name alone,
// holds when a thousand things fail at once.
//
// Thread: one; `next` may be shared when it allows that.
// Bound:  kSubjects kinds with their last fields, and the program's own event names.
class FoldingLog : public EventLog {
 public:
  static constexpr std::uint32_t kBurst = 4;         // a flap is down, up, down, up
  static constexpr std::uint32_t kEventBurst = 130;  // a burst of each of 32 targets, and some more
  static constexpr std::size_t kSubjects = 512;
  static constexpr Duration kFirstPause = std::chrono::minutes(1);
  static constexpr Duration kLastPause = std::chrono::minutes(15);
  static constexpr Duration kForget = std::chrono::minutes(30);

  FoldingLog(EventLog& next, const Clock& clock);
  // Writes what is still folded.
  ~FoldingLog() override;
  FoldingLog(const FoldingLog&) = delete;
  FoldingLog& operator=(const FoldingLog&) = delete;

  void write(LogLevel level, std::string_view event, LogFields fields) override;
  [[nodiscard]] bool enabled(LogLevel level) const override { return next_.enabled(level); }
  // Writes what has been kept back long enough. Call it now and then, also when nothing is logged:
  // once a second will do, and it costs one comparison when there is nothing to do.
  void poll();
  // Writes what is folded, at once.
  void flush();
  // Lines that were not written as they came. Any thread.
  [[nodiscard]] std::uint64_t folded() const { return folded_.load(std::memory_order_relaxed); }

 private:
  struct Fold {
    std::string event;
    std::uint32_t passed{0};
    Duration pause{kFirstPause};
    MonoTime seen{};            // the last line of this kind
    std::uint64_t repeated{0};  // kept back; the rest has a meaning only when this is not 0
    MonoTime since{};
    MonoTime due{};
    LogLevel level{};
    std::vector<std::pair<std::string, std::string>> fields;
  };
  using Folds = std::map<std::string, Fold, std::less<>>;

  Fold& fold_of(Folds& folds, std::string_view key, std::string_view event);
  void keep_back(Fold& fold, LogLevel level, LogFields fields);
  void tell(Fold& fold);
  void poll_folds(Folds& folds, MonoTime now);

  EventLog& next_;
  const Clock& clock_;
  Folds subjects_;
  Folds events_;
  MonoTime next_poll_{MonoTime::max()};
  std::atomic<std::uint64_t> folded_{0};  // a scrape reads it from another thread
};

}  // namespace purgeline
