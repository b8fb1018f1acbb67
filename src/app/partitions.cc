#include "app/partitions.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr Duration kAskAgain = std::chrono::seconds(1);

double seconds_of(Duration duration) {
  return static_cast<double>(duration.count()) * 1e-9;
}

}  // namespace

Partitions::Partitions(PartitionOptions options, Source& source, OffsetStore& log_store,
                       OffsetStore& local_store, Clock& clock, EventLog& log)
    : options_(std::move(options)),
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

std::uint32_t Partitions::topic_index(const std::string& topic) {
  const auto found = std::find(topics_.begin(), topics_.end(), topic);
  const auto index = static_cast<std::uint32_t>(found - topics_.begin());
  if (found == topics_.end()) topics_.push_back(topic);
  return index;
}

void Partitions::on_partition(PartitionId id, const PartitionName& name) {
  CHECK(id.value() == partitions_.size());
  auto partition = std::make_unique<Partition>();
  partition->id = id;
  partition->name = name;
  partition->topic = topic_index(name.topic);
  partitions_.push_back(std::move(partition));
  const auto missing = missing_.find(name.topic);
  if (missing != missing_.end() && missing->second) {
    missing->second = false;
    log_.write(LogLevel::info, "topic appeared", {{"topic", name.topic}});
  }
  load(*partitions_.back());
}

void Partitions::on_topic_missing(const std::string& topic) {
  missing_[topic] = true;
  log_.write(LogLevel::warning, "topic missing",
             {{"topic", topic}, {"effect", "read from its first offset once it exists"}});
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
  partition.start.emplace(std::move(facts));
  next_start_step(partition);
}

void Partitions::next_start_step(Partition& partition) {
  partition.ask_again = MonoTime::max();
  const StartStep step = partition.start->next();
  if (const auto* open_at = std::get_if<OpenAt>(&step)) {
    open(partition, open_at->offset, open_at->cold, open_at->reason);
    return;
  }
  partition.question = ++questions_;
  if (const auto* find = std::get_if<FindTime>(&step)) {
    source_.find(partition.id, find->time, partition.question);
  } else {
    source_.ask_ends(partition.id, partition.question);
  }
}

void Partitions::ask_later(Partition& partition) {
  partition.question = 0;
  partition.ask_again = clock_.now() + kAskAgain;
}

void Partitions::on_found(PartitionId id, std::uint64_t question, Result<Offset> offset) {
  Partition& partition = at(id);
  if (partition.question != question || partition.state != State::starting) return;
  if (!offset) {
    ask_later(partition);
    return;
  }
  partition.start->on_found(*offset);
  next_start_step(partition);
}

void Partitions::on_ends(PartitionId id, std::uint64_t question, Result<LogEnds> ends) {
  Partition& partition = at(id);
  if (partition.question != question || partition.state != State::starting) return;
  if (!ends) {
    ask_later(partition);
    return;
  }
  partition.versions.observe_end(clock_.now(), ends->high, options_.sample_spacing);
  partition.start->on_ends(*ends);
  next_start_step(partition);
}

void Partitions::open(Partition& partition, Offset from, bool cold, const std::string& reason) {
  partition.state = State::reading;
  partition.question = 0;
  const std::uint32_t all =
      options_.targets == kMaxTargets ? UINT32_MAX : (std::uint32_t{1} << options_.targets) - 1;
  if (partition.cursor)
    source_.reposition(*partition.cursor, from);
  else
    partition.cursor = source_.open(partition.id, Range{from, {}}, all, Priority::live);
  partition.ledger = std::make_unique<Ledger>(from, options_.targets, options_.ledger_capacity);
  std::optional<Offset> stored;
  if (partition.position_stored && partition.log_position &&
      partition.log_position->cluster == *cluster_) {
    stored = partition.log_position->offset;
  }
  if (stored != from) {
    if (stored) ++partition.metrics.offset_resets;
    stored.reset();
  }
  committer_.add(partition.id, partition.name, stored);
  if (cold) {
    cold_ = true;
    cold_reason_ =
        partition.name.topic + "/" + std::to_string(partition.name.partition) + ": " + reason;
  }
  log_.write(cold ? LogLevel::error : LogLevel::info,
             cold ? "events lost before reading" : "reading",
             {{"topic", partition.name.topic},
              {"partition", std::to_string(partition.name.partition)},
              {"offset", std::to_string(from.value())},
              {"why", reason}});
}

// The ledger's open events keep their tickets; their partition starts again behind them, so they
// must have ended first. turn() opens when the ledger is empty.
void Partitions::on_out_of_range(CursorId cursor, Offset wanted) {
  for (auto& partition : partitions_) {
    if (!partition->cursor || *partition->cursor != cursor) continue;
    log_.write(LogLevel::error, "offset out of range",
               {{"topic", partition->name.topic},
                {"partition", std::to_string(partition->name.partition)},
                {"offset", std::to_string(wanted.value())}});
    ++partition->metrics.offset_resets;
    partition->log_answered = partition->local_answered = true;
    const Ledger::Watermark mark = partition->ledger->watermark();
    partition->log_position = Position{mark.offset, mark.time, cluster_.value_or("")};
    partition->local_position.reset();
    partition->position_stored = false;
    partition->state = State::loading;
    partition->ask_again = clock_.now();
    committer_.forget(partition->id);
    return;
  }
}

void Partitions::on_log_state(bool reachable, const std::string& why) {
  if (reachable == reachable_) return;
  reachable_ = reachable;
  trouble_ = reachable ? "" : why;
  if (!reachable) ++log_errors_;
  log_.write(reachable ? LogLevel::info : LogLevel::warning,
             reachable ? "log reachable" : "log unreachable", {{"why", why}});
}

void Partitions::on_cluster(const std::string& cluster_id) {
  if (cluster_ && *cluster_ != cluster_id) {
    log_.write(LogLevel::warning, "cluster changed", {{"was", *cluster_}, {"is", cluster_id}});
  }
  cluster_ = cluster_id;
  committer_.set_cluster(cluster_id);
  for (auto& partition : partitions_) {
    if (partition->state == State::loading && partition->ask_again == MonoTime::max()) {
      begin_start(*partition);
    }
  }
}

void Partitions::committed(PartitionId id, Offset offset, const Status& status) {
  const bool was_failing = !committer_.state(id).last_error.empty();
  committer_.on_committed(id, offset, status);
  if (!status && !was_failing) {
    log_.write(LogLevel::warning, "commit failed",
               {{"topic", at(id).name.topic}, {"error", status.error().detail}});
  } else if (status && was_failing) {
    log_.write(LogLevel::info, "commit works again", {{"topic", at(id).name.topic}});
  }
}

void Partitions::turn() {
  for (auto& partition : partitions_) {
    if (partition->ask_again > clock_.now()) continue;
    partition->ask_again = MonoTime::max();
    if (partition->ledger && partition->ledger->unfinished_span() > 0) {
      partition->ask_again = clock_.now() + std::chrono::milliseconds(10);
    } else if (partition->state == State::starting) {
      next_start_step(*partition);
    } else if (partition->log_answered && partition->local_answered) {
      begin_start(*partition);
    } else {
      load(*partition);
    }
  }
  if (clock_.now() >= next_sample_) {
    next_sample_ = clock_.now() + std::max<Duration>(options_.sample_spacing, kAskAgain / 10);
    for (auto& partition : partitions_) {
      const auto ends = source_.ends(partition->id);
      if (ends) partition->versions.observe_end(clock_.now(), ends->high, options_.sample_spacing);
    }
  }
  update_watermarks();
  committer_.turn();
}

void Partitions::update_watermarks() {
  for (auto& partition : partitions_) {
    if (partition->state != State::reading) continue;
    const Ledger::Watermark mark = partition->ledger->watermark();
    committer_.update(partition->id, mark.offset, mark.time);
  }
}

MonoTime Partitions::next_due() const {
  MonoTime due = partitions_.empty() ? MonoTime::max() : next_sample_;
  for (const auto& partition : partitions_) due = std::min(due, partition->ask_again);
  return std::min(due, committer_.next_due().value_or(MonoTime::max()));
}

bool Partitions::all_reading() const {
  return !partitions_.empty() &&
         std::all_of(partitions_.begin(), partitions_.end(),
                     [](const auto& partition) { return partition->state == State::reading; });
}

std::string Partitions::commit_trouble() const {
  for (const auto& partition : partitions_) {
    if (partition->state != State::reading) continue;
    const std::string& error = committer_.state(partition->id).last_error;
    if (!error.empty()) return partition->name.topic + ": " + error;
  }
  return {};
}

void Partitions::measure() {
  for (auto& partition : partitions_) {
    if (partition->state != State::reading) continue;
    PartitionMetrics& metrics = partition->metrics;
    const Offset finished = partition->ledger->watermark().offset;
    const auto ends = source_.ends(partition->id);
    const std::int64_t end = ends ? std::max(ends->high, finished).value() : finished.value();
    metrics.lag_events = static_cast<double>(end - finished.value());
    // Lag in time is the age of what is not finished; an idle partition has none, however old its
    // newest event is.
    const auto oldest = partition->ledger->oldest_unfinished();
    const auto known = oldest ? oldest : partition->ledger->watermark().time;
    metrics.lag_seconds =
        end > finished.value() && known ? std::max(0.0, seconds_of(clock_.wall() - *known)) : 0;
    metrics.position = static_cast<double>(source_.position(*partition->cursor).value());
    const Committer::State& state = committer_.state(partition->id);
    metrics.committed = state.committed ? static_cast<double>(state.committed->value()) : 0;
    metrics.commits = state.commits;
    metrics.commit_failures = state.failures;
  }
}

}  // namespace purgeline
