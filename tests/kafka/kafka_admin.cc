#include "kafka/kafka_admin.h"

#include <librdkafka/rdkafka.h>

#include <array>
#include <memory>
#include <stdexcept>

namespace purgeline::contract {
namespace {

constexpr int kWaitMs = 30'000;  // a loaded machine; only a broken test waits that long

void set(rd_kafka_conf_t* conf, const char* key, const std::string& value) {
  std::array<char, 512> words{};
  if (rd_kafka_conf_set(conf, key, value.c_str(), words.data(), words.size()) != RD_KAFKA_CONF_OK) {
    throw std::runtime_error(words.data());
  }
}

void must(rd_kafka_resp_err_t code, const std::string& what) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    throw std::runtime_error(what + ": " + rd_kafka_err2str(code));
  }
}

void must_topics(const rd_kafka_topic_result_t** results, std::size_t count,
                 const std::string& what) {
  for (std::size_t i = 0; i < count; ++i) must(rd_kafka_topic_result_error(results[i]), what);
}

using Event = std::unique_ptr<rd_kafka_event_t, void (*)(rd_kafka_event_t*)>;

Event answer(rd_kafka_queue_t* queue, const std::string& what) {
  Event event(rd_kafka_queue_poll(queue, kWaitMs), rd_kafka_event_destroy);
  if (!event) throw std::runtime_error(what + ": no answer");
  must(rd_kafka_event_error(event.get()), what);
  return event;
}

}  // namespace

KafkaAdmin::KafkaAdmin(const std::string& brokers) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", brokers);
  set(conf, "linger.ms", "1");
  set(conf, "reconnect.backoff.max.ms", "500");
  set(conf, "log_level", "0");
  std::array<char, 512> words{};
  client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words.data(), words.size());
  if (client_ == nullptr) throw std::runtime_error(words.data());
  answers_ = rd_kafka_queue_new(client_);
}

KafkaAdmin::~KafkaAdmin() {
  rd_kafka_queue_destroy(answers_);
  rd_kafka_destroy(client_);
}

bool KafkaAdmin::reachable() const {
  const struct rd_kafka_metadata* metadata = nullptr;
  if (rd_kafka_metadata(client_, 0, nullptr, &metadata, 500) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return false;
  }
  const bool some = metadata->broker_cnt > 0;
  rd_kafka_metadata_destroy(metadata);
  return some;
}

void KafkaAdmin::create_topic(const std::string& topic, std::int32_t partitions) {
  rd_kafka_NewTopic_t* wish = rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, nullptr, 0);
  rd_kafka_CreateTopics(client_, &wish, 1, nullptr, answers_);
  rd_kafka_NewTopic_destroy(wish);
  const Event event = answer(answers_, "create " + topic);
  std::size_t count = 0;
  const auto* results = rd_kafka_event_CreateTopics_result(event.get());
  must_topics(rd_kafka_CreateTopics_result_topics(results, &count), count, "create " + topic);
}

void KafkaAdmin::add_partitions(const std::string& topic, std::int32_t total) {
  rd_kafka_NewPartitions_t* wish =
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(total), nullptr, 0);
  rd_kafka_CreatePartitions(client_, &wish, 1, nullptr, answers_);
  rd_kafka_NewPartitions_destroy(wish);
  const Event event = answer(answers_, "add partitions to " + topic);
  std::size_t count = 0;
  const auto* results = rd_kafka_event_CreatePartitions_result(event.get());
  must_topics(rd_kafka_CreatePartitions_result_topics(results, &count), count, "add " + topic);
}

void KafkaAdmin::delete_below(const std::string& topic, std::int32_t partition, Offset low) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset = low.value();
  rd_kafka_DeleteRecords_t* wish = rd_kafka_DeleteRecords_new(list);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_DeleteRecords(client_, &wish, 1, nullptr, answers_);
  rd_kafka_DeleteRecords_destroy(wish);
  const Event event = answer(answers_, "delete records of " + topic);
  const auto* result = rd_kafka_event_DeleteRecords_result(event.get());
  must(rd_kafka_DeleteRecords_result_offsets(result)->elems[0].err, "delete records of " + topic);
}

void KafkaAdmin::know(const std::string& topic, std::int32_t partition) {
  // Until this client has heard of the partition, it refuses to write there.
  const std::unique_ptr<rd_kafka_topic_t, void (*)(rd_kafka_topic_t*)> handle(
      rd_kafka_topic_new(client_, topic.c_str(), nullptr), rd_kafka_topic_destroy);
  for (std::int32_t seen = 0; seen <= partition;) {
    const struct rd_kafka_metadata* metadata = nullptr;
    must(rd_kafka_metadata(client_, 0, handle.get(), &metadata, kWaitMs), "look at " + topic);
    if (metadata->topic_cnt == 1) seen = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
  }
}

void KafkaAdmin::append(const std::string& topic, std::int32_t partition, std::int64_t first,
                        std::int32_t count, WallTime start) {
  know(topic, partition);
  for (std::int64_t number = first; number < first + count; ++number) {
    std::string value = std::to_string(number);
    const auto since = (start + std::chrono::seconds(number)).time_since_epoch();
    const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    std::array<rd_kafka_vu_t, 5> fields{};
    fields[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    fields[0].u.cstr = topic.c_str();
    fields[1].vtype = RD_KAFKA_VTYPE_PARTITION;
    fields[1].u.i32 = partition;
    fields[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    fields[2].u.i = RD_KAFKA_MSG_F_COPY;
    fields[3].vtype = RD_KAFKA_VTYPE_VALUE;
    fields[3].u.mem.ptr = value.data();
    fields[3].u.mem.size = value.size();
    fields[4].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    fields[4].u.i64 = ms;
    rd_kafka_error_t* error = rd_kafka_produceva(client_, fields.data(), fields.size());
    const rd_kafka_resp_err_t code =
        error == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
    if (error != nullptr) rd_kafka_error_destroy(error);
    must(code, "append to " + topic);
  }
  must(rd_kafka_flush(client_, kWaitMs), "append to " + topic);
}

}  // namespace purgeline::contract
