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
#include <mutex>
#include <string>
#include <thread>

#include "control/log.h"
#include "control/shared_state.h"
#include "io/sockets.h"
#include "purgeline/config.h"
#include "purgeline/result.h"
#include "store/store_thread.h"

namespace purgeline {

class Journal;
class JournalWatch;
class Pipeline;
class ShardWatches;
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
  // Waits for the end, which is within purge.drain_grace and about two seconds. False: not
  // everything could be committed; it will be purged again.
  bool wait();
  // After wait(): ready when the Kafka client has ended as well. It may take its time for that, on
  // a thread of its own (an open question, a broker that does not answer), and nothing of ours
  // depends on it: what was to be committed is, or has been given up.
  [[nodiscard]] const std::shared_future<void>& log_closed() const { return log_closed_; }
  // The journal, when there is one: it is the log when the configuration names no other. Started,
  // and outlives the shard. Before start().
  void set_journal(Journal* journal) { journal_ = journal; }
  // Who waits for single events, if anybody can. Before start().
  void set_watches(ShardWatches* watches) { watches_ = watches; }
  void set_on_end(std::function<void()> on_end) { on_end_ = std::move(on_end); }

 private:
  void run();
  // Turns until it is told to stop and has drained, or the grace for that is over.
  void loop(Pipeline& pipeline, Transport& transport, Clock& clock, FoldingLog& log,
            JournalWatch& watch, MetricsSnapshot& snapshot);

  Config config_;
  StoreThread& store_;
  Journal* journal_{nullptr};
  ShardWatches* watches_{nullptr};
  LogOutput& log_;
  SnapshotBoard& board_;
  Heartbeat& heartbeat_;
  std::function<void()> on_end_;
  std::promise<Status> started_;
  std::atomic<bool> stop_{false};
  std::mutex wake_mutex_;
  Fd wake_;  // to the transport's eventfd, our own: stop() may come before there is a transport or
             // after it has gone
  std::shared_future<void> log_closed_;
  bool clean_{false};
  std::thread thread_;
};

}  // namespace purgeline
