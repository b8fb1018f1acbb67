#include <fcntl.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "control/log.h"
#include "control/log_escape.h"
#include "purgeline/check.h"

namespace purgeline {

namespace {

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

// syslog's numbers, as journald reads them from the start of a line.
const char* journal_prefix(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "<7>";
    case LogLevel::info:
      return "<6>";
    case LogLevel::warning:
      return "<4>";
    case LogLevel::error:
      return "<3>";
  }
  return "<3>";
}

// One write for each line, so that lines of two processes on one terminal do not mix.
class FileSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::FILE* file) : file_(file) {}

  // Until `enough(lines that have left)` holds, or `patience` is over.
  template <class Enough>
  void wait(Duration patience, Enough enough) {
    std::unique_lock lock(mutex_);
    left_changed_.wait_for(lock, patience, [&] { return enough(left_); });
  }

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    std::fwrite(line.data(), 1, line.size(), file_);
    std::fflush(file_);
    ++left_;
    left_changed_.notify_all();
  }
  void flush_() override { std::fflush(file_); }

  std::FILE* file_;
  std::uint64_t left_{0};
  std::condition_variable_any left_changed_;
};

std::unique_ptr<spdlog::formatter> make_formatter(const char* pattern) {
  return std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc);
}

// The time is put by spdlog's writer from the moment of the call; json's opening brace comes with
// it.
const char* pattern_of(LogFormat format, bool journal) {
  if (journal) return "%v";
  return format == LogFormat::json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v"
                                   : "%Y-%m-%dT%H:%M:%S.%eZ %v";
}

}  // namespace

bool goes_to_journal(const char* journal_stream, int fd) {
  if (journal_stream == nullptr) return false;
  struct stat status {};
  if (fstat(fd, &status) != 0) return false;
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == journal_stream;
}

std::string format_line(LogFormat format, LogLevel level, std::string_view event,
                        LogFields fields) {
  std::string line;
  if (format == LogFormat::json) {
    line += std::string("\"level\":\"") + level_name(level) + "\",\"event\":";
    append_json_string(line, event);
    for (const auto& [name, value] : fields) {
      line += ',';
      append_json_string(line, name);
      line += ':';
      append_json_string(line, value);
    }
    line += '}';
    return line;
  }
  line += std::string("level=") + level_name(level) + " event=";
  append_text_value(line, event);
  for (const auto& [name, value] : fields) {
    line += ' ';
    line += name;
    line += '=';
    append_text_value(line, value);
  }
  return line;
}

struct LogOutput::Impl {
  explicit Impl(const LogOptions& options)
      : journal(options.journal),
        format(options.format),
        level(options.level),
        pool(std::make_shared<spdlog::details::thread_pool>(options.queue, 1)),
        sink(std::make_shared<FileSink>(options.file)),
        logger(std::make_shared<spdlog::async_logger>(
            "purgeline", sink, pool, spdlog::async_overflow_policy::overrun_oldest)) {
    sink->set_formatter(make_formatter(pattern_of(options.format, options.journal)));
    logger->set_level(spdlog::level::trace);
  }

  // Writes out what is queued and joins the writer, before what it writes to goes.
  ~Impl() { pool.reset(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const bool journal;
  std::atomic<LogFormat> format;
  std::atomic<LogLevel> level;
  std::atomic<std::uint64_t> given{0};  // lines put into the queue
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<FileSink> sink;
  std::shared_ptr<spdlog::async_logger> logger;
};

LogOutput::LogOutput(const LogOptions& options) {
  CHECK(options.queue > 0);
  CHECK(options.file != nullptr);
  impl_ = std::make_unique<Impl>(options);
}

LogOutput::~LogOutput() = default;

bool LogOutput::enabled(LogLevel level) const {
  return level >= impl_->level;
}

void LogOutput::write(LogLevel level, std::string_view event, LogFields fields) {
  if (!enabled(level)) return;
  const LogFormat format = impl_->format;
  std::string line = format_line(format, level, event, fields);
  if (impl_->journal) {
    line.insert(0, std::string(journal_prefix(level)) + (format == LogFormat::json ? "{" : ""));
  }
  // The string_view overload takes the text as it is: no format string from outside.
  ++impl_->given;
  impl_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void LogOutput::flush(Duration patience) {
  const std::uint64_t given = impl_->given;
  impl_->sink->wait(
      patience, [&](std::uint64_t left) { return left + impl_->pool->overrun_counter() >= given; });
}

void LogOutput::change(LogFormat format, LogLevel level) {
  impl_->level = level;
  if (impl_->format.exchange(format) == format) return;
  // A line that is queued in the other format at this moment may come out with the wrong frame,
  // once.
  impl_->sink->set_formatter(make_formatter(pattern_of(format, impl_->journal)));
}

std::uint64_t LogOutput::dropped() const {
  return impl_->pool->overrun_counter();
}

}  // namespace purgeline
