#include "sources/kafka_peers.h"

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
#include "sources/peer_codec.h"

namespace purgeline {
namespace {

constexpr std::size_t kBatch = 64;  // messages of one partition at a time
constexpr std::chrono::seconds kLook{1};

// The reader waits at the end of the topic: a short wait of the broker is all the delay there is.
const KafkaProperties& reader_properties() {
  static const KafkaProperties kOwn{{"fetch.wait.max.ms", "50"},
                                    {"queued.max.messages.kbytes", "2048"},
                                    {"socket.timeout.ms", "6000"}};
  return kOwn;
}

// A mark that could not be sent is not worth sending later: there is a newer one.
KafkaSettings producer_settings(const KafkaOptions& options) {
  KafkaSettings settings;
  auto& set = settings.properties;
  set.emplace_back("client.id", "purgeline-peers");
  set.emplace_back("reconnect.backoff.max.ms", "2000");
  for (const auto& [key, value] : options.properties) add_property(settings, key, value);
  set.emplace_back("bootstrap.servers", kafka_servers(options.brokers));
  set.emplace_back("linger.ms", "0");
  set.emplace_back("acks", "1");
  set.emplace_back("message.timeout.ms", "3000");
  set.emplace_back("partitioner", "consistent");
  set.emplace_back("log.queue", "true");
  return settings;
}

KafkaOptions reader_options(const KafkaPeersOptions& options) {
  KafkaOptions reader = options.kafka;
  reader.topics = {options.topic};
  return reader;
}

rd_kafka_resp_err_t produce(rd_kafka_t* client, const std::string& topic, const std::string& key,
                            const std::string& value) {
  std::array<rd_kafka_vu_t, 4> fields{};
  fields[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  fields[0].u.cstr = topic.c_str();
  fields[1].vtype = RD_KAFKA_VTYPE_KEY;
  fields[1].u.mem = {const_cast<char*>(key.data()), key.size()};
  fields[2].vtype = RD_KAFKA_VTYPE_VALUE;
  fields[2].u.mem = {const_cast<char*>(value.data()), value.size()};
  fields[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  fields[3].u.i = RD_KAFKA_MSG_F_COPY;
  const KafkaError error(rd_kafka_produceva(client, fields.data(), fields.size()));
  return error ? rd_kafka_error_code(error.get()) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace

// What a partition's queue hands over.
class KafkaPeers::Messages : public KafkaMessageVisitor {
 public:
  explicit Messages(KafkaPeers& owner) : owner_(owner) {}
  void on_message(const KafkaMessage& message) override { owner_.hear(message.value); }
  void on_out_of_range() override { lost_ = true; }
  void on_error(const std::string& words) override {
    owner_.set_trouble(owner_.topic_trouble_, words);
    owner_.ask_soon();
  }
  [[nodiscard]] bool lost() const { return lost_; }

 private:
  KafkaPeers& owner_;
  bool lost_{false};
};

// What concerns the reading client as a whole. Its log lines tell nothing that the source's own
// client, which has the same brokers, does not.
class KafkaPeers::Events : public KafkaEventVisitor {
 public:
  explicit Events(KafkaPeers& owner) : owner_(owner) {}
  void on_log(int, const std::string&) override {}
  // A cluster does without one of its brokers; whether it can is asked soon.
  void on_broker_failed(const std::string& words) override {
    owner_.failed_.add(words);
    owner_.ask_soon();
  }
  void on_error(const std::string& words) override {
    owner_.set_trouble(owner_.hear_trouble_, words);
  }
  void on_stray(const std::string&, std::int32_t) override {}

 private:
  KafkaPeers& owner_;
};

Result<std::unique_ptr<KafkaPeers>> KafkaPeers::make(KafkaPeersOptions options, int wake_fd,
                                                     Clock& clock) {
  auto made = std::unique_ptr<KafkaPeers>(new KafkaPeers(std::move(options), wake_fd, clock));
  if (Status status = made->open(); !status) return tl::unexpected<Error>(status.error());
  made->thread_ = std::thread([peers = made.get()] { peers->run(); });
  return made;
}

KafkaPeers::KafkaPeers(KafkaPeersOptions options, int wake_fd, Clock& clock)
    : options_(std::move(options)),
      wake_fd_(wake_fd),
      clock_(clock),
      own_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(own_fd_ >= 0);
}

KafkaPeers::~KafkaPeers() {
  stop();
  if (thread_.joinable()) thread_.join();
  readings_.clear();
  reader_events_.reset();
  reader_.reset();
  producer_events_.reset();
  producer_.reset();
  ::close(own_fd_);
}

void KafkaPeers::stop() {
  stop_ = true;
  write_eventfd(own_fd_);
}

Status KafkaPeers::open() {
  const KafkaOptions options = reader_options(options_);
  const Result<KafkaSettings> settings = kafka_settings(options);
  if (!settings) return tl::unexpected<Error>(settings.error());
  settings_ = *settings;
  auto reader = KafkaClient::make(*settings, options.topics, reader_properties());
  if (!reader) return tl::unexpected<Error>(reader.error());
  reader_ = std::move(*reader);
  reader_events_ = reader_->events(own_fd_);
  const Result<rd_kafka_t*> producer =
      make_kafka(RD_KAFKA_PRODUCER, producer_settings(options), {},
                 RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
  if (!producer) return tl::unexpected<Error>(producer.error());
  producer_.reset(*producer);
  rd_kafka_set_log_queue(*producer, nullptr);
  producer_events_.reset(rd_kafka_queue_get_main(*producer));
  wake_with(producer_events_.get(), own_fd_);
  return {};
}

// ---- the shard's side

void KafkaPeers::publish(std::span<const PeerMark> marks) {
  const std::size_t count = std::min(marks.size(), kMaxPeerPartitions);
  std::string message = encode_peer_report(options_.name, marks.first(count));
  if (message.size() > kMaxPeerMessage) return;  // no report at all: peers go on without this host
  {
    const std::lock_guard lock(mutex_);
    to_say_ = std::move(message);
  }
  write_eventfd(own_fd_);
}

void KafkaPeers::poll(PeerListener& listener) {
  std::map<std::string, PeerReport> heard;
  {
    const std::lock_guard lock(mutex_);
    heard.swap(heard_);
  }
  for (const auto& [host, report] : heard) listener.on_peer(report);
}

std::string KafkaPeers::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

// ---- the thread's side

void KafkaPeers::run() {
  ::pthread_setname_np(::pthread_self(), "peers");
  while (!stop_) {
    clock_.refresh();
    if (clock_.now() >= ask_at_) ask_partitions();
    read();
    take_reports();
    say();
    wait();
  }
}

void KafkaPeers::ask_soon() {
  ask_at_ = std::min(ask_at_, clock_.now() + options_.ask_again);
}

// Again soon until it goes well.
void KafkaPeers::ask_partitions() {
  const auto timeout = std::chrono::duration_cast<KafkaClient::Timeout>(options_.kafka.ask_timeout);
  const Result<KafkaMetadata> metadata = reader_->metadata(timeout);
  clock_.refresh();
  ask_at_ = clock_.now() + options_.ask_again;
  if (!metadata) {
    take_events();
    const std::string why = failed_.words(metadata.error().detail, options_.kafka.brokers);
    set_trouble(topic_trouble_, "its partitions are not known: " + why);
    return;
  }
  failed_.clear();
  for (const KafkaMetadata::Topic& topic : metadata->topics) {
    if (topic.name != options_.topic) continue;
    if (topic.partitions == 0) {
      set_trouble(topic_trouble_, topic.missing ? "it does not exist" : topic.trouble);
      continue;
    }
    set_trouble(topic_trouble_, "");
    // Those that are new since have been written to by nobody that was not heard before.
    const bool first = readings_.empty();
    for (auto number = static_cast<std::int32_t>(readings_.size()); number < topic.partitions;
         ++number) {
      Reading reading{{options_.topic, number}, {}};
      reading.queue = reader_->partition_queue(reading.name, own_fd_);
      const Status assigned = reader_->assign(
          reading.name, Offset(first ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING));
      if (!assigned) set_trouble(topic_trouble_, assigned.error().detail);
      readings_.push_back(std::move(reading));
    }
  }
  if (!readings_.empty() && topic_trouble_.empty()) ask_at_ = clock_.now() + options_.ask_new;
}

void KafkaPeers::take_events() {
  Events events(*this);
  reader_->poll(reader_events_.get(), events);
}

void KafkaPeers::read() {
  take_events();
  std::array<rd_kafka_message_s*, kBatch> messages{};
  for (Reading& reading : readings_) {
    Messages visitor(*this);
    while (reader_->read(reading.queue.get(), messages, visitor) == messages.size()) {
    }
    if (!visitor.lost()) continue;
    // The topic was made anew, or retention was faster: on from its end.
    if (const Status left = reader_->unassign(reading.name); !left) continue;
    reading.queue = reader_->partition_queue(reading.name, own_fd_);
    const Status assigned = reader_->assign(reading.name, Offset(RD_KAFKA_OFFSET_END));
    if (!assigned) set_trouble(topic_trouble_, assigned.error().detail);
  }
}

void KafkaPeers::hear(std::string_view bytes) {
  if (bytes.empty()) return;  // a tombstone: somebody cleans up
  Result<PeerReport> report = decode_peer_report(bytes);
  if (!report) {
    set_trouble(hear_trouble_, "a message is not understood: " + report.error().detail);
    return;
  }
  set_trouble(hear_trouble_, "");
  if (report->host == options_.name) return;
  {
    const std::lock_guard lock(mutex_);
    const auto known = heard_.find(report->host);
    if (known == heard_.end() && heard_.size() >= kMostHosts) return;
    heard_[report->host] = std::move(*report);
  }
  write_eventfd(wake_fd_);
}

void KafkaPeers::take_reports() {
  while (const KafkaEvent event{rd_kafka_queue_poll(producer_events_.get(), 0)}) {
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_DR) continue;
    while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
      saying_ = false;
      const bool sent = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
      set_trouble(say_trouble_, sent ? "" : rd_kafka_err2str(message->err));
    }
  }
}

// One at a time, and always the latest.
void KafkaPeers::say() {
  if (saying_) return;
  std::optional<std::string> message;
  {
    const std::lock_guard lock(mutex_);
    message.swap(to_say_);
  }
  if (!message) return;
  const rd_kafka_resp_err_t refused =
      produce(producer_.get(), options_.topic, options_.name, *message);
  saying_ = refused == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (!saying_) set_trouble(say_trouble_, rd_kafka_err2str(refused));
}

void KafkaPeers::set_trouble(std::string& which, std::string words) {
  words = kafka_scrub(settings_, std::move(words));
  if (which == words) return;
  which = std::move(words);
  std::string all;
  for (const std::string* one : {&topic_trouble_, &say_trouble_, &hear_trouble_}) {
    if (one->empty()) continue;
    all += (all.empty() ? "topic " + options_.topic + ": " : "; ") + *one;
  }
  const std::lock_guard lock(mutex_);
  trouble_ = std::move(all);
}

void KafkaPeers::wait() {
  pollfd ready{own_fd_, POLLIN, 0};
  ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kLook).count()));
  drain_eventfd(own_fd_);
}

}  // namespace purgeline
