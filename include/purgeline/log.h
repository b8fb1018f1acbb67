// EventLog: where state changes and outcomes that a person acts on are told.
//
// Never one line per purge: counters come first (metrics.def), log lines second. The first field
// names what the line is about (a target, a partition), because repeats are folded per event name
// and first field.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "purgeline/config.h"

namespace purgeline {

using LogField = std::pair<std::string_view, std::string>;
using LogFields = std::initializer_list<LogField>;

// Thread: as the implementation says. The daemon gives each thread a folding log of its own.
class EventLog {
 public:
  virtual ~EventLog() = default;
  // `event` is a fixed phrase such as "target state": alerts are written against it. Values may
  // hold any bytes; whoever prints them escapes. Never blocks.
  virtual void write(LogLevel level, std::string_view event, LogFields fields) = 0;
  // Whether a line of this level would be printed, for callers to whom building the fields costs
  // something.
  [[nodiscard]] virtual bool enabled(LogLevel /*level*/) const { return true; }

  void debug(std::string_view event, LogFields fields = {}) {
    write(LogLevel::debug, event, fields);
  }
  void info(std::string_view event, LogFields fields = {}) { write(LogLevel::info, event, fields); }
  void warning(std::string_view event, LogFields fields = {}) {
    write(LogLevel::warning, event, fields);
  }
  void error(std::string_view event, LogFields fields = {}) {
    write(LogLevel::error, event, fields);
  }
};

}  // namespace purgeline
