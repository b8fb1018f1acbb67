#include "sources/kafka_outbox.h"

#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"
#include "sources/kafka_owned.h"

namespace purgeline {
namespace {

constexpr Duration kLook = std::chrono::seconds(1);       // at the clock, while nothing happens
constexpr Duration kLastWords = std::chrono::seconds(1);  // for what is on its way at the end
constexpr std::size_t kPage = 512;                        // events that one reading may bring
// A message's opaque word: the topic's number above, the offset below.
constexpr unsigned kOffsetBits = 48;
constexpr unsigned kTopicBits = 16;

// Copies the event. An array instead of the library's macros, which clang refuses as an extension.
rd_kafka_resp_err_t produce(rd_kafka_t* client, const std::string& topic, const OutboxEvent& event,
                            std::uint64_t opaque) {
  const auto ms =
      std::chrono::floor<std::chrono::milliseconds>(event.time.time_since_epoch()).count();
  std::array<rd_kafka_vu_t, 6> fields{};
  fields[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  fields[0].u.cstr = topic.c_str();
  fields[1].vtype = RD_KAFKA_VTYPE_VALUE;
  fields[1].u.mem = {const_cast<char*>(event.value.data()), event.value.size()};
  fields[2].vtype = RD_KAFKA_VTYPE_KEY;
  if (!event.key.empty()) {
    fields[2].u.mem = {const_cast<char*>(event.key.data()), event.key.size()};
  }
  fields[3].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
  fields[3].u.i64 = std::max<std::int64_t>(ms, 0);
  fields[4].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  fields[4].u.i = RD_KAFKA_MSG_F_COPY;
  fields[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  fields[5].u.ptr = reinterpret_cast<void*>(opaque);
  const KafkaError error(rd_kafka_produceva(client, fields.data(), fields.size()));
  return error ? rd_kafka_error_code(error.get()) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace

// Ours last: the promises rest on them.
KafkaSettings kafka_outbox_settings(const KafkaOutboxOptions& options) {
  KafkaSettings settings;
  auto& set = settings.properties;
  set.emplace_back("client.id", "purgeline");
  set.emplace_back("linger.ms", "5");
  set.emplace_back("reconnect.backoff.max.ms", "2000");
  for (const auto& [key, value] : options.properties) add_property(settings, key, value);
  set.emplace_back("bootstrap.servers", kafka_servers(options.brokers));
  set.emplace_back("enable.idempotence", "true");
  set.emplace_back("acks", "all");
  set.emplace_back("message.timeout.ms", "0");    // it stays in the outbox: an end gains nothing
  set.emplace_back("partitioner", "consistent");  // without a key: always the same one
  set.emplace_back("message.max.bytes", "8388608");
  set.emplace_back("queue.buffering.max.kbytes", "65536");
  set.emplace_back("log.queue", "true");
  return settings;
}

KafkaOutbox::KafkaOutbox(KafkaOutboxOptions options, OutboxLog& outbox, Clock& clock, EventLog& log)
    : options_(std::move(options)),
      settings_(kafka_outbox_settings(options_)),
      outbox_(outbox),
      clock_(clock),
      log_(log),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_fd_ >= 0);
}

KafkaOutbox::~KafkaOutbox() {
  stop();
  close();
  ::close(wake_fd_);
}

Status KafkaOutbox::start() {
  if (Status status = open(); !status) return status;
  outbox_.watch(wake_fd_);
  thread_ = std::thread([this] { run(); });
  return {};
}

void KafkaOutbox::stop() {
  stop_ = true;
  write_eventfd(wake_fd_);
  if (!thread_.joinable()) return;
  thread_.join();
  outbox_.unwatch(wake_fd_);
}

OutboxMetrics KafkaOutbox::metrics() const {
  const std::lock_guard lock(mutex_);
  return metrics_;
}

std::string KafkaOutbox::trouble() const {
  const std::lock_guard lock(mutex_);
  return told_;
}

Status KafkaOutbox::open() {
  const Result<rd_kafka_t*> client =
      make_kafka(RD_KAFKA_PRODUCER, settings_, {},
                 RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
  if (!client) return tl::unexpected<Error>(client.error());
  client_.reset(*client);
  rd_kafka_set_log_queue(*client, nullptr);
  events_.reset(rd_kafka_queue_get_main(*client));
  wake_with(events_.get(), wake_fd_);
  return {};
}

void KafkaOutbox::close() {
  events_.reset();
  client_.reset();
}

void KafkaOutbox::run() {
  ::pthread_setname_np(::pthread_self(), "outbox");
  while (!stop_) {
    clock_.refresh();
    take_events();
    if (fatal_) {
      // librdkafka's word for a producer that cannot keep its promises any more. What it had is
      // forgotten here and sent again by a new one.
      fatal_ = false;
      close();
      for (Line& line : lines_) line.in_flight = 0;
      for (Line& line : lines_) send_again(line, trouble_);
      if (const Status status = open(); !status) CHECK(false);  // the same properties as before
    }
    look();
    full_ = false;
    for (std::size_t i = 0; i < lines_.size(); ++i) forward(i);
    publish();
    wait(kLook);
  }
  clock_.refresh();
  for (const MonoTime end = clock_.now() + kLastWords; !idle() && clock_.now() < end;) {
    wait(end - clock_.now());
    clock_.refresh();
    take_events();
  }
  publish();
}

bool KafkaOutbox::idle() const {
  return std::all_of(lines_.begin(), lines_.end(),
                     [](const Line& line) { return line.in_flight == 0; });
}

// Which topics there are, and how far.
void KafkaOutbox::look() {
  outbox_.topics(topics_);
  for (const OutboxTopic& topic : topics_) {
    auto line = std::find_if(lines_.begin(), lines_.end(),
                             [&](const Line& one) { return one.topic == topic.name; });
    if (line == lines_.end()) {
      if (lines_.size() + 1 >= std::size_t{1} << kTopicBits) {
        trouble_ = "more topics than can be forwarded; " + topic.name + " is kept";
        continue;
      }
      lines_.emplace_back();
      line = std::prev(lines_.end());
      line->topic = topic.name;
      line->confirmed = line->trimmed = line->next = topic.low;
    }
    line->high = topic.high;
  }
}

void KafkaOutbox::forward(std::size_t number) {
  Line& line = lines_[number];
  if (line.again) {
    if (line.in_flight > 0 || clock_.now() < line.not_before) return;
    line.again = false;
    line.pending.clear();
    line.next = line.confirmed;
  }
  while (!stop_ && !full_ && !line.again && line.next < line.high &&
         line.pending.size() + kPage <= kMostUnconfirmed) {
    const Offset before = line.next;
    reading_ = number;
    const Status read = outbox_.read(line.topic, line.next, *this);
    if (!read) {
      ++counts_.failures;
      send_again(line, read.error().detail);
    }
    if (line.next == before) return;
  }
}

bool KafkaOutbox::on_event(const OutboxEvent& event) {
  Line& line = lines_[reading_];
  CHECK(event.offset == line.next && event.offset.value() >> kOffsetBits == 0);
  const std::uint64_t opaque =
      std::uint64_t{reading_} << kOffsetBits | static_cast<std::uint64_t>(event.offset.value());
  const rd_kafka_resp_err_t refused = produce(client_.get(), line.topic, event, opaque);
  if (refused == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
    full_ = true;  // reports will make room
    return false;
  }
  if (refused == RD_KAFKA_RESP_ERR__FATAL) fatal_ = true;
  if (refused != RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++counts_.failures;
    send_again(line, line.topic + ": " + rd_kafka_err2str(refused));
    return false;
  }
  line.pending.push_back({event.time, false});
  line.next = line.next.next();
  ++line.in_flight;
  return true;
}

void KafkaOutbox::take_events() {
  while (const KafkaEvent event{rd_kafka_queue_poll(events_.get(), 0)}) {
    if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) {
      const bool all_down =
          rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
      if (all_down && !trouble_.empty()) continue;  // the reason was told before
      const char* words = rd_kafka_event_error_string(event.get());
      trouble_ = words != nullptr ? kafka_scrub(settings_, words) : "Kafka is not reachable";
      fatal_ = fatal_ || rd_kafka_event_error_is_fatal(event.get()) != 0;
      continue;
    }
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_DR) continue;
    while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
      const auto opaque = reinterpret_cast<std::uintptr_t>(message->_private);
      const Offset offset(
          static_cast<std::int64_t>(opaque & ((std::uint64_t{1} << kOffsetBits) - 1)));
      on_report(opaque >> kOffsetBits, offset,
                message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2str(message->err));
    }
  }
  trim();
}

void KafkaOutbox::on_report(std::size_t number, Offset offset, const std::string& error) {
  CHECK(number < lines_.size());
  Line& line = lines_[number];
  CHECK(line.in_flight > 0 && offset >= line.confirmed && offset < line.next);
  --line.in_flight;
  if (!error.empty()) {
    ++counts_.failures;
    send_again(line, line.topic + ": " + error);
    return;
  }
  ++counts_.forwarded;
  if (!line.again) trouble_.clear();
  line.pending[static_cast<std::size_t>(offset.value() - line.confirmed.value())].confirmed = true;
  while (!line.pending.empty() && line.pending.front().confirmed) {
    line.pending.pop_front();
    line.confirmed = line.confirmed.next();
  }
}

// Once for all reports that came together: each trim is a transaction of the journal's writer.
void KafkaOutbox::trim() {
  for (Line& line : lines_) {
    if (line.trimmed == line.confirmed) continue;
    line.trimmed = line.confirmed;
    outbox_.trim(line.topic, line.confirmed);
  }
}

void KafkaOutbox::send_again(Line& line, const std::string& why) {
  line.again = true;
  line.not_before = clock_.now() + options_.retry;
  trouble_ = why;
}

void KafkaOutbox::publish() {
  counts_.waiting = counts_.oldest = 0;
  for (Line& line : lines_) {
    const std::int64_t waiting = line.high.value() - line.confirmed.value();
    if (waiting <= 0) continue;
    counts_.waiting += static_cast<double>(waiting);
    if (!line.pending.empty()) line.oldest = line.pending.front().time;
    const double age = static_cast<double>((clock_.wall() - line.oldest).count()) * 1e-9;
    if (line.oldest != WallTime{}) counts_.oldest = std::max(counts_.oldest, age);
  }
  const std::string now = counts_.waiting > 0 ? trouble_ : std::string();
  std::string before;
  {
    const std::lock_guard lock(mutex_);
    metrics_ = counts_;
    before = std::exchange(told_, now);
  }
  if (before.empty() == now.empty()) return;
  if (now.empty()) {
    log_.info("outbox forwards again", {{"to", "Kafka"}});
  } else {
    log_.warning("outbox waits", {{"for", "Kafka"},
                                  {"why", now},
                                  {"effect", "what the intakes take is kept until it can go on"}});
  }
}

void KafkaOutbox::wait(Duration limit) {
  pollfd ready{wake_fd_, POLLIN, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(ms, 0)));
  drain_eventfd(wake_fd_);
}

}  // namespace purgeline
