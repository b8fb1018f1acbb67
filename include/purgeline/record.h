// Record: one message of a log, as a source hands it over.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "purgeline/types.h"

namespace purgeline {

struct Record {
  PartitionId partition;
  Offset offset;
  std::optional<WallTime> timestamp;  // the log's own: Kafka's message timestamp
  std::string_view value;             // borrowed until the sink returns; empty for a tombstone
};

class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void on_record(const Record& record) = 0;
};

// The name behind a PartitionId.
struct PartitionName {
  std::string topic;
  std::int32_t partition{0};
  friend bool operator==(const PartitionName&, const PartitionName&) = default;
};

}  // namespace purgeline
