// What librdkafka is told: our own settings, the operator's properties, and what must stay secret.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "purgeline/result.h"
#include "sources/kafka_options.h"

namespace purgeline {

using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

struct KafkaSettings {
  KafkaProperties properties;        // in the order they are set
  std::vector<std::string> secrets;  // values that no line may show
};

// Fails when a property is one that Purgeline must decide itself, or a needed value is missing.
[[nodiscard]] Result<KafkaSettings> kafka_settings(const KafkaOptions& options);

// The brokers as librdkafka wants them.
[[nodiscard]] std::string kafka_servers(const std::vector<std::string>& brokers);

// An operator's property: set, and hidden when it is secret.
void add_property(KafkaSettings& settings, const std::string& key, const std::string& value);

// True for properties whose value must not appear in any log line.
[[nodiscard]] bool kafka_secret(std::string_view property);

// The line with every secret value replaced.
[[nodiscard]] std::string kafka_scrub(const KafkaSettings& settings, std::string line);

// queued.max.messages.kbytes for a client that reads so many partitions: the limit counts for each
// partition's own queue, so 64 MiB are divided among them, within 2 and 16 MiB.
[[nodiscard]] std::size_t kafka_queue_kbytes(std::size_t partitions);

}  // namespace purgeline
