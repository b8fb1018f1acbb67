// StartPosition: where reading of a partition begins. Policy only: it asks for what it needs to
// know, and its owner asks the source.
//
// In words: at the stored position when it belongs to this cluster and is still in the log; else at
// the offset for (time of the last finished event - 10 minutes); never further back than
// `max_useful_age`; with no position, where `start_at` says. What retention has already eaten is
// told, never passed over silently.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "purgeline/config.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"
#include "purgeline/types.h"

namespace purgeline {

struct StartFacts {
  std::optional<Position> from_log;    // the log's own commit store
  std::optional<Position> from_state;  // state.db
  std::string cluster;                 // the cluster that is being read; "" when it has no id
  WallTime now{};
  StartAt start_at{Duration(std::chrono::hours(24))};
  Duration max_useful_age{std::chrono::hours(24)};
  bool partition_is_new{false};  // it appeared while running
  bool offset_refused{false};    // the log said that it does not have the stored offset
};

struct AskEnds {};
struct FindTime {
  WallTime time;
};
struct OpenAt {
  Offset offset;
  // Events that were still needed are not in the log any more: the caches may hold what they would
  // have removed.
  bool cold{false};
  // How many offsets, where they can be counted; 0 when only the loss itself is known.
  std::int64_t lost{0};
  std::string reason;  // for the log, one line
};
using StartStep = std::variant<AskEnds, FindTime, OpenAt>;

// The newer of two positions by event time: one that was overtaken never wins, whichever store has
// it.
[[nodiscard]] std::optional<Position> newer_position(const std::optional<Position>& a,
                                                     const std::optional<Position>& b,
                                                     const std::string& cluster);

// Place: between stores, source and cursor, once per partition. Thread: the shard's. Bound: three
// steps.
class StartPosition {
 public:
  // How far before the last finished event reading begins when offsets cannot be compared: clocks
  // differ, and the order of a log is not the order of its times.
  static constexpr Duration kOverlap = std::chrono::minutes(10);

  explicit StartPosition(StartFacts facts);

  // What to do now. The answer to a question goes to one of the two below; then comes the next
  // step.
  [[nodiscard]] StartStep next() const;
  void on_ends(LogEnds ends);
  void on_found(Offset offset);

 private:
  [[nodiscard]] std::optional<WallTime> wanted_time() const;
  [[nodiscard]] bool offset_usable() const;
  [[nodiscard]] OpenAt without_position() const;
  [[nodiscard]] OpenAt from_offset() const;
  [[nodiscard]] OpenAt from_time() const;

  const StartFacts facts_;
  const std::optional<Position> position_;
  std::optional<LogEnds> ends_;
  std::optional<Offset> found_;
};

}  // namespace purgeline
