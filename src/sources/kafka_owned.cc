#include "sources/kafka_owned.h"

#include <array>
#include <cstdint>

namespace purgeline {
namespace {

constexpr std::size_t kErrorText = 512;  // librdkafka's own buffers for error words have this size

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};

}  // namespace

Result<rd_kafka_t*> make_kafka(rd_kafka_type_t type, const KafkaSettings& settings,
                               const KafkaProperties& own, int events) {
  std::unique_ptr<rd_kafka_conf_t, ConfDeleter> conf(rd_kafka_conf_new());
  std::array<char, kErrorText> text{};
  for (const KafkaProperties* properties : {&own, &settings.properties}) {
    for (const auto& [key, value] : *properties) {
      if (rd_kafka_conf_set(conf.get(), key.c_str(), value.c_str(), text.data(), text.size()) !=
          RD_KAFKA_CONF_OK) {
        const std::string words = kafka_scrub(settings, text.data());
        return failure(Errc::invalid, "log.kafka.properties." + key + ": " + words);
      }
    }
  }
  if (events != 0) rd_kafka_conf_set_events(conf.get(), events);
  rd_kafka_t* client = rd_kafka_new(type, conf.get(), text.data(), text.size());
  if (client == nullptr) {
    return failure(Errc::invalid, "log.kafka: " + kafka_scrub(settings, text.data()));
  }
  static_cast<void>(conf.release());  // the client's now
  return client;
}

void wake_with(rd_kafka_queue_t* queue, int wake_fd) {
  static constexpr std::uint64_t kOne = 1;  // what an eventfd wants to read
  rd_kafka_queue_io_event_enable(queue, wake_fd, &kOne, sizeof kOne);
}

}  // namespace purgeline
