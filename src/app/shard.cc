#include "app/shard.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "app/log_seams.h"
#include "app/pipeline.h"
#include "io/make_transport.h"
#include "io/system_clock.h"
#include "io/thread_resolver.h"
#include "purgeline/check.h"

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
  auto seams = LogSeams::make(config_, journal_, transport.wake_fd(), clock, log);
  if (!seams) {
    started_.set_value(tl::unexpected(seams.error()));
    return;
  }
  auto hosts = HostMatcher::make(config_.purge.hosts.allow, config_.purge.hosts.deny);
  if (!hosts) {
    started_.set_value(tl::unexpected(hosts.error()));
    return;
  }
  ThreadResolver resolver(transport.wake_fd(), clock);
  store_.start(transport.wake_fd());
  LogConfig log_config = config_.log;
  log_config.kafka.start_at = (*seams)->start_at();
  Pipeline pipeline(config_.purge, log_config, std::move(*hosts),
                    {clock, random, transport, resolver, (*seams)->source(), (*seams)->offsets(),
                     store_.positions(), store_.dead_letters(), log, watches_});
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
  JournalWatch watch(journal_, log);
  loop(pipeline, transport, clock, log, watch, snapshot);
  pipeline.snapshot(snapshot);
  watch.add_to(snapshot);
  board_.publish(snapshot);
  const Status stored = store_.stop();
  if (!stored) log.error("state not written", {{"why", stored.error().detail}});
  log_closed_ = LogSeams::close(std::move(*seams));
  log.info("stopped", {{"committed", clean_ ? "everything that was finished" : "not everything"}});
  if (on_end_) on_end_();
}

void Shard::loop(Pipeline& pipeline, Transport& transport, Clock& clock, FoldingLog& log,
                 JournalWatch& watch, MetricsSnapshot& snapshot) {
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
      watch.add_to(snapshot);
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
