#include "sim/sim_source.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline::sim {

void SimLog::create_topic(const std::string& topic, std::int32_t partitions) {
  CHECK(partitions > 0 && !topics_.contains(topic));
  topics_[topic].resize(static_cast<std::size_t>(partitions));
  wake();
}

void SimLog::add_partitions(const std::string& topic, std::int32_t total) {
  auto& partitions = topics_.at(topic);
  CHECK(static_cast<std::size_t>(total) >= partitions.size());
  partitions.resize(static_cast<std::size_t>(total));
  wake();
}

Offset SimLog::append(const std::string& topic, std::int32_t partition, WallTime time,
                      std::string value) {
  Partition& to = topics_.at(topic).at(static_cast<std::size_t>(partition));
  to.entries.push_back(Entry{time, std::move(value)});
  wake();
  return Offset(to.high() - 1);
}

void SimLog::trim(const std::string& topic, std::int32_t partition, Offset low) {
  Partition& of = topics_.at(topic).at(static_cast<std::size_t>(partition));
  CHECK(low.value() <= of.high());
  while (of.low < low.value()) {
    of.entries.pop_front();
    ++of.low;
  }
}

void SimLog::recreate_topic(const std::string& topic) {
  for (Partition& partition : topics_.at(topic)) partition = Partition{};
  wake();
}

void SimLog::move_to_cluster(std::string id, std::int64_t shift) {
  cluster_ = std::move(id);
  for (auto& [topic, partitions] : topics_) {
    for (Partition& partition : partitions) partition.low += shift;
  }
  positions_.clear();
  wake();
}

const SimLog::Partition* SimLog::find(const PartitionName& name) const {
  const auto at = topics_.find(name.topic);
  if (at == topics_.end()) return nullptr;
  const auto number = static_cast<std::size_t>(name.partition);
  return number < at->second.size() ? &at->second[number] : nullptr;
}

std::optional<Position> SimLog::position(const std::string& group,
                                         const PartitionName& name) const {
  const auto at = positions_.find({group, {name.topic, name.partition}});
  if (at == positions_.end()) return std::nullopt;
  return at->second;
}

void Answers::add(std::uint32_t polls, std::function<void(Status)> end) {
  waiting_.push_back(Waiting{polls, 0, std::move(end)});
}

void Answers::poll(bool frozen, bool reachable) {
  // An answer may ask again: what it adds waits for a later poll.
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    Waiting one = std::move(waiting_.front());
    waiting_.pop_front();
    ++one.waited;
    if (one.waited < (frozen ? kTimeoutPolls : one.polls)) {
      waiting_.push_back(std::move(one));
    } else if (frozen) {
      one.end(failure(Errc::timed_out, "the simulated log does not answer"));
    } else if (!reachable) {
      one.end(failure(Errc::unavailable, "the simulated log is down"));
    } else {
      one.end({});
    }
  }
}

SimSource::SimSource(SimLog& log, SimSourceOptions options)
    : log_(log), options_(std::move(options)) {}

void SimSource::start(SourceListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
}

void SimSource::poll() {
  CHECK(listener_ != nullptr && !stopped_);
  if (!log_.frozen_ && reachable_ != log_.reachable_) {
    reachable_ = log_.reachable_;
    listener_->on_log_state(log_.reachable_, log_.reachable_ ? "" : "the simulated log is down");
  }
  const bool answers = log_.reachable_ && !log_.frozen_;
  if (answers && polls_++ % options_.metadata_polls == 0) discover();
  answers_.poll(log_.frozen_, log_.reachable_);
  std::vector<CursorId> due;
  for (auto& [id, cursor] : cursors_) {
    if (cursor.standing && !cursor.told) due.push_back(id);
  }
  for (const CursorId id : due) {
    const auto at = cursors_.find(id);
    if (at == cursors_.end() || !at->second.standing) continue;
    at->second.told = true;
    if (log_.told_) log_.told_(names_[at->second.partition.value()]);
    listener_->on_out_of_range(id, at->second.position);
  }
}

void SimSource::discover() {
  if (cluster_ != log_.cluster_) {
    cluster_ = log_.cluster_;
    listener_->on_cluster(cluster_);
  }
  std::vector<PartitionId> found;
  for (const std::string& topic : options_.topics) {
    const auto at = log_.topics_.find(topic);
    if (at == log_.topics_.end()) {
      if (missing_.insert(topic).second) listener_->on_topic_missing(topic);
      continue;
    }
    if (missing_.erase(topic) > 0) listener_->on_topic_found(topic);
    std::int32_t& known = known_[topic];
    for (; known < static_cast<std::int32_t>(at->second.size()); ++known) {
      found.emplace_back(static_cast<std::uint32_t>(names_.size()));
      names_.push_back(PartitionName{topic, known});
    }
  }
  if (!discovered_) old_ = names_.size();
  discovered_ = true;
  for (const PartitionId partition : found) {
    listener_->on_partition(partition, PartitionName(names_[partition.value()]));
  }
}

const SimLog::Partition* SimSource::data(PartitionId partition) const {
  CHECK(partition.value() < names_.size());
  return log_.find(names_[partition.value()]);
}

CursorId SimSource::open(PartitionId partition, Range range, std::uint32_t, Priority priority) {
  CHECK(!stopped_ && partition.value() < names_.size() && range.from.value() >= 0);
  const CursorId id(next_cursor_++);
  cursors_.emplace(id, Cursor{partition, range, range.from, priority, false, false});
  if (log_.opened_) log_.opened_(names_[partition.value()]);
  return id;
}

void SimSource::reposition(CursorId id, Offset from) {
  Cursor& cursor = cursors_.at(id);
  cursor.position = from;
  cursor.standing = cursor.told = false;
  if (log_.opened_) log_.opened_(names_[cursor.partition.value()]);
}

void SimSource::close(CursorId id) {
  CHECK(cursors_.erase(id) == 1);
}

std::size_t SimSource::read(CursorId id, std::size_t credit, RecordSink& sink) {
  const auto at = cursors_.find(id);
  CHECK(at != cursors_.end() && !stopped_);
  if (credit == 0 || at->second.standing || !log_.reachable_ || log_.frozen_) return 0;
  const PartitionId partition = at->second.partition;
  const SimLog::Partition* from = data(partition);
  if (from == nullptr) return 0;
  heard_[partition] = LogEnds{Offset(from->low), Offset(from->high())};
  const std::int64_t position = at->second.position.value();
  if (position < from->low || position > from->high()) {
    at->second.standing = true;
    return 0;
  }
  std::size_t count = 0;
  for (; count < credit; ++count) {
    Cursor& cursor = at->second;
    if (cursor.position.value() >= from->high()) break;
    if (cursor.range.to && cursor.position >= *cursor.range.to) break;
    const Offset offset = cursor.position;
    cursor.position = offset.next();
    hand_over(cursor, *from, offset, sink);
    if (count + 1 < credit && log_.again_ && log_.again_()) {
      ++count;
      hand_over(cursor, *from, offset, sink);
    }
  }
  return count;
}

void SimSource::hand_over(const Cursor& cursor, const SimLog::Partition& from, Offset offset,
                          RecordSink& sink) {
  const PartitionId partition = cursor.partition;
  const auto& entry = from.entries[static_cast<std::size_t>(offset.value() - from.low)];
  const SimLog::Watch& watch = options_.watch ? options_.watch : log_.watch_;
  if (watch) watch(names_[partition.value()], offset, cursor.priority);
  scratch_ = entry.value;
  sink.on_record(Record{partition, offset, entry.time, scratch_});
  // Whoever kept the borrowed bytes finds out.
  std::fill(scratch_.begin(), scratch_.end(), '#');
}

Offset SimSource::position(CursorId id) const {
  return cursors_.at(id).position;
}

std::optional<LogEnds> SimSource::ends(PartitionId partition) const {
  const auto at = heard_.find(partition);
  if (at == heard_.end()) return std::nullopt;
  // Like a broker whose fetches are answered all the time.
  const SimLog::Partition* now = data(partition);
  if (now == nullptr || !log_.reachable_ || log_.frozen_) return at->second;
  return LogEnds{Offset(now->low), Offset(now->high())};
}

void SimSource::ask_ends(PartitionId partition, std::uint64_t question) {
  answers_.add(options_.answer_polls, [this, partition, question](const Status& asked) {
    if (!asked) {
      return listener_->on_ends(partition, question, tl::unexpected<Error>(asked.error()));
    }
    const SimLog::Partition* now = data(partition);
    if (now == nullptr) {
      return listener_->on_ends(partition, question, failure(Errc::not_found, "no such topic"));
    }
    listener_->on_ends(partition, question, LogEnds{Offset(now->low), Offset(now->high())});
  });
}

void SimSource::find(PartitionId partition, WallTime time, std::uint64_t question) {
  answers_.add(options_.answer_polls, [this, partition, time, question](const Status& asked) {
    if (!asked) {
      return listener_->on_found(partition, question, tl::unexpected<Error>(asked.error()));
    }
    const SimLog::Partition* now = data(partition);
    if (now == nullptr) {
      return listener_->on_found(partition, question, failure(Errc::not_found, "no such topic"));
    }
    const auto first = std::find_if(now->entries.begin(), now->entries.end(),
                                    [&](const SimLog::Entry& entry) { return entry.time >= time; });
    listener_->on_found(partition, question, Offset(now->low + (first - now->entries.begin())));
  });
}

void SimSource::stop() {
  CHECK(!stopped_);
  stopped_ = true;
}

bool SimSource::partition_is_new(PartitionId partition) const {
  return partition.value() >= old_;
}

bool SimSource::readable() const {
  if (!log_.reachable_ || log_.frozen_) return false;
  return std::any_of(cursors_.begin(), cursors_.end(), [this](const auto& entry) {
    const Cursor& cursor = entry.second;
    const SimLog::Partition* of = data(cursor.partition);
    if (of == nullptr || cursor.standing) return false;
    if (cursor.range.to && cursor.position >= *cursor.range.to) return false;
    return cursor.position.value() < of->high();
  });
}

SimOffsetStore::SimOffsetStore(SimLog& log, std::string group, std::uint32_t answer_polls)
    : log_(log), group_(std::move(group)), answer_polls_(answer_polls) {}

void SimOffsetStore::start(OffsetStoreListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
}

void SimOffsetStore::load(PartitionId partition, const PartitionName& name) {
  answers_.add(answer_polls_, [this, partition, name](const Status& asked) {
    if (!asked) {
      return listener_->on_loaded(partition, tl::unexpected<Error>(asked.error()));
    }
    listener_->on_loaded(partition, log_.position(group_, name));
  });
}

void SimOffsetStore::commit(std::span<const Commit> commits) {
  std::vector<Commit> kept(commits.begin(), commits.end());
  answers_.add(answer_polls_, [this, kept = std::move(kept)](const Status& asked) {
    Status status = asked;
    if (status && log_.refusals_ > 0) {
      --log_.refusals_;
      status = failure(Errc::unavailable, "the simulated log refuses commits");
    }
    for (const Commit& one : kept) {
      Status its = status;
      if (its && one.position.cluster.size() > kMaxClusterName) {
        its = failure(Errc::invalid, "the metadata is too long");
      }
      if (its) {
        log_.positions_[{group_, {one.name.topic, one.name.partition}}] = one.position;
      }
      listener_->on_committed(one.partition, one.position.offset, std::move(its));
    }
  });
}

void SimOffsetStore::poll() {
  CHECK(listener_ != nullptr);
  answers_.poll(log_.frozen_, log_.reachable_);
}

}  // namespace purgeline::sim
