// librdkafka's objects with their owners, and what every client of it begins with.
//
// For the units that call librdkafka; other headers name its types without their definition.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>

#include "purgeline/result.h"
#include "sources/kafka_conf.h"

namespace purgeline {

struct KafkaErrorDeleter {
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
};
using KafkaError = std::unique_ptr<rd_kafka_error_t, KafkaErrorDeleter>;

struct KafkaEventDeleter {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
using KafkaEvent = std::unique_ptr<rd_kafka_event_t, KafkaEventDeleter>;

// A client with `own` and then the settings' properties. `events`: a mask of RD_KAFKA_EVENT_*, 0
// for the library's own choice. The caller ends it. Errc::invalid: a property that is refused,
// with its name and the library's words.
[[nodiscard]] Result<rd_kafka_t*> make_kafka(rd_kafka_type_t type, const KafkaSettings& settings,
                                             const KafkaProperties& own, int events);

// The queue writes to the eventfd whenever it was empty and is not.
void wake_with(rd_kafka_queue_t* queue, int wake_fd);

}  // namespace purgeline
