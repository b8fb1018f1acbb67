// KafkaOutbox: forwards what the intakes were given to Kafka, in order, until Kafka has confirmed
// it.
//
// Place:  beside the Kafka source; it reads the outbox and trims it. Who publishes waits for the
//         outbox's disk and never for a broker.
// Thread: its own from start() to stop(), which belong to whoever made it; metrics() and trouble()
//         to any.
// Bound:  kMostUnconfirmed events of a topic, and 64 MiB of all, handed to librdkafka at once.
//
// In order for each topic: an idempotent producer, and events without a key go to one partition.
// After a refusal everything from the refused event on is sent again, so that the last of each URL
// is last in Kafka too. At least once: what was confirmed and not trimmed yet is sent again after a
// restart.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"
#include "purgeline/outbox.h"
#include "purgeline/result.h"
#include "sources/kafka_client.h"

struct rd_kafka_s;

namespace purgeline {

struct KafkaOutboxOptions {
  std::vector<std::string> brokers;
  std::map<std::string, std::string> properties;  // the operator's, of log.kafka
  Duration retry{std::chrono::seconds(2)};        // after a refusal
};

// The producer's. What the promises rest on cannot be set by the operator.
[[nodiscard]] KafkaSettings kafka_outbox_settings(const KafkaOutboxOptions& options);

class KafkaOutbox : private OutboxVisitor {
 public:
  static constexpr std::size_t kMostUnconfirmed = 8192;

  // `outbox` and `clock` are the thread's own from start() on; `log` takes lines of any thread.
  KafkaOutbox(KafkaOutboxOptions options, OutboxLog& outbox, Clock& clock, EventLog& log);
  ~KafkaOutbox() override;
  KafkaOutbox(const KafkaOutbox&) = delete;
  KafkaOutbox& operator=(const KafkaOutbox&) = delete;

  // Errc::invalid: a property that librdkafka refuses.
  [[nodiscard]] Status start();
  // Waits up to a second for what is on its way. The rest stays in the outbox.
  void stop();

  [[nodiscard]] OutboxMetrics metrics() const;
  // Why events wait; empty: they do not, or not for long.
  [[nodiscard]] std::string trouble() const;

 private:
  struct Pending {
    WallTime time{};
    bool confirmed{false};
  };
  struct Line {  // one topic
    std::string topic;
    Offset confirmed;  // everything below is
    Offset trimmed;    // as far as the outbox has been told
    Offset next;       // to hand over
    Offset high;
    std::deque<Pending> pending;  // [confirmed, next)
    std::size_t in_flight{0};
    bool again{false};  // from `confirmed` on, once nothing is in flight
    MonoTime not_before{};
    WallTime oldest{};
  };

  [[nodiscard]] Status open();
  void close();
  void run();
  void look();
  void forward(std::size_t number);
  void take_events();
  void trim();
  void on_report(std::size_t number, Offset offset, const std::string& error);
  void send_again(Line& line, const std::string& why);
  void publish();
  void wait(Duration limit);
  [[nodiscard]] bool idle() const;
  [[nodiscard]] bool on_event(const OutboxEvent& event) override;

  const KafkaOutboxOptions options_;
  const KafkaSettings settings_;
  OutboxLog& outbox_;
  Clock& clock_;
  EventLog& log_;
  int wake_fd_{-1};
  std::atomic<bool> stop_{false};

  mutable std::mutex mutex_;
  OutboxMetrics metrics_;
  std::string told_;

  // The thread's.
  KafkaProducer client_;
  KafkaQueue events_;
  std::vector<OutboxTopic> topics_;
  std::deque<Line> lines_;  // in order of discovery
  std::size_t reading_{0};
  OutboxMetrics counts_;
  std::string trouble_;
  bool fatal_{false};
  bool full_{false};  // librdkafka's own queue
  std::thread thread_;
};

}  // namespace purgeline
