// KafkaPeers: what hosts tell each other, through a Kafka topic.
//
// Place:  behind the PeerLink seam, beside the Kafka source.
// Thread: publish(), poll() and trouble() the shard's; a thread of its own speaks with librdkafka,
//         where asking for the topic's partitions may block.
// Bound:  one message of this host waits and one is on its way, the latest of each of kMostHosts
//         hosts is kept, kMaxPeerMessage bytes each.
//
// The topic is read from its end on: what was said before is as old as who said it, and every host
// says again within a second how far it is. Reading it from the beginning would need it compacted
// for speed; so it is compacted only for whoever looks into it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/peers.h"
#include "purgeline/result.h"
#include "sources/kafka_client.h"
#include "sources/kafka_options.h"
#include "sources/kafka_trouble.h"

struct rd_kafka_s;

namespace purgeline {

struct KafkaPeersOptions {
  KafkaOptions kafka;  // brokers, group and properties; its topics are not read here
  std::string topic;
  std::string name;                             // this host's
  Duration ask_again{std::chrono::seconds(2)};  // for the topic's partitions while it has none,
  Duration ask_new{std::chrono::seconds(60)};   // and for further ones
};

class KafkaPeers final : public PeerLink {
 public:
  static constexpr std::size_t kMostHosts = 256;

  // Errc::invalid: a property that librdkafka refuses. `wake_fd`: the eventfd of the shard; it and
  // the clock, which is the thread's own, outlive this.
  [[nodiscard]] static Result<std::unique_ptr<KafkaPeers>> make(KafkaPeersOptions options,
                                                                int wake_fd, Clock& clock);
  KafkaPeers(const KafkaPeers&) = delete;
  KafkaPeers& operator=(const KafkaPeers&) = delete;
  // May wait for a question that is open, and for a client's end.
  ~KafkaPeers() override;
  // Nothing more is said or heard; the end is then the destructor's, on any thread.
  void stop();

  [[nodiscard]] const std::string& name() const override { return options_.name; }
  void publish(std::span<const PeerMark> marks) override;
  void poll(PeerListener& listener) override;
  [[nodiscard]] std::string trouble() const override;

 private:
  struct Reading {
    PartitionName name;
    KafkaQueue queue;
  };
  class Messages;
  class Events;

  KafkaPeers(KafkaPeersOptions options, int wake_fd, Clock& clock);
  [[nodiscard]] Status open();
  void run();
  void ask_partitions();
  void ask_soon();
  void take_events();
  void read();
  void take_reports();
  void say();
  void hear(std::string_view bytes);
  void set_trouble(std::string& which, std::string words);
  void wait();

  const KafkaPeersOptions options_;
  const int wake_fd_;  // the shard's
  Clock& clock_;
  int own_fd_{-1};  // ends this thread's sleep
  std::atomic<bool> stop_{false};

  mutable std::mutex mutex_;                 // guards the three below
  std::optional<std::string> to_say_;        // the latest that was not sent yet
  std::map<std::string, PeerReport> heard_;  // since the last poll()
  std::string trouble_;

  // The thread's.
  KafkaSettings settings_;  // for their secrets
  std::unique_ptr<KafkaClient> reader_;
  KafkaQueue reader_events_;
  std::vector<Reading> readings_;
  KafkaProducer producer_;
  KafkaQueue producer_events_;
  bool saying_{false};  // a message is on its way
  MonoTime ask_at_{};
  KafkaTrouble failed_;  // brokers, since the topic was last asked about with success
  std::string topic_trouble_, say_trouble_, hear_trouble_;
  std::thread thread_;
};

}  // namespace purgeline
