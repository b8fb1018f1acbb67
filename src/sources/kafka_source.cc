#include "sources/kafka_source.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"

namespace purgeline {
namespace {

// While the cluster is unreachable or a topic is missing, the next question comes after this.
constexpr Duration kSoon = std::chrono::seconds(1);
// One failed question can be one slow broker among several; two in a row are the log, or one when a
// broker was heard to fail as well.
constexpr std::uint32_t kFailuresToTell = 2;

KafkaClient::Timeout milliseconds(Duration duration) {
  return std::chrono::duration_cast<KafkaClient::Timeout>(duration);
}

std::string printed(const PartitionName& name) {
  return name.topic + "[" + std::to_string(name.partition) + "]";
}

}  // namespace

// A client that reads: each partition at most once.
struct KafkaSource::Reader {
  std::unique_ptr<KafkaClient> client;
  KafkaQueue events;
  std::set<PartitionId> partitions;
};

struct KafkaSource::Cursor {
  CursorId id;
  PartitionId partition;
  Range range;
  std::uint32_t targets{0};
  Priority priority{Priority::live};
  Reader* reader{nullptr};  // none: could not be attached yet, tried again
  KafkaQueue queue;
  Offset position;
  bool standing{false};  // out of range: waits for its owner

  // The stall watchdog. Set by the first read() that found nothing; cleared by a record or a move.
  std::optional<MonoTime> starved_since;
  std::optional<MonoTime>
      behind_since;                 // when the log was first seen to go on beyond us since then
  Offset end;                       // the end seen last
  std::optional<Offset> cured_end;  // the end at which it was last assigned again for a stall
  MonoTime probed_at{};
};

// One read(): passes on what is in range, and notes what is not a record.
class KafkaSource::Reading final : public KafkaMessageVisitor {
 public:
  Reading(KafkaSource& source, Cursor& cursor, RecordSink& sink)
      : source_(source), cursor_(cursor), sink_(sink) {}

  void on_message(const KafkaMessage& message) override {
    const Offset offset(message.offset);
    // Left over from before a move, or from before the wanted offset in a compressed batch.
    if (offset < cursor_.position || cursor_.standing) return;
    if (cursor_.range.to && offset >= *cursor_.range.to) {
      cursor_.position = *cursor_.range.to;
      return;
    }
    cursor_.position = offset.next();
    ++delivered_;
    sink_.on_record(Record{cursor_.partition, offset, message.timestamp, message.value});
  }
  void on_out_of_range() override {
    if (cursor_.standing) return;
    cursor_.standing = true;
    source_.out_of_range_.push_back(cursor_.id);
  }
  void on_error(const std::string& words) override {
    source_.log(4, printed(source_.topics_.name(cursor_.partition)) + ": " + words);
  }

  [[nodiscard]] std::size_t delivered() const { return delivered_; }

 private:
  KafkaSource& source_;
  Cursor& cursor_;
  RecordSink& sink_;
  std::size_t delivered_{0};
};

// What a client says about itself.
class KafkaSource::Events final : public KafkaEventVisitor {
 public:
  explicit Events(KafkaSource& source) : source_(source) {}

  void on_log(int level, const std::string& line) override { source_.log(level, line); }
  // Told when the log cannot be reached: a cluster does without one of its brokers. Whether it can
  // is asked soon.
  void on_broker_failed(const std::string& words) override {
    source_.trouble_.add(kafka_scrub(source_.settings_, words));
    source_.metadata_at_ = std::min(source_.metadata_at_, source_.clock_.now() + kSoon);
    source_.log(7, words);
  }
  void on_error(const std::string& words) override { source_.log(4, words); }
  void on_stray(const std::string& topic, std::int32_t partition) override {
    const PartitionName name{topic, partition};
    for (auto& [id, cursor] : source_.cursors_) {
      if (source_.topics_.name(cursor->partition) == name) source_.assign_again(*cursor);
    }
    source_.log(
        4, printed(name) + ": a message came outside its queue, reading again from the position");
  }

 private:
  KafkaSource& source_;
};

KafkaSource::KafkaSource(KafkaOptions options, KafkaSettings settings, KafkaClient& control,
                         KafkaHelper& helper, int wake_fd, Clock& clock)
    : options_(std::move(options)),
      settings_(std::move(settings)),
      control_(control),
      helper_(helper),
      wake_fd_(wake_fd),
      clock_(clock),
      topics_(options_.topics),
      control_events_(control.events(wake_fd)) {}

KafkaSource::~KafkaSource() {
  if (!stopped_) stop();
}

void KafkaSource::start(SourceListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
  metadata_at_ = clock_.now();
}

void KafkaSource::poll() {
  CHECK(!stopped_ && listener_ != nullptr);
  Events events(*this);
  control_.poll(control_events_.get(), events);
  // By index: a callback may open a cursor, and with it a reader.
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    readers_[i]->client->poll(readers_[i]->events.get(), events);
  }
  helper_.poll();
  // Answers may ask again: only those refused before this moment are told now.
  std::vector<std::function<void()>> refused;
  refused.swap(refused_);
  for (const auto& tell : refused) tell();
  tell_out_of_range();
  retry_detached();
  ask_metadata();
}

// Queues first: a client must not end while anybody holds one of its queues.
void KafkaSource::stop() {
  CHECK(!stopped_);
  stopped_ = true;
  for (auto& [id, cursor] : cursors_) cursor->queue.reset();
  cursors_.clear();
  for (auto& reader : readers_) {
    reader->events.reset();
    helper_.retire(std::move(reader->client));
  }
  readers_.clear();
  control_events_.reset();
}

KafkaSource::Cursor& KafkaSource::cursor_of(CursorId cursor) {
  const auto at = cursors_.find(cursor);
  CHECK(at != cursors_.end());
  return *at->second;
}

void KafkaSource::change_topics(const std::vector<std::string>& topics) {
  CHECK(!stopped_);
  const Status known = control_.change_topics(topics);
  if (!known) {
    log(3, known.error().detail);
    return;
  }
  topics_.change(topics);
  metadata_at_ = clock_.now();
}

CursorId KafkaSource::open(PartitionId partition, Range range, std::uint32_t targets,
                           Priority priority) {
  CHECK(!stopped_);
  CHECK(partition.value() < topics_.partitions());
  CHECK(range.from.value() >= 0);
  auto cursor = std::make_unique<Cursor>();
  cursor->id = CursorId(next_cursor_++);
  cursor->partition = partition;
  cursor->range = range;
  cursor->targets = targets;
  cursor->priority = priority;
  cursor->position = range.from;
  attach(*cursor);
  const CursorId id = cursor->id;
  cursors_.emplace(id, std::move(cursor));
  return id;
}

void KafkaSource::reposition(CursorId id, Offset from) {
  CHECK(from.value() >= 0);
  Cursor& cursor = cursor_of(id);
  cursor.position = from;
  assign_again(cursor);
}

void KafkaSource::close(CursorId id) {
  Cursor& cursor = cursor_of(id);
  detach(cursor);
  std::erase(out_of_range_, id);
  cursors_.erase(id);
  retire_idle();
}

// The first reader stays for the live cursors; a further one goes with its last cursor.
void KafkaSource::retire_idle() {
  while (readers_.size() > 1 && readers_.back()->partitions.empty()) {
    readers_.back()->events.reset();
    helper_.retire(std::move(readers_.back()->client));
    readers_.pop_back();
  }
}

// The first reader that does not read this partition yet; a new one when all do.
KafkaSource::Reader* KafkaSource::reader_for(PartitionId partition) {
  for (const auto& reader : readers_) {
    if (!reader->partitions.contains(partition)) return reader.get();
  }
  CHECK(readers_.size() < kMaxReaders);
  // Each further reader serves a few cursors for a while, the first one all partitions.
  const std::string share = std::to_string(kafka_queue_kbytes(topics_.partitions()));
  auto client = KafkaClient::make(settings_, {}, {{"queued.max.messages.kbytes", share}});
  if (!client) {
    log(3, "cannot make a client: " + client.error().detail);
    return nullptr;
  }
  auto reader = std::make_unique<Reader>();
  reader->client = std::move(*client);
  reader->events = reader->client->events(wake_fd_);
  readers_.push_back(std::move(reader));
  return readers_.back().get();
}

void KafkaSource::attach(Cursor& cursor) {
  CHECK(cursor.reader == nullptr);
  Reader* reader = reader_for(cursor.partition);
  if (reader == nullptr) return;
  const PartitionName& name = topics_.name(cursor.partition);
  // Before the assignment, or the first messages would go to the common queue.
  KafkaQueue queue = reader->client->partition_queue(name, wake_fd_);
  const Status assigned = reader->client->assign(name, cursor.position);
  if (!assigned) {
    log(3, printed(name) + ": cannot be assigned: " + assigned.error().detail);
    return;
  }
  CHECK(reader->partitions.insert(cursor.partition).second);
  cursor.reader = reader;
  cursor.queue = std::move(queue);
  cursor.standing = false;
  cursor.starved_since.reset();
  cursor.behind_since.reset();
}

void KafkaSource::detach(Cursor& cursor) {
  if (cursor.reader == nullptr) return;
  const PartitionName& name = topics_.name(cursor.partition);
  cursor.queue.reset();
  const Status status = cursor.reader->client->unassign(name);
  if (!status) log(3, printed(name) + ": cannot be unassigned: " + status.error().detail);
  cursor.reader->partitions.erase(cursor.partition);
  cursor.reader = nullptr;
}

// The only way to move that librdkafka 2.0.2 carries out reliably, and the cure for a silent stall.
void KafkaSource::assign_again(Cursor& cursor) {
  detach(cursor);
  cursor.standing = false;
  std::erase(out_of_range_, cursor.id);
  attach(cursor);
}

// A client that could not be made (no descriptors left) or an assignment that was refused: tried
// again once a second, with the cursor standing at its position meanwhile.
void KafkaSource::retry_detached() {
  if (clock_.now() < retry_at_) return;
  retry_at_ = clock_.now() + kSoon;
  for (auto& [id, cursor] : cursors_) {
    if (cursor->reader == nullptr) attach(*cursor);
  }
}

// In batches: taking one message at a time costs 1.6 times as much. Every message is given back
// before the next batch, because one that is kept pins its whole fetch.
std::size_t KafkaSource::read(CursorId id, std::size_t credit, RecordSink& sink) {
  Cursor& cursor = cursor_of(id);
  if (credit == 0 || cursor.standing || cursor.reader == nullptr) return 0;
  Reading reading(*this, cursor, sink);
  while (reading.delivered() < credit) {
    if (cursor.range.to && cursor.position >= *cursor.range.to) break;
    const std::size_t wanted = std::min(credit - reading.delivered(), batch_.size());
    const std::size_t got =
        cursor.reader->client->read(cursor.queue.get(), std::span(batch_).first(wanted), reading);
    if (got < wanted) break;  // empty now: the next message writes to the eventfd
  }
  if (reading.delivered() > 0) {
    arrived_ += reading.delivered();
    cursor.starved_since.reset();
    cursor.behind_since.reset();
  } else if (!cursor.standing) {
    starved(cursor);
  }
  // The next poll() tells it; the loop may be about to sleep.
  if (!out_of_range_.empty()) write_eventfd(wake_fd_);
  return reading.delivered();
}

Offset KafkaSource::position(CursorId cursor) const {
  const auto at = cursors_.find(cursor);
  CHECK(at != cursors_.end());
  return at->second->position;
}

// Any reader of the partition knows; the first one is the live one, and knows best.
std::optional<LogEnds> KafkaSource::ends(PartitionId partition) const {
  const PartitionName& name = topics_.name(partition);
  for (const auto& reader : readers_) {
    if (!reader->partitions.contains(partition)) continue;
    KafkaClient::Heard heard = reader->client->heard(name);
    if (!heard.high) continue;
    // This librdkafka hears the end with every fetch, but not always the beginning.
    if (!heard.low && partition.value() < low_.size()) heard.low = low_[partition.value()];
    return LogEnds{heard.low.value_or(Offset(0)), *heard.high};
  }
  return std::nullopt;
}

void KafkaSource::ask_ends(PartitionId partition, std::uint64_t question) {
  const PartitionName name = topics_.name(partition);
  const bool taken = helper_.submit([this, name, partition, question]() -> KafkaHelper::End {
    const Result<LogEnds> ends = control_.ends(name, milliseconds(options_.ask_timeout));
    return [this, partition, question, ends] {
      if (stopped_) return;
      if (ends) {
        if (low_.size() <= partition.value()) low_.resize(partition.value() + 1);
        low_[partition.value()] = ends->low;
      }
      listener_->on_ends(partition, question, ends);
    };
  });
  if (taken) return;
  refused_.emplace_back([this, partition, question] {
    listener_->on_ends(partition, question,
                       failure(Errc::unavailable, "too many questions are open"));
  });
}

void KafkaSource::find(PartitionId partition, WallTime time, std::uint64_t question) {
  const PartitionName name = topics_.name(partition);
  const bool taken = helper_.submit([this, name, partition, time, question]() -> KafkaHelper::End {
    const Result<Offset> found = control_.find(name, time, milliseconds(options_.ask_timeout));
    return [this, partition, question, found] {
      if (!stopped_) listener_->on_found(partition, question, found);
    };
  });
  if (taken) return;
  refused_.emplace_back([this, partition, question] {
    listener_->on_found(partition, question,
                        failure(Errc::unavailable, "too many questions are open"));
  });
}

void KafkaSource::tell_out_of_range() {
  std::vector<CursorId> told;
  told.swap(out_of_range_);
  for (const CursorId id : told) {
    const auto at = cursors_.find(id);
    // An earlier callback of this very loop may have moved or closed it.
    if (at == cursors_.end() || !at->second->standing) continue;
    listener_->on_out_of_range(id, at->second->position);
  }
}

// One question at a time. librdkafka asks for metadata by itself as well, but tells nobody about
// partitions that are new.
void KafkaSource::ask_metadata() {
  if (asking_metadata_ || clock_.now() < metadata_at_) return;
  asking_metadata_ = helper_.submit([this]() -> KafkaHelper::End {
    const Result<KafkaMetadata> metadata = control_.metadata(milliseconds(options_.ask_timeout));
    return [this, metadata] {
      if (!stopped_) on_metadata(metadata);
    };
  });
  if (asking_metadata_) arrived_at_asking_ = arrived_;
}

// The order of what is told: the state, the cluster, topics, partitions. So whoever starts
// reading a partition knows already whose offsets they are.
void KafkaSource::on_metadata(const Result<KafkaMetadata>& metadata) {
  asking_metadata_ = false;
  metadata_at_ = clock_.now() + std::min(kSoon, options_.metadata_interval);
  if (!metadata) {
    ++metadata_failures_;
    // Records that came meanwhile prove that the log can be reached.
    const bool silent = arrived_ == arrived_at_asking_;
    const bool broken = !trouble_.empty() || metadata_failures_ >= kFailuresToTell;
    if (silent && broken) {
      tell_state(false, trouble_.words(metadata.error().detail, options_.brokers));
    }
    return;
  }
  metadata_failures_ = 0;
  trouble_.clear();
  tell_state(true, "");
  if (!metadata->cluster.empty() && metadata->cluster != cluster_) {
    cluster_ = metadata->cluster;
    listener_->on_cluster(cluster_);
  }
  const KafkaTopics::Change change = topics_.update(*metadata);
  for (const std::string& line : change.complaints) log(3, line);
  for (const std::string& topic : change.missing) listener_->on_topic_missing(topic);
  for (const std::string& topic : change.returned) listener_->on_topic_found(topic);
  for (const PartitionId partition : change.found) {
    listener_->on_partition(partition, topics_.name(partition));
  }
  if (!topics_.incomplete()) metadata_at_ = clock_.now() + options_.metadata_interval;
}

void KafkaSource::tell_state(bool reachable, const std::string& why) {
  if (reachable_ == reachable) return;
  reachable_ = reachable;
  listener_->on_log_state(reachable, why);
}

void KafkaSource::log(int level, std::string line) const {
  if (options_.log) options_.log(level, kafka_scrub(settings_, std::move(line)));
}

// Called when a read() with credit found nothing. A partition at its end is silent for good
// reasons, so only a log that goes on beyond us is a stall. The end comes from a question of our
// own: a fetch that is stuck does not report it.
void KafkaSource::starved(Cursor& cursor) {
  const MonoTime now = clock_.now();
  if (!cursor.starved_since) {
    cursor.starved_since = now;
    cursor.probed_at = now;
  }
  if (cursor.behind_since && now - *cursor.behind_since >= options_.stall_after) {
    log(4, printed(topics_.name(cursor.partition)) + ": stalled at offset " +
               std::to_string(cursor.position.value()) + " while the log goes on to " +
               std::to_string(cursor.end.value()) + ", assigning it again");
    // What lies between may be no records at all (marks of transactions): once for each end is
    // enough.
    cursor.cured_end = cursor.end;
    assign_again(cursor);
    return;
  }
  if (now - cursor.probed_at >= options_.stall_after / 4 && !probing_) probe(cursor);
}

void KafkaSource::probe(Cursor& cursor) {
  cursor.probed_at = clock_.now();
  const PartitionName name = topics_.name(cursor.partition);
  const CursorId id = cursor.id;
  probing_ = helper_.submit([this, name, id]() -> KafkaHelper::End {
    const Result<LogEnds> ends = control_.ends(name, milliseconds(options_.ask_timeout));
    return [this, id, ends] {
      probing_ = false;
      const auto at = cursors_.find(id);
      if (stopped_ || !ends || at == cursors_.end()) return;
      Cursor& probed = *at->second;
      if (!probed.starved_since) return;
      probed.end = ends->high;
      const bool behind = probed.end > probed.position && probed.end != probed.cured_end;
      if (behind && !probed.behind_since) probed.behind_since = clock_.now();
    };
  });
}

}  // namespace purgeline
