#include "app/log_seams.h"

#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

#include "io/system_clock.h"
#include "purgeline/check.h"
#include "sources/kafka_connection.h"
#include "sources/kafka_peers.h"
#include "store/journal_source.h"

namespace purgeline {
namespace {

// The Kafka client's threads end at once unless one waits for a broker.
constexpr auto kLogCloses = std::chrono::milliseconds(500);

std::string host_name() {
  std::string name(256, '\0');
  if (::gethostname(name.data(), name.size() - 1) != 0) return "purgeline";
  name.resize(name.find('\0'));
  return name;
}

KafkaOptions kafka_options(const Config& config, EventLog& log) {
  KafkaOptions options;
  for (const Endpoint& broker : config.log.kafka.brokers) options.brokers.push_back(broker.text);
  options.topics = config.log.kafka.topics;
  options.group = config.log.kafka.group.empty() ? host_name() : config.log.kafka.group;
  for (const auto& [name, value] : config.log.kafka.properties) {
    options.properties[name] = value.text;
  }
  options.log = [&log](int level, std::string line) {
    const LogLevel ours = level <= 3   ? LogLevel::error
                          : level <= 4 ? LogLevel::warning
                          : level <= 6 ? LogLevel::info
                                       : LogLevel::debug;
    log.write(ours, "kafka", {{"says", std::move(line)}});
  };
  return options;
}

}  // namespace

LogSeams::LogSeams() = default;
LogSeams::~LogSeams() = default;

Result<std::unique_ptr<LogSeams>> LogSeams::make(const Config& config, Journal* journal,
                                                 int wake_fd, Clock& clock, EventLog& log) {
  auto seams = std::unique_ptr<LogSeams>(new LogSeams());  // the constructor is private
  if (!config.log.kafka.brokers.empty()) {
    seams->wake_ = Fd(::dup(wake_fd));
    CHECK(seams->wake_.valid());
    auto kafka = KafkaConnection::make(kafka_options(config, log), seams->wake_.get(), clock);
    if (!kafka) return tl::unexpected<Error>(std::move(kafka.error()));
    seams->kafka_ = std::move(*kafka);
    seams->start_at_ = config.log.kafka.start_at;
    if (Status status = seams->open_peers(config, log); !status) {
      return tl::unexpected<Error>(std::move(status.error()));
    }
    return seams;
  }
  CHECK(journal != nullptr);
  seams->journal_ =
      std::make_unique<JournalConnection>(*journal, JournalSourceOptions{}, wake_fd, clock);
  // What nobody has finished is still in it, and nothing else.
  seams->start_at_ = StartEarliest{};
  return seams;
}

std::shared_future<void> LogSeams::close(std::unique_ptr<LogSeams> seams) {
  seams->source().stop();
  if (seams->peers_) seams->peers_->stop();
  std::promise<void> closed;
  std::shared_future<void> done = closed.get_future().share();
  if (!seams->kafka_) {
    seams.reset();
    closed.set_value();
    return done;
  }
  std::thread([seams = std::move(seams), closed = std::move(closed)]() mutable {
    seams.reset();
    closed.set_value();
  }).detach();
  done.wait_for(kLogCloses);
  return done;
}

Status LogSeams::open_peers(const Config& config, EventLog& log) {
  const PeersConfig& peers = config.purge.peers;
  if (peers.topic.empty()) return {};
  KafkaPeersOptions options;
  options.kafka = kafka_options(config, log);
  options.kafka.log = nullptr;  // what concerns the brokers is told by the source's clients
  options.topic = peers.topic;
  options.name = peers.name.empty() ? host_name() : peers.name;
  peers_clock_ = std::make_unique<SystemClock>();
  auto made = KafkaPeers::make(std::move(options), wake_.get(), *peers_clock_);
  if (!made) return tl::unexpected<Error>(std::move(made.error()));
  peers_ = std::move(*made);
  return {};
}

PeerLink* LogSeams::peers() {
  return peers_.get();
}

Source& LogSeams::source() {
  if (kafka_) return kafka_->source();
  return journal_->source();
}

OffsetStore& LogSeams::offsets() {
  if (kafka_) return kafka_->offsets();
  return journal_->offsets();
}

void JournalWatch::add_to(MetricsSnapshot& snapshot) {
  if (journal_ == nullptr) return;
  snapshot.journal = journal_->metrics();
  const std::string trouble = journal_->trouble();
  const std::string pinned = journal_->pinned();
  snapshot.ready.push_back({"journal", trouble.empty(), trouble.empty() ? "writable" : trouble});
  snapshot.ready.push_back(
      {"journal's write-ahead log", pinned.empty(), pinned.empty() ? "within its bound" : pinned});
  tell("journal refuses events", trouble_, trouble);
  tell("journal's write-ahead log is pinned", pinned_, pinned);
}

void JournalWatch::tell(const char* event, std::string& before, const std::string& now) {
  if (before.empty() != now.empty()) {
    if (now.empty()) {
      log_.info(event, {{"state", "over"}});
    } else {
      log_.error(event, {{"state", "begins"}, {"why", now}});
    }
  }
  before = now;
}

}  // namespace purgeline
