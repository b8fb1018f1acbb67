// What librdkafka makes of the outbox's settings.
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "sources/kafka_outbox.h"
#include "sources/kafka_owned.h"

namespace purgeline {
namespace {

// Whatever the operator asked for.
TEST(KafkaOutbox, ConfirmsOnlyWhatAllReplicasHaveAndKeepsTheOrder) {
  KafkaOutboxOptions options;
  options.brokers = {"127.0.0.1:1"};
  options.properties = {{"acks", "1"},
                        {"enable.idempotence", "false"},
                        {"message.timeout.ms", "9"},
                        {"partitioner", "random"},
                        {"bootstrap.servers", "elsewhere"},
                        {"linger.ms", "7"}};
  const Result<rd_kafka_t*> made =
      make_kafka(RD_KAFKA_PRODUCER, kafka_outbox_settings(options), {}, 0);
  ASSERT_TRUE(made) << made.error().detail;
  const std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)> producer(*made, rd_kafka_destroy);
  const std::vector<std::pair<const char*, const char*>> cases{
      {"acks", "-1"},  // all
      {"enable.idempotence", "true"},
      {"message.timeout.ms", "0"},
      {"partitioner", "consistent"},
      {"bootstrap.servers", "127.0.0.1:1"},
      {"max.in.flight.requests.per.connection", "5"},  // more would break the order
      {"linger.ms", "7"},                              // the operator's own
  };
  for (const auto& [name, value] : cases) {
    std::array<char, 64> found{};
    std::size_t size = found.size();
    ASSERT_EQ(rd_kafka_conf_get(rd_kafka_conf(producer.get()), name, found.data(), &size),
              RD_KAFKA_CONF_OK)
        << name;
    EXPECT_STREQ(found.data(), value) << name;
  }
}

}  // namespace
}  // namespace purgeline
