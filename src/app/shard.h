// Shard: one thread that owns everything from source to ack.
//
// Place:  made by run.cc. It builds the real seams on its own thread (the ring belongs to the
// thread that
//         made it) and turns the Pipeline until it is told to stop.
// Thread: start(), stop() and wait() belong to the control side; all else runs inside.
// Bound:  what the pipeline bounds.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "control/log.h"
#include "control/shared_state.h"
#include "purgeline/config.h"
#include "purgeline/result.h"
#include "store/store_thread.h"

namespace purgeline {

class Journal;
class JournalWatch;
class Pipeline;
class Transport;

class Shard {
 public:
  // `store` is open and not started. References outlive the shard.
  Shard(const Config& config, StoreThread& store, LogOutput& log, SnapshotBoard& board,
        Heartbeat& heartbeat);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Returns when the loop turns, or with what kept it from starting.
  Status start();
  // Stop reading, finish what is in flight within purge.drain_grace, commit. Any thread, also a
  // second time; the shard's end is told by `on_end`.
  void stop();
  // Waits for the end. False: not everything could be committed; it will be purged again.
  bool wait();
  // The journal, when there is one: it is the log when the configuration names no other. Started,
  // and outlives the shard. Before start().
  void set_journal(Journal* journal) { journal_ = journal; }
  void set_on_end(std::function<void()> on_end) { on_end_ = std::move(on_end); }

 private:
  void run();
  // Turns until it is told to stop and has drained, or the grace for that is over.
  void loop(Pipeline& pipeline, Transport& transport, Clock& clock, FoldingLog& log,
            JournalWatch& watch, MetricsSnapshot& snapshot);

  Config config_;
  StoreThread& store_;
  Journal* journal_{nullptr};
  LogOutput& log_;
  SnapshotBoard& board_;
  Heartbeat& heartbeat_;
  std::function<void()> on_end_;
  std::promise<Status> started_;
  std::atomic<bool> stop_{false};
  std::atomic<int> wake_fd_{-1};
  bool clean_{false};
  std::thread thread_;
};

}  // namespace purgeline
