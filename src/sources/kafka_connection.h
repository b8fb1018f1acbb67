// KafkaConnection: a source and an offset store on one Kafka cluster, and what they share.
#pragma once

#include <memory>

#include "purgeline/clock.h"
#include "purgeline/result.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"
#include "sources/kafka_options.h"

namespace purgeline {

// The librdkafka in use, for people.
[[nodiscard]] const char* kafka_library_version();

class KafkaClient;
class KafkaHelper;
class KafkaOffsetStore;
class KafkaSource;

// Place: made by the application. Thread: the shard's. The end waits for the question that is open
// (KafkaOptions::ask_timeout, twice at worst) and for a commit that is on the wire (6 s); after
// source().stop() any thread may end it, and the clock and the log that it was made with may be
// gone by then. Order of a turn: source().poll(), which also runs the helper's ends, then
// offsets().poll().
class KafkaConnection {
 public:
  // `wake_fd`: the eventfd of the shard's transport, non-blocking; it outlives the connection.
  // Fails on a property that librdkafka refuses, with its words and the name; never because no
  // broker answers.
  [[nodiscard]] static Result<std::unique_ptr<KafkaConnection>> make(KafkaOptions options,
                                                                     int wake_fd, Clock& clock);
  KafkaConnection(std::unique_ptr<KafkaClient> control, std::unique_ptr<KafkaHelper> helper);
  KafkaConnection(const KafkaConnection&) = delete;
  KafkaConnection& operator=(const KafkaConnection&) = delete;
  ~KafkaConnection();

  [[nodiscard]] Source& source();
  [[nodiscard]] OffsetStore& offsets();

 private:
  std::unique_ptr<KafkaClient> control_;
  std::unique_ptr<KafkaHelper> helper_;
  std::unique_ptr<KafkaSource> source_;
  std::unique_ptr<KafkaOffsetStore> offsets_;
};

}  // namespace purgeline
