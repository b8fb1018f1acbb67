// KafkaClient: librdkafka's consumer with owners and values in place of handles and error codes.
//
// Only kafka_client.cc knows rdkafka.h. Calls say whether they block; those that do are for
// KafkaHelper.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "purgeline/record.h"
#include "purgeline/result.h"
#include "purgeline/source.h"
#include "sources/kafka_conf.h"
#include "sources/kafka_topics.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_topic_s;
struct rd_kafka_message_s;

namespace purgeline {

// A message's timestamp. The protocol counts milliseconds since 1970 and checks nothing: a producer
// that gives micro- or nanoseconds means years far beyond 2262, where our nanoseconds end. Such a
// time becomes the last one we have, so that the event counts as dated in the future, like any
// other from a wrong clock. A negative one is none.
[[nodiscard]] std::optional<WallTime> kafka_time(std::int64_t ms);

// What a queue of one partition hands over.
struct KafkaMessage {
  std::int64_t offset{0};
  std::optional<WallTime> timestamp;
  std::string_view value;  // borrowed until the visitor returns
};
class KafkaMessageVisitor {
 public:
  virtual ~KafkaMessageVisitor() = default;
  virtual void on_message(const KafkaMessage& message) = 0;
  // The log does not hold the wanted offset.
  virtual void on_out_of_range() = 0;
  virtual void on_error(const std::string& words) = 0;
};

// What concerns a client as a whole.
class KafkaEventVisitor {
 public:
  virtual ~KafkaEventVisitor() = default;
  virtual void on_log(int level, const std::string& line) = 0;
  // A broker could not be reached or spoken with; the client goes on trying.
  virtual void on_broker_failed(const std::string& words) = 0;
  virtual void on_error(const std::string& words) = 0;
  // A message came by another way than its own queue. It is lost unless the partition is read
  // again.
  virtual void on_stray(const std::string& topic, std::int32_t partition) = 0;
};

// One partition's offset as the group's commit store keeps it.
struct KafkaStored {
  PartitionName name;
  Offset offset;
  std::string metadata;
};
struct KafkaCommitAnswer {
  struct Part {
    PartitionName name;
    Status status;
  };
  std::uint64_t serial{0};
  Status status;            // of the request as a whole
  std::vector<Part> parts;  // may be empty when the request failed as a whole
};

struct KafkaQueueDeleter {
  void operator()(rd_kafka_queue_s* queue) const;
};
using KafkaQueue = std::unique_ptr<rd_kafka_queue_s, KafkaQueueDeleter>;

// Its end does not wait for what was not confirmed.
struct KafkaProducerDeleter {
  void operator()(rd_kafka_s* producer) const;
};
using KafkaProducer = std::unique_ptr<rd_kafka_s, KafkaProducerDeleter>;

// Place: under the Kafka source and offset store. Thread: librdkafka's calls may come from any
// thread; the queues belong to the shard. Bound: librdkafka's own, set in kafka_conf. All queues of
// a client are given back before the client ends.
class KafkaClient {
 public:
  using Timeout = std::chrono::milliseconds;

  // `own`: this client's part of the settings, set first so that an operator's own value wins.
  // `topics` are what metadata() asks for. An error carries librdkafka's words and the name of the
  // property.
  [[nodiscard]] static Result<std::unique_ptr<KafkaClient>> make(
      const KafkaSettings& settings, const std::vector<std::string>& topics,
      const KafkaProperties& own);
  explicit KafkaClient(rd_kafka_s* owned) : client_(owned) {}
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;
  ~KafkaClient();  // may block

  // --- The shard's: none of these waits for a broker. ---
  // The queue of errors, log lines and everything that has no queue of its own.
  [[nodiscard]] KafkaQueue events(int wake_fd);
  [[nodiscard]] KafkaQueue answers(int wake_fd);  // for commits
  // What metadata() asks for from now on.
  [[nodiscard]] Status change_topics(const std::vector<std::string>& topics);
  // The partition's own queue, taken out of the common one. Before assign().
  [[nodiscard]] KafkaQueue partition_queue(const PartitionName& name, int wake_fd);
  [[nodiscard]] Status assign(const PartitionName& name, Offset from);
  [[nodiscard]] Status unassign(const PartitionName& name);
  // Takes what is there, at most messages.size(), in one call; returns how many queue entries were
  // taken.
  std::size_t read(rd_kafka_queue_s* queue, std::span<rd_kafka_message_s*> messages,
                   KafkaMessageVisitor& visitor);
  void poll(rd_kafka_queue_s* events, KafkaEventVisitor& visitor);
  // The ends as last heard with the data; the low one is not always known.
  struct Heard {
    std::optional<Offset> low;
    std::optional<Offset> high;
  };
  [[nodiscard]] Heard heard(const PartitionName& name) const;
  // Answered through the queue, with the same serial.
  [[nodiscard]] Status commit(std::span<const KafkaStored> positions, rd_kafka_queue_s* answers,
                              std::uint64_t serial);
  [[nodiscard]] std::optional<KafkaCommitAnswer> poll_commit(rd_kafka_queue_s* answers);

  // --- The helper's: these block up to the time-out, or somewhat longer. ---
  [[nodiscard]] Result<KafkaMetadata> metadata(Timeout timeout);
  [[nodiscard]] Result<LogEnds> ends(const PartitionName& name, Timeout timeout);
  // The first offset at or after the time; the end of the partition when there is none.
  [[nodiscard]] Result<Offset> find(const PartitionName& name, WallTime time, Timeout timeout);
  [[nodiscard]] Result<std::optional<KafkaStored>> committed(const PartitionName& name,
                                                             Timeout timeout);

 private:
  [[nodiscard]] Result<Offset> offset_at(const PartitionName& name, std::int64_t when,
                                         Timeout timeout);

  struct TopicDeleter {
    void operator()(rd_kafka_topic_s* topic) const;
  };

  rd_kafka_s* client_;
  // Held so that the client asks for these topics in one metadata request.
  std::vector<std::unique_ptr<rd_kafka_topic_s, TopicDeleter>> topics_;
};

}  // namespace purgeline
