// Trace: what happened in a run, as one number and, when asked for, as lines to read.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "purgeline/log.h"
#include "support/fake_clock.h"

namespace purgeline::sim {

class Trace {
 public:
  explicit Trace(const Clock& clock) : clock_(clock), started_(clock.now()) {}

  void print(bool yes) { print_ = yes; }
  // `who` did `what`; the number is a detail, for example an offset.
  void note(std::string_view what, std::string_view who, std::int64_t number = 0);
  // A line for the reader only.
  void say(std::string_view text) const;
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] bool printing() const { return print_; }

 private:
  void mix(std::uint64_t value) { hash_ = (hash_ ^ value) * 1099511628211ULL; }
  void mix(std::string_view text);
  [[nodiscard]] double passed() const;

  const Clock& clock_;
  const MonoTime started_;
  std::uint64_t hash_{14695981039346656037ULL};
  bool print_{false};
};

// The program's own log lines, between those of the world.
class TracedLog : public EventLog {
 public:
  // Told of each line: what the program says that it does can be held against what is so.
  using Listener = std::function<void(std::string_view event, LogFields fields)>;
  TracedLog(Trace& trace, Listener listener) : trace_(trace), listener_(std::move(listener)) {}
  void write(LogLevel level, std::string_view event, LogFields fields) override;

 private:
  Trace& trace_;
  Listener listener_;
};

}  // namespace purgeline::sim
