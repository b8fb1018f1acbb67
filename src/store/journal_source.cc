#include "store/journal_source.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

// Read ahead of the one that is being handed over.
constexpr std::size_t kPagesAhead = 1;

}  // namespace

JournalSource::JournalSource(Journal& journal, JournalReader& reader, JournalSourceOptions options,
                             int wake_fd, Clock& clock)
    : journal_(journal),
      reader_(reader),
      options_(std::move(options)),
      wake_fd_(wake_fd),
      clock_(clock) {}

JournalSource::~JournalSource() {
  if (listener_ != nullptr && !stopped_) stop();
}

void JournalSource::start(SourceListener& listener) {
  CHECK(listener_ == nullptr);
  listener_ = &listener;
  if (wake_fd_ >= 0) journal_.watch(wake_fd_);
}

void JournalSource::stop() {
  CHECK(listener_ != nullptr && !stopped_);
  stopped_ = true;
  if (wake_fd_ >= 0) journal_.unwatch(wake_fd_);
  reader_.stop();
}

void JournalSource::poll() {
  CHECK(listener_ != nullptr && !stopped_);
  reader_.poll();
  std::vector<std::function<void()>> refused;
  refused.swap(refused_);
  for (const auto& tell : refused) tell();
  take_ends();
  expire();
  if (clock_.now() >= look_at_) look();
}

bool JournalSource::partition_is_new(PartitionId partition) const {
  return partitions_.at(partition.value()).is_new;
}

bool JournalSource::wanted(const std::string& topic) const {
  return options_.topics.empty() ||
         std::find(options_.topics.begin(), options_.topics.end(), topic) != options_.topics.end();
}

// ---- cursors ----

JournalSource::Cursor& JournalSource::cursor_of(CursorId id) {
  const auto at = cursors_.find(id);
  CHECK(at != cursors_.end());
  return *at->second;
}

CursorId JournalSource::open(PartitionId partition, Range range, std::uint32_t /*targets*/,
                             Priority /*priority*/) {
  CHECK(!stopped_ && partition.value() < partitions_.size());
  const CursorId id(next_cursor_++);
  auto cursor = std::make_unique<Cursor>(journal_, id);
  cursor->partition = partition;
  cursor->range = range;
  cursor->position = range.from;
  cursor->fetch = range.from;
  Cursor& opened = *cursor;
  cursors_.emplace(id, std::move(cursor));
  fetch(id, opened);
  return id;
}

void JournalSource::reposition(CursorId id, Offset from) {
  Cursor& cursor = cursor_of(id);
  ++cursor.place;
  cursor.position = from;
  cursor.fetch = from;
  cursor.pages.clear();
  cursor.row = 0;
  cursor.asking = false;
  cursor.lost = false;
  cursor.damage.clear();
  cursor.not_before = {};
  fetch(id, cursor);
}

void JournalSource::close(CursorId id) {
  cursor_of(id).damage.clear();
  cursors_.erase(id);
}

Offset JournalSource::position(CursorId id) const {
  const auto at = cursors_.find(id);
  CHECK(at != cursors_.end());
  return at->second->position;
}

std::size_t JournalSource::read(CursorId id, std::size_t credit, RecordSink& sink) {
  Cursor& cursor = cursor_of(id);
  std::size_t taken = 0;
  while (taken < credit && !cursor.pages.empty()) {
    if (cursor.range.to && cursor.position >= *cursor.range.to) break;
    const JournalPage& page = cursor.pages.front();
    Record record;
    record.partition = cursor.partition;
    record.offset = cursor.position;
    record.timestamp = page.rows[cursor.row].time;
    record.value = page.value(cursor.row);
    sink.on_record(record);
    cursor.position = cursor.position.next();
    ++taken;
    if (++cursor.row == page.rows.size()) {
      cursor.pages.pop_front();
      cursor.row = 0;
    }
  }
  fetch(id, cursor);
  return taken;
}

// Asks for the next page, when there is room for it and something to read.
void JournalSource::fetch(CursorId id, Cursor& cursor) {
  if (cursor.asking || cursor.lost || cursor.pages.size() > kPagesAhead) return;
  if (clock_.now() < cursor.not_before) return;
  if (cursor.range.to && cursor.fetch >= *cursor.range.to) return;
  const Partition& partition = partitions_[cursor.partition.value()];
  if (partition.fetched && cursor.fetch == partition.ends.high) return;
  const std::uint64_t place = cursor.place;
  cursor.asking = reader_.ask(JournalReader::ReadPage{partition.topic, cursor.fetch},
                              [this, id, place](Result<JournalReader::Answer> answer) {
                                on_page(id, place, std::move(answer));
                              });
}

void JournalSource::on_page(CursorId id, std::uint64_t place,
                            Result<JournalReader::Answer> answer) {
  if (stopped_) return;
  const auto at = cursors_.find(id);
  if (at == cursors_.end() || at->second->place != place) return;
  Cursor& cursor = *at->second;
  cursor.asking = false;
  cursor.damage.take(answer);
  tell_state(answer.has_value(), answer ? std::string() : answer.error().detail);
  if (!answer) {
    cursor.not_before = clock_.now() + options_.retry;
    return;
  }
  partitions_[cursor.partition.value()].fetched = true;
  if (std::holds_alternative<JournalReader::OutOfRange>(*answer)) {
    cursor.lost = true;
    listener_->on_out_of_range(id, cursor.fetch);
    return;
  }
  auto page = std::get<JournalPage>(std::move(*answer));
  if (page.rows.empty()) return;
  cursor.fetch = Offset(cursor.fetch.value() + static_cast<std::int64_t>(page.rows.size()));
  cursor.pages.push_back(std::move(page));
  fetch(id, cursor);
}

// ---- questions ----

std::optional<LogEnds> JournalSource::ends(PartitionId partition) const {
  const Partition& at = partitions_.at(partition.value());
  if (!at.fetched) return std::nullopt;
  return at.ends;
}

void JournalSource::ask_ends(PartitionId partition, std::uint64_t question) {
  ask(partition, question, false, JournalReader::AskEnds{partitions_.at(partition.value()).topic});
}

void JournalSource::find(PartitionId partition, WallTime time, std::uint64_t question) {
  ask(partition, question, true,
      JournalReader::FindTime{partitions_.at(partition.value()).topic, time});
}

void JournalSource::ask(PartitionId partition, std::uint64_t question, bool is_find,
                        JournalReader::Question what) {
  const Open open{partition, question, is_find, clock_.now() + options_.ask_timeout};
  const std::uint64_t serial = next_serial_++;
  const auto end = [this, serial](Result<JournalReader::Answer> answer) {
    answer_find_or_ends(serial, std::move(answer));
  };
  if (open_.size() < kMaxQuestions && reader_.ask(std::move(what), end)) {
    open_.emplace(serial, open);
    return;
  }
  refused_.emplace_back(
      [this, open] { tell(open, failure(Errc::unavailable, "too many questions are open")); });
}

void JournalSource::answer_find_or_ends(std::uint64_t serial,
                                        Result<JournalReader::Answer> answer) {
  const auto at = open_.find(serial);
  if (stopped_ || at == open_.end()) return;  // it was told that it took too long
  const Open open = at->second;
  open_.erase(at);
  tell(open, std::move(answer));
}

void JournalSource::tell(const Open& open, Result<JournalReader::Answer> answer) {
  if (open.is_find) {
    if (answer) {
      listener_->on_found(open.partition, open.question, std::get<Offset>(*answer));
    } else {
      listener_->on_found(open.partition, open.question, tl::unexpected<Error>(answer.error()));
    }
  } else if (answer) {
    listener_->on_ends(open.partition, open.question, std::get<LogEnds>(*answer));
  } else {
    listener_->on_ends(open.partition, open.question, tl::unexpected<Error>(answer.error()));
  }
}

// A disk that hangs answers nothing, not even an error.
void JournalSource::expire() {
  const auto why = [this] {
    return journal_.path() + " does not answer: the disk hangs";
  };
  while (!open_.empty() && clock_.now() >= open_.begin()->second.deadline) {
    const Open open = open_.begin()->second;
    open_.erase(open_.begin());
    tell(open, failure(Errc::timed_out, why()));
  }
  if (looking_ && clock_.now() - looking_since_ >= options_.ask_timeout) tell_state(false, why());
}

// ---- topics and ends ----

void JournalSource::look() {
  if (looking_) return;
  looking_ =
      reader_.ask(JournalReader::AskIdentity{},
                  [this](Result<JournalReader::Answer> answer) { on_identity(std::move(answer)); });
  looking_since_ = clock_.now();
}

void JournalSource::on_identity(Result<JournalReader::Answer> answer) {
  if (stopped_) return;
  looking_ = false;
  look_at_ = clock_.now() + (answer ? options_.look_every : options_.retry);
  damage_.take(answer);
  tell_state(answer.has_value(), answer ? std::string() : answer.error().detail);
  if (!answer) return;
  const auto& known = std::get<JournalReader::Identity>(*answer);
  if (cluster_ != known.journal_id) {
    cluster_ = known.journal_id;
    listener_->on_cluster(cluster_);
  }
  // Which topics there are comes from the journal: it knows of what the reader was too early for.
  answered_ = true;
  take_ends();
}

// The ends of the topics, and topics that have come into being.
void JournalSource::take_ends() {
  if (!answered_ || journal_.version() == version_) return;
  version_ = journal_.version();
  journal_.topics(latest_);
  const bool first = !taken_;
  taken_ = true;
  for (const JournalTopic& topic : latest_) {
    if (!wanted(topic.name)) continue;
    auto known = std::find_if(partitions_.begin(), partitions_.end(),
                              [&](const Partition& at) { return at.topic == topic.name; });
    if (known == partitions_.end()) {
      if (!first) listener_->on_topic_found(topic.name);  // it was told to be missing at the start
      partitions_.push_back({topic.name, !first, false, {topic.low, topic.high}});
      const PartitionId id(static_cast<std::uint32_t>(partitions_.size() - 1));
      listener_->on_partition(id, PartitionName{topic.name, 0});
      continue;
    }
    known->ends = {topic.low, topic.high};
  }
  if (!first) return;
  for (const std::string& topic : options_.topics) {
    const bool there = std::any_of(partitions_.begin(), partitions_.end(),
                                   [&](const Partition& at) { return at.topic == topic; });
    if (!there) listener_->on_topic_missing(topic);
  }
}

// What others can read does not help the one that cannot.
void JournalSource::tell_state(bool reachable, const std::string& why) {
  if (reachable && journal_.damaged()) return;
  if (reachable_ == reachable) return;
  reachable_ = reachable;
  listener_->on_log_state(reachable, why);
}

}  // namespace purgeline
