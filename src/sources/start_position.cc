#include "sources/start_position.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

std::string text(Offset offset) {
  return std::to_string(offset.value());
}

// What a cluster's own commit store holds without a word about its cluster (set by a tool, or by
// the program that used the group before) was committed there.
std::optional<Position> here(std::optional<Position> from_log, const std::string& cluster) {
  if (from_log && from_log->cluster.empty()) from_log->cluster = cluster;
  return from_log;
}

// A clock that is far off, or an age without end, must not wrap around.
WallTime before(WallTime time, Duration age) {
  const Duration since = time.time_since_epoch();
  if (age >= since) return WallTime(Duration::zero());
  return WallTime(since - age);
}

}  // namespace

std::optional<Position> newer_position(const std::optional<Position>& a,
                                       const std::optional<Position>& b,
                                       const std::string& cluster) {
  if (!a) return b;
  if (!b) return a;
  const bool same_cluster = a->cluster == b->cluster;
  if (a->event_time && b->event_time && *a->event_time != *b->event_time) {
    return *a->event_time > *b->event_time ? a : b;
  }
  // Within one cluster the offset says which is newer. Between two, the time that is known does,
  // and then the cluster we read.
  if (same_cluster) return a->offset >= b->offset ? a : b;
  if (a->event_time.has_value() != b->event_time.has_value()) return a->event_time ? a : b;
  return b->cluster == cluster ? b : a;
}

StartPosition::StartPosition(StartFacts facts)
    : facts_(std::move(facts)),
      position_(newer_position(here(facts_.from_log, facts_.cluster), facts_.from_state,
                               facts_.cluster)) {}

void StartPosition::on_ends(LogEnds ends) {
  CHECK(!ends_ && ends.low <= ends.high);
  ends_ = ends;
}

void StartPosition::on_found(Offset offset) {
  CHECK(ends_ && !found_);
  found_ = offset;
}

// Is the stored offset one of this log's? Without an id on either side there is nothing to compare,
// and an offset beyond the end belongs to a log that is gone. So does one that was refused and is
// not before the beginning: the log has grown past it since.
bool StartPosition::offset_usable() const {
  CHECK(position_ && ends_);
  if (position_->cluster != facts_.cluster || position_->offset > ends_->high) return false;
  return !facts_.offset_refused || position_->offset < ends_->low;
}

// The time whose offset is needed, if any.
std::optional<WallTime> StartPosition::wanted_time() const {
  CHECK(ends_);
  const WallTime oldest_useful = before(facts_.now, facts_.max_useful_age);
  if (!position_) {
    if (facts_.partition_is_new) return std::nullopt;
    if (const auto* age = std::get_if<Duration>(&facts_.start_at)) return before(facts_.now, *age);
    if (const auto* date = std::get_if<WallTime>(&facts_.start_at)) return *date;
    return std::nullopt;
  }
  if (offset_usable()) {
    // Nothing after the last finished event can be too old when that event itself is not. And what
    // is at the end has nothing after it.
    const bool recent = position_->event_time && *position_->event_time >= oldest_useful;
    const bool there = position_->offset >= ends_->low;
    if (recent || (there && position_->offset == ends_->high)) return std::nullopt;
    return oldest_useful;
  }
  if (!position_->event_time) return oldest_useful;
  // A time in the future is some clock's mistake.
  const WallTime last = std::min(*position_->event_time, facts_.now);
  return std::max(oldest_useful, before(last, kOverlap));
}

StartStep StartPosition::next() const {
  if (!ends_) return AskEnds{};
  if (!found_) {
    if (const auto time = wanted_time()) return FindTime{*time};
  }
  if (!position_) return without_position();
  return offset_usable() ? from_offset() : from_time();
}

OpenAt StartPosition::without_position() const {
  OpenAt open;
  if (facts_.partition_is_new) {
    open.offset = ends_->low;
    open.reason =
        "a partition that appeared while running, from its first offset " + text(open.offset);
    return open;
  }
  if (std::holds_alternative<StartEarliest>(facts_.start_at)) {
    open.offset = ends_->low;
  } else if (std::holds_alternative<StartNow>(facts_.start_at)) {
    open.offset = ends_->high;
  } else {
    CHECK(found_);
    open.offset = std::max(*found_, ends_->low);
  }
  open.reason = "no position stored, start_at gives offset " + text(open.offset);
  return open;
}

OpenAt StartPosition::from_offset() const {
  OpenAt open;
  const Offset stored = position_->offset;
  open.offset = std::max(stored, ends_->low);
  open.reason = "continues at the stored offset " + text(stored);
  if (stored < ends_->low) {
    // When the log still holds events that are too old to matter, those it has lost were older yet.
    const bool mattered = !found_ || *found_ <= ends_->low;
    open.cold = mattered;
    open.lost = mattered ? ends_->low.value() - stored.value() : 0;
    open.reason = "the stored offset " + text(stored) +
                  " is no longer in the log, which begins at " + text(ends_->low);
  }
  if (found_ && *found_ > open.offset) {
    open.offset = *found_;
    open.reason += ", events older than max_useful_age are passed over up to " + text(open.offset);
  }
  return open;
}

OpenAt StartPosition::from_time() const {
  CHECK(found_);
  OpenAt open;
  open.offset = std::max(*found_, ends_->low);
  const bool other = position_->cluster != facts_.cluster;
  if (other) {
    open.reason = "the stored position is of cluster \"" + position_->cluster + "\"";
  } else if (position_->offset > ends_->high) {
    open.reason =
        "the stored offset " + text(position_->offset) + " is beyond the end " + text(ends_->high);
  } else {
    open.reason = "the stored offset " + text(position_->offset) + " is of a log that is gone";
  }
  open.reason += ", by time at offset " + text(open.offset);
  // All that is left of a log whose beginning is gone is younger than what was looked for: whether
  // the gone part held any of it cannot be known, so it must be assumed.
  open.cold = open.offset == ends_->low && ends_->low > Offset(0);
  return open;
}

}  // namespace purgeline
