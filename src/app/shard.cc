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
#include "purgeline/eventfd.h"

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
// As many as any configuration may ask for, since a reload may; memory is made for what is open.
// Closing ones live beside those that replace them; the audit
// has one for each target.
constexpr std::size_t kMostLinks = 2 * kMaxTargets * (64 + 1);

std::size_t targets(const Config& config) {
  std::size_t sum = 0;
  for (const LayerConfig& layer : config.purge.layers) sum += layer.targets.size();
  return sum;
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

void Shard::reload(Config config, HostMatcher hosts) {
  const std::lock_guard lock(wake_mutex_);
  posted_.emplace(Reload{std::move(config), std::move(hosts)});
  reload_posted_ = true;
  if (wake_.valid()) write_eventfd(wake_.get());
}

// Between two turns, so that no stage sees half of it.
void Shard::take_reload(Pipeline& pipeline, FoldingLog& log) {
  if (reload_posted_.exchange(false)) {
    const std::lock_guard lock(wake_mutex_);
    waiting_ = std::exchange(posted_, std::nullopt);
  }
  if (!waiting_) return;
  LogConfig log_config = waiting_->config.log;
  log_config.kafka.start_at =
      config_.log.kafka.brokers.empty() ? start_at_ : log_config.kafka.start_at;
  const auto done = pipeline.reload(waiting_->config.purge, log_config, waiting_->hosts);
  if (done == Pipeline::Reloaded::later) {
    if (!std::exchange(waiting_->told, true)) {
      log.write(LogLevel::info, "configuration waits",
                {{"why", "purges of the ones before it are in flight"},
                 {"effect", "applied when they have ended"}});
    }
    return;
  }
  const bool applied = done == Pipeline::Reloaded::applied;
  if (applied) {
    config_ = std::move(waiting_->config);
    log.write(LogLevel::info, "configuration applied",
              {{"targets", std::to_string(targets(config_))}});
  } else {
    log.write(LogLevel::error, "configuration refused",
              {{"why", "those added and those to be removed are more than 32 targets together"},
               {"effect", "the one that runs goes on; remove first and add then, or restart"}});
  }
  waiting_.reset();
  if (on_reloaded_) on_reloaded_(applied);
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
  auto made = make_transport(config_.io, kMostLinks, clock);
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
  start_at_ = (*seams)->start_at();
  log_config.kafka.start_at = start_at_;
  Pipeline pipeline(config_.purge, log_config, std::move(*hosts),
                    {clock, random, transport, resolver, (*seams)->source(), (*seams)->offsets(),
                     store_.positions(), store_.dead_letters(), log, watches_, (*seams)->peers()});
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
    if (reload_posted_ || waiting_) take_reload(pipeline, log);
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
    const bool publish = clock.now() >= publish_at;
    if (publish) {
      publish_at = clock.now() + kPublishEvery;
      pipeline.snapshot(snapshot);
      watch.add_to(snapshot);
      board_.publish(snapshot);
    }
    MonoTime until = std::min(pipeline.next_due(), clock.now() + kLongestSleep);
    if (!publish) until = std::min(until, publish_at);  // what this turn did is told before a sleep
    if (draining) until = std::min(until, clock.now() + milliseconds(50));
    heartbeat_.beat(clock.now(), until);
    heartbeat_.doing("transport");
    transport.turn(until, pipeline.tick());
  }
  heartbeat_.end();  // what comes now may take its time, and the service manager watches it
}

}  // namespace purgeline
