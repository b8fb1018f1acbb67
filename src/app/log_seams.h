// LogSeams: the log that the configuration names, behind the seams of the pipeline.
//
// Place:  made by the shard. Thread: the shard's.
// Bound:  what the log's own source bounds.
#pragma once

#include <future>
#include <memory>
#include <string>

#include "io/sockets.h"
#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"
#include "purgeline/result.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"

namespace purgeline {

class Journal;
class JournalConnection;
class KafkaConnection;
class KafkaPeers;
class PeerLink;

class LogSeams {
 public:
  // `journal` is needed when the configuration names no Kafka.
  [[nodiscard]] static Result<std::unique_ptr<LogSeams>> make(const Config& config,
                                                              Journal* journal, int wake_fd,
                                                              Clock& clock, EventLog& log);
  ~LogSeams();
  LogSeams(const LogSeams&) = delete;
  LogSeams& operator=(const LogSeams&) = delete;

  // Ends reading, and then the connection on a thread of its own: a Kafka client may take its time
  // for that (an open question, a broker that does not answer). Waits for it no longer than half a
  // second; ready when it has ended.
  [[nodiscard]] static std::shared_future<void> close(std::unique_ptr<LogSeams> seams);

  [[nodiscard]] Source& source();
  [[nodiscard]] OffsetStore& offsets();
  // The other hosts of purge.peers; null: none.
  [[nodiscard]] PeerLink* peers();
  [[nodiscard]] const StartAt& start_at() const { return start_at_; }

 private:
  LogSeams();
  [[nodiscard]] Status open_peers(const Config& config, EventLog& log);
  StartAt start_at_;
  Fd wake_;                                     // Kafka's threads write to it, and live longer
  std::unique_ptr<Clock> peers_clock_;          // of a thread of its own
  std::unique_ptr<KafkaPeers> peers_;           // with Kafka only
  std::unique_ptr<KafkaConnection> kafka_;      // this,
  std::unique_ptr<JournalConnection> journal_;  // or this
};

// Tells what the journal says of itself: metrics, readiness, and a log line for each change.
//
// Thread: the shard's.
class JournalWatch {
 public:
  JournalWatch(const Journal* journal, EventLog& log) : journal_(journal), log_(log) {}
  // After the pipeline has filled in its own.
  void add_to(MetricsSnapshot& snapshot);

 private:
  void tell(const char* event, std::string& before, const std::string& now);

  const Journal* journal_;
  EventLog& log_;
  std::string trouble_;
  std::string pinned_;
};

}  // namespace purgeline
