#include "app/shard.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "app/pipeline.h"
#include "io/make_transport.h"
#include "io/system_clock.h"
#include "io/thread_resolver.h"
#include "purgeline/check.h"
#include "sources/kafka_connection.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long the loop sleeps at most: the log's folded lines, the snapshot and the stop flag are
// looked after at least this often.
constexpr Duration kLongestSleep = seconds(1);
constexpr Duration kPublishEvery = milliseconds(100);
// For the last commit, after the last answer. A broker that lives takes a few milliseconds; one
// that does not would make every stop of its clients late.
constexpr Duration kLastCommit = seconds(1);
// How long an end waits for the Kafka client's threads. They end at once unless one waits for a
// broker.
constexpr Duration kLogCloses = milliseconds(500);

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

// A Kafka connection and the descriptor that it writes to, which lives longer.
struct KafkaHeld {
  Fd wake;
  std::unique_ptr<KafkaConnection> connection;
};

// Ends the connection on a thread of its own and waits for it no longer than kLogCloses.
// REQUIRES: its source is stopped, so that the end uses neither clock nor log of the shard.
std::shared_future<void> close_log(KafkaHeld held) {
  std::promise<void> closed;
  std::shared_future<void> done = closed.get_future().share();
  std::thread([held = std::move(held), closed = std::move(closed)]() mutable {
    held.connection.reset();
    held.wake.reset();
    closed.set_value();
  }).detach();
  done.wait_for(kLogCloses);
  return done;
}

std::size_t most_links(const Config& config) {
  std::size_t links = 0;
  for (const LayerConfig& layer : config.purge.layers) {
    links += layer.targets.size() * layer.connections;
  }
  return 2 * links;  // closing ones live beside those that replace them
}

}  // namespace

Shard::Shard(const Config& config, StoreThread& store, LogOutput& log, SnapshotBoard& board,
             Heartbeat& heartbeat)
    : config_(config), store_(store), log_(log), board_(board), heartbeat_(heartbeat) {}

Shard::~Shard() {
  stop();
  if (thread_.joinable()) thread_.join();
}

Status Shard::start() {
  auto started = started_.get_future();
  thread_ = std::thread([this] { run(); });
  return started.get();
}

void Shard::stop() {
  stop_ = true;
  const std::lock_guard lock(wake_mutex_);
  if (wake_.valid()) write_eventfd(wake_.get());
}

bool Shard::wait() {
  if (thread_.joinable()) thread_.join();
  return clean_;
}

void Shard::run() {
  ::pthread_setname_np(::pthread_self(), "shard");
  SystemClock clock;
  SystemRandom random;
  FoldingLog log(log_, clock);
  auto made = make_transport(config_.io, most_links(config_), clock);
  if (!made) {
    started_.set_value(tl::unexpected(made.error()));
    return;
  }
  if (!made->reason.empty()) {
    log.write(LogLevel::warning, "io_uring refused", {{"using", "epoll"}, {"why", made->reason}});
  }
  Transport& transport = *made->transport;
  auto hosts = HostMatcher::make(config_.purge.hosts.allow, config_.purge.hosts.deny);
  if (!hosts) {
    started_.set_value(tl::unexpected(hosts.error()));
    return;
  }
  KafkaHeld held{Fd(::dup(transport.wake_fd())), nullptr};
  CHECK(held.wake.valid());
  auto kafka = KafkaConnection::make(kafka_options(config_, log), held.wake.get(), clock);
  if (!kafka) {
    started_.set_value(tl::unexpected(kafka.error()));
    return;
  }
  held.connection = std::move(*kafka);
  ThreadResolver resolver(transport.wake_fd(), clock);
  store_.start(transport.wake_fd());
  Pipeline pipeline(config_.purge, config_.log, std::move(*hosts),
                    {clock, random, transport, resolver, held.connection->source(),
                     held.connection->offsets(), store_.positions(), store_.dead_letters(), log});
  pipeline.start();
  {
    const std::lock_guard lock(wake_mutex_);
    wake_ = Fd(::dup(transport.wake_fd()));
    CHECK(wake_.valid());
  }
  started_.set_value({});

  MetricsSnapshot snapshot;
  snapshot.io_backend = made->backend;
  snapshot.io_reason = made->reason;
  loop(pipeline, transport, clock, log, snapshot);
  pipeline.snapshot(snapshot);
  board_.publish(snapshot);
  const Status stored = store_.stop();
  if (!stored) log.error("state not written", {{"why", stored.error().detail}});
  held.connection->source().stop();
  log_closed_ = close_log(std::move(held));
  log.info("stopped", {{"committed", clean_ ? "everything that was finished" : "not everything"}});
  if (on_end_) on_end_();
}

void Shard::loop(Pipeline& pipeline, Transport& transport, Clock& clock, FoldingLog& log,
                 MetricsSnapshot& snapshot) {
  MonoTime publish_at = clock.now();
  MonoTime give_up = MonoTime::max();
  bool draining = false;
  heartbeat_.begin();
  for (;;) {
    heartbeat_.doing("stages");
    clock.refresh();
    pipeline.turn();
    if (stop_ && !draining) {
      draining = true;
      give_up = clock.now() + config_.purge.drain_grace;
      log.info("stopping", {{"unfinished", std::to_string(pipeline.unfinished())}});
      pipeline.drain(give_up);
      give_up += kLastCommit;
    }
    if (draining) {
      clean_ = pipeline.drained();
      if (clean_ || clock.now() >= give_up) break;
    }
    heartbeat_.doing("snapshot");
    log.poll();
    if (clock.now() >= publish_at) {
      publish_at = clock.now() + kPublishEvery;
      pipeline.snapshot(snapshot);
      board_.publish(snapshot);
    }
    MonoTime until = std::min(pipeline.next_due(), clock.now() + kLongestSleep);
    if (draining) until = std::min(until, clock.now() + milliseconds(50));
    heartbeat_.beat(clock.now(), until);
    heartbeat_.doing("transport");
    transport.turn(until, pipeline.tick());
  }
  heartbeat_.end();  // what comes now may take its time, and the service manager watches it
}

}  // namespace purgeline
