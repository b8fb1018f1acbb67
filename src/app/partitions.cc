#include "app/partitions.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr Duration kAskAgain = std::chrono::seconds(1);

std::string text(Offset offset) {
  return std::to_string(offset.value());
}

}  // namespace

Partitions::Partitions(PartitionOptions options, Readings& readings, Source& source,
                       OffsetStore& log_store, OffsetStore& local_store, Clock& clock,
                       EventLog& log)
    : options_(std::move(options)),
      readings_(readings),
      source_(source),
      log_store_(log_store),
      local_store_(local_store),
      clock_(clock),
      log_(log),
      both_(log_store, local_store),
      committer_(CommitterOptions{}, both_, clock) {}

void Partitions::start() {
  log_store_.start(log_answers_);
  local_store_.start(local_answers_);
  source_.start(*this);
}

void Partitions::poll() {
  source_.poll();
  log_store_.poll();
  local_store_.poll();
}

void Partitions::load(Partition& partition) {
  partition.state = State::loading;
  partition.ask_again = MonoTime::max();
  if (!partition.log_answered) log_store_.load(partition.id, partition.name);
  if (!partition.local_answered) local_store_.load(partition.id, partition.name);
}

void Partitions::loaded(PartitionId id, Result<std::optional<Position>> position, bool log) {
  Partition& partition = at(id);
  if (partition.state != State::loading) return;
  if (!position) {
    log_.write(LogLevel::warning, "position not readable",
               {{"topic", partition.name.topic},
                {"store", log ? "log" : "state.db"},
                {"error", position.error().detail}});
    ask_later(partition);
    return;
  }
  if (log) {
    partition.log_answered = true;
    partition.log_position = *position;
  } else {
    partition.local_answered = true;
    partition.local_position = *position;
  }
  begin_start(partition);
}

// The cluster's id decides whether an offset means anything, so nothing starts before it is known.
void Partitions::begin_start(Partition& partition) {
  if (!partition.log_answered || !partition.local_answered || !cluster_) return;
  partition.state = State::starting;
  StartFacts facts;
  facts.from_log = partition.log_position;
  facts.from_state = partition.local_position;
  facts.cluster = *cluster_;
  facts.now = clock_.wall();
  facts.start_at = options_.start_at;
  facts.max_useful_age = options_.max_useful_age;
  facts.partition_is_new = source_.partition_is_new(partition.id);
  facts.offset_refused = partition.offset_refused;
  partition.start.emplace(std::move(facts));
  next_start_step(partition);
}

void Partitions::next_start_step(Partition& partition) {
  partition.ask_again = MonoTime::max();
  const StartStep step = partition.start->next();
  if (const auto* open_at = std::get_if<OpenAt>(&step)) {
    partition.chosen = *open_at;
    measure_backlog(partition);
    return;
  }
  partition.question = ++questions_;
  if (const auto* find = std::get_if<FindTime>(&step)) {
    source_.find(partition.id, find->time, partition.question);
  } else {
    source_.ask_ends(partition.id, partition.question);
  }
}

// How old is what lies between the start and the end?
void Partitions::measure_backlog(Partition& partition) {
  if (partition.chosen.offset >= partition.end) {
    open(partition, false);
    return;
  }
  partition.state = State::measuring;
  partition.ask_again = MonoTime::max();
  partition.question = ++questions_;
  source_.find(partition.id, clock_.wall() - options_.catch_up_threshold, partition.question);
}

void Partitions::ask_later(Partition& partition) {
  partition.question = 0;
  partition.ask_again = clock_.now() + kAskAgain;
}

void Partitions::on_found(PartitionId id, std::uint64_t question, Result<Offset> offset) {
  Partition& partition = at(id);
  if (partition.question != question) return;
  if (!offset) {
    ask_later(partition);
  } else if (partition.state == State::starting) {
    partition.start->on_found(*offset);
    next_start_step(partition);
  } else if (partition.state == State::measuring) {
    open(partition, *offset > partition.chosen.offset);
  }
}

void Partitions::on_ends(PartitionId id, std::uint64_t question, Result<LogEnds> ends) {
  Partition& partition = at(id);
  if (partition.gap_question != 0 && partition.gap_question == question) {
    partition.gap_question = 0;
    if (ends)
      close_gap(partition, *ends);
    else
      partition.ask_gap = clock_.now() + kAskAgain;
    return;
  }
  if (partition.question != question || partition.state != State::starting) return;
  if (!ends) {
    ask_later(partition);
    return;
  }
  partition.versions.observe_end(clock_.now(), ends->high, options_.sample_spacing);
  partition.end = ends->high;
  partition.start->on_ends(*ends);
  next_start_step(partition);
}

// `backlog`: what lies between the start and the end is old, and new events do not wait for it.
void Partitions::open(Partition& partition, bool backlog) {
  const OpenAt& chosen = partition.chosen;
  partition.state = State::reading;
  partition.question = 0;
  partition.unreached = Offset{};
  partition.unreached_since = clock_.now();
  const auto live = readings_.live(partition.id);
  if (live && !partition.made_anew && chosen.offset >= readings_[*live].ledger->next()) {
    readings_.jump(partition.id, chosen.offset, false);  // what was read before is not touched
    if (backlog) readings_.jump(partition.id, partition.end, true);
  } else {
    if (live) readings_.abandon(partition.id);
    partition.gap_question = 0;
    partition.ask_gap = MonoTime::max();
    const auto position =
        newer_position(partition.log_position, partition.local_position, *cluster_);
    readings_.open_live(partition.id, backlog ? partition.end : chosen.offset,
                        position ? position->event_time : std::nullopt, chosen.offset);
  }
  partition.offset_refused = partition.made_anew = false;
  std::optional<Position> stored;
  if (partition.log_position && partition.log_position->cluster == *cluster_) {
    stored = partition.log_position;
  }
  if (stored && stored->offset != chosen.offset) {
    ++partition.metrics.offset_resets;
    stored.reset();
  }
  committer_.add(partition.id, partition.name, stored);
  log_.write(LogLevel::info, "reading",
             {{"topic", partition.name.topic},
              {"partition", std::to_string(partition.name.partition)},
              {"offset", text(chosen.offset)},
              {"why", chosen.reason}});
  if (chosen.cold) lost(partition, chosen.reason, chosen.lost);
  if (backlog) {
    ++catch_ups_;
    log_.write(LogLevel::info, "catching up",
               {{"topic", partition.name.topic},
                {"partition", std::to_string(partition.name.partition)},
                {"events", std::to_string(partition.end.value() - chosen.offset.value())},
                {"effect", "new events are purged first"}});
  }
}

void Partitions::lost(Partition& partition, const std::string& reason, std::int64_t offsets) {
  cold_ = true;
  cold_reason_ =
      partition.name.topic + "/" + std::to_string(partition.name.partition) + ": " + reason;
  log_.write(LogLevel::error, "events lost before reading",
             {{"topic", partition.name.topic},
              {"partition", std::to_string(partition.name.partition)},
              {"events", offsets > 0 ? std::to_string(offsets) : "unknown"},
              {"why", reason}});
}

// Looks for a start anew, from what is known here: the log's own store knows less, or speaks of
// another cluster.
void Partitions::restart(Partition& partition, const Position& position) {
  partition.local_answered = true;
  partition.local_position = position;
  partition.log_position.reset();
  partition.start.reset();
  partition.question = 0;
  partition.state = State::loading;
  partition.ask_again = clock_.now();
}

void Partitions::on_out_of_range(CursorId cursor, Offset wanted) {
  const auto number = readings_.find(cursor);
  CHECK(number.has_value());
  const Reading& reading = readings_[*number];
  Partition& partition = at(reading.partition);
  log_.write(LogLevel::error, "offset out of range",
             {{"topic", partition.name.topic},
              {"partition", std::to_string(partition.name.partition)},
              {"offset", text(wanted)}});
  ++partition.metrics.offset_resets;
  if (reading.priority == Priority::catch_up) {
    partition.gap_cursor = cursor;
    ask_gap(partition);
    return;
  }
  lose_place(partition);
}

// The live reading does not go on where it is. Until it is known what the log still has, nothing of
// it is committed.
void Partitions::lose_place(Partition& partition) {
  partition.offset_refused = true;
  look_anew(partition);
}

void Partitions::look_anew(Partition& partition) {
  const auto live = readings_.live(partition.id);
  CHECK(live.has_value());
  const Ledger::Watermark needed = readings_.needed(partition.id);
  committer_.forget(partition.id);
  partition.log_answered = true;
  restart(partition, Position{readings_[*live].ledger->next(), needed.time, cluster_.value_or("")});
}

void Partitions::ask_gap(Partition& partition) {
  partition.ask_gap = MonoTime::max();
  partition.gap_question = ++questions_;
  source_.ask_ends(partition.id, partition.gap_question);
}

// Retention has eaten what a catch-up had yet to read.
void Partitions::close_gap(Partition& partition, const LogEnds& ends) {
  const auto number = readings_.catch_up(partition.id);
  if (!number || !readings_[*number].cursor) return;
  if (readings_[*number].cursor != partition.gap_cursor) return;
  if (partition.state != State::reading) {  // a start is being looked for, and may end it
    partition.ask_gap = clock_.now() + kAskAgain;
    return;
  }
  const Offset stands = source_.position(*readings_[*number].cursor);
  const Offset low = std::min(ends.low, *readings_[*number].to);
  // It begins before what it does not have, so it is another log: one that was made anew. Its live
  // reading may not hear of that for long, or never, when the log has grown past it.
  if (low <= stands) {
    partition.made_anew = true;
    lose_place(partition);
    return;
  }
  lost(partition,
       "a backlog at offset " + text(stands) + " is no longer in the log, which begins at " +
           text(ends.low),
       low.value() - stands.value());
  readings_.skip(*number, low);
}

void Partitions::on_log_state(bool reachable, const std::string& why) {
  if (reachable == reachable_) return;
  reachable_ = reachable;
  trouble_ = reachable ? "" : why;
  if (!reachable) {
    ++log_errors_;
    unreachable_since_ = clock_.now();
  } else if (unreachable_since_) {
    if (clock_.now() - *unreachable_since_ >= options_.catch_up_threshold) last_turn_.reset();
    unreachable_since_.reset();
  }
  log_.write(reachable ? LogLevel::info : LogLevel::warning,
             reachable ? "log reachable" : "log unreachable", {{"why", why}});
}

// Offsets of another cluster mean nothing here. What was not finished is found again by its time,
// unless this cluster has a newer position of its own.
void Partitions::on_cluster(const std::string& cluster_id) {
  const std::optional<std::string> former = std::exchange(cluster_, cluster_id);
  committer_.set_cluster(cluster_id);
  if (former && *former != cluster_id) {
    log_.write(LogLevel::warning, "cluster changed", {{"was", *former}, {"is", cluster_id}});
    for (auto& partition : partitions_) {
      if (partition->state == State::left) continue;
      if (readings_.live(partition->id)) {
        const Ledger::Watermark needed = readings_.needed(partition->id);
        readings_.abandon(partition->id);
        partition->local_position = Position{needed.offset, needed.time, *former};
      }
      committer_.forget(partition->id);
      partition->gap_question = 0;
      partition->ask_gap = MonoTime::max();
      partition->versions = Versions{};
      partition->log_answered = false;
      if (!partition->local_answered) {
        load(*partition);
        continue;
      }
      const auto local = partition->local_position;
      restart(*partition, local.value_or(Position{}));
      partition->local_position = local;
    }
    return;
  }
  for (auto& partition : partitions_) {
    if (partition->state == State::loading && partition->ask_again == MonoTime::max()) {
      begin_start(*partition);
    }
  }
}

void Partitions::committed(PartitionId id, Offset offset, const Status& status) {
  if (!committer_.knows(id)) return;
  const bool was_failing = !committer_.state(id).last_error.empty();
  committer_.on_committed(id, offset, status);
  if (!status && !was_failing) {
    log_.write(LogLevel::warning, "commit failed",
               {{"topic", at(id).name.topic}, {"error", status.error().detail}});
  } else if (status && was_failing) {
    log_.write(LogLevel::info, "commit works again", {{"topic", at(id).name.topic}});
  }
}

void Partitions::repeat_questions() {
  for (auto& partition : partitions_) {
    if (partition->ask_gap <= clock_.now()) ask_gap(*partition);
    if (partition->ask_again > clock_.now()) continue;
    partition->ask_again = MonoTime::max();
    if (partition->state == State::starting)
      next_start_step(*partition);
    else if (partition->state == State::measuring)
      measure_backlog(*partition);
    else if (partition->log_answered && partition->local_answered)
      begin_start(*partition);
    else
      load(*partition);
  }
}

void Partitions::sample_ends() {
  if (clock_.now() < next_sample_) return;
  next_sample_ = clock_.now() + std::max<Duration>(options_.sample_spacing, kAskAgain / 10);
  for (auto& partition : partitions_) {
    const auto ends = source_.ends(partition->id);
    if (!ends) continue;
    partition->versions.observe_end(clock_.now(), ends->high, options_.sample_spacing);
    if (partition->state == State::reading) keep_up(*partition, ends->high);
  }
}

// A live reading that has not reached within the threshold what was the end then is no longer
// live: it goes on at the end, and the rest becomes a backlog.
void Partitions::keep_up(Partition& partition, Offset end) {
  const auto live = readings_.live(partition.id);
  CHECK(live.has_value());
  const Offset position = source_.position(*readings_[*live].cursor);
  if (position >= partition.unreached) {
    partition.unreached = end;
    partition.unreached_since = clock_.now();
    return;
  }
  if (clock_.now() - partition.unreached_since < options_.catch_up_threshold) return;
  log_.write(LogLevel::warning, "fell back",
             {{"topic", partition.name.topic},
              {"partition", std::to_string(partition.name.partition)},
              {"events", std::to_string(end.value() - position.value())},
              {"effect", "new events are purged first, these beside them"}});
  readings_.jump(partition.id, std::max(end, readings_[*live].ledger->next()), true);
  partition.unreached_since = clock_.now();
}

// After a time without reading (the process was stopped, or the log was away) it is as at a start:
// when what came meanwhile is old, new events do not wait for it.
void Partitions::look_after_pause() {
  const MonoTime now = clock_.now();
  const bool paused = !last_turn_ || now - *last_turn_ >= options_.catch_up_threshold;
  last_turn_ = now;
  if (!paused) return;
  for (auto& partition : partitions_) {
    if (partition->state == State::reading) look_anew(*partition);
  }
}

void Partitions::turn() {
  look_after_pause();
  repeat_questions();
  sample_ends();
  readings_.turn();
  if (committer_.interval_over()) update_watermarks();
  committer_.turn();
}

void Partitions::update_watermarks() {
  for (auto& partition : partitions_) {
    if (!committer_.knows(partition->id)) continue;
    const Ledger::Watermark mark = readings_.needed(partition->id);
    committer_.update(partition->id, mark.offset, mark.time);
  }
}

MonoTime Partitions::next_due() const {
  MonoTime due = partitions_.empty() ? MonoTime::max() : next_sample_;
  for (const auto& partition : partitions_) {
    due = std::min({due, partition->ask_again, partition->ask_gap});
  }
  return std::min(due, committer_.next_due().value_or(MonoTime::max()));
}

std::string Partitions::commit_trouble() const {
  for (const auto& partition : partitions_) {
    if (!committer_.knows(partition->id)) continue;
    const std::string& error = committer_.state(partition->id).last_error;
    if (!error.empty()) return partition->name.topic + ": " + error;
  }
  return {};
}

}  // namespace purgeline
