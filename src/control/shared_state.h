// SnapshotBoard and Heartbeat: all that the shard and the control thread share, besides mailboxes.
//
// Place:  the shard writes, the control thread reads, for /metrics, /healthz, /readyz and the
//         watchdog.
// Bound:  one snapshot; three words.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "purgeline/metrics.h"
#include "purgeline/types.h"

namespace purgeline {

// Thread: any. The lock is held for the copy of a few KiB, a few times a second: the shard may well
// meet it taken, but never for longer than that.
class SnapshotBoard {
 public:
  void publish(const MetricsSnapshot& snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = snapshot;  // assignment: keeps the capacity of vectors and strings
  }
  // Empty, with `taken` at zero, before the first publish.
  [[nodiscard]] MetricsSnapshot copy() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
  }

 private:
  mutable std::mutex mutex_;
  MetricsSnapshot snapshot_;
};

// Thread: one beats, any asks.
//
// What is stored is not the last beat but the time by which the next one is due: a shard that
// sleeps on purpose is not blocked, and one word says both.
class Heartbeat {
 public:
  // This turn began at `now`, and the loop may sleep until `idle_until`.
  void beat(MonoTime now, MonoTime idle_until) {
    due_.store(std::max(now, idle_until).time_since_epoch().count(), std::memory_order_relaxed);
  }
  // The shard's own thread, before its first turn.
  void begin() { thread_.store(::gettid(), std::memory_order_relaxed); }
  // The loop has ended on purpose: no beat is due any more.
  void end() {
    thread_.store(0, std::memory_order_relaxed);
    due_.store(kEnded, std::memory_order_relaxed);
  }
  // What it does from now on, a literal: for the line that says where it stands still.
  void doing(const char* stage) { stage_.store(stage, std::memory_order_relaxed); }

  [[nodiscard]] const char* stage() const { return stage_.load(std::memory_order_relaxed); }
  [[nodiscard]] pid_t thread() const { return thread_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool started() const { return due_.load(std::memory_order_relaxed) != kNever; }
  // How long the next beat has been due; zero when it is not, or when there was none yet.
  [[nodiscard]] Duration overdue(MonoTime now) const {
    const std::int64_t due = due_.load(std::memory_order_relaxed);
    if (due == kNever) return Duration::zero();
    return std::max(Duration::zero(), now - MonoTime(Duration(due)));
  }

 private:
  static constexpr std::int64_t kNever = INT64_MIN;
  static constexpr std::int64_t kEnded = INT64_MAX;
  std::atomic<std::int64_t> due_{kNever};
  std::atomic<const char*> stage_{"starting"};
  std::atomic<pid_t> thread_{0};
};

}  // namespace purgeline
