#include "sources/kafka_client.h"

#include "sources/kafka_connection.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "purgeline/check.h"
#include "sources/kafka_owned.h"
#include "sources/kafka_trouble.h"

namespace purgeline {
namespace {

struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;

Errc errc(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return Errc::timed_out;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return Errc::not_found;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return Errc::out_of_range;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
      return Errc::permission;
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
      return Errc::invalid;
    default:
      return Errc::unavailable;
  }
}

bool is_of_broker(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      return true;
    default:
      return false;
  }
}

tl::unexpected<Error> library_failure(rd_kafka_resp_err_t code) {
  return failure(errc(code), rd_kafka_err2str(code));
}

Status status_of(rd_kafka_resp_err_t code) {
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return library_failure(code);
}

Status status_of(rd_kafka_error_t* owned) {
  const KafkaError error(owned);
  if (!error) return {};
  return failure(errc(rd_kafka_error_code(error.get())), rd_kafka_error_string(error.get()));
}

List list_of(const PartitionName& name, std::int64_t offset) {
  List list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), name.topic.c_str(), name.partition)->offset =
      offset;
  return list;
}

// Rounded down: a start that is found by time must not come after the event.
std::int64_t milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

int wait_ms(KafkaClient::Timeout timeout) {
  return static_cast<int>(timeout.count());
}

std::string words_of(const rd_kafka_message_t& message) {
  const char* words = rd_kafka_message_errstr(&message);
  return words != nullptr ? words : rd_kafka_err2str(message.err);
}

}  // namespace

std::optional<WallTime> kafka_time(std::int64_t ms) {
  if (ms < 0) return std::nullopt;
  constexpr auto kLast = std::chrono::floor<std::chrono::milliseconds>(Duration::max());
  return WallTime(std::min(std::chrono::milliseconds(ms), kLast));
}

void KafkaQueueDeleter::operator()(rd_kafka_queue_s* queue) const {
  // The queue outlives our reference inside the client: it must not write to a descriptor that may
  // be another file's by then.
  rd_kafka_queue_io_event_enable(queue, -1, nullptr, 0);
  rd_kafka_queue_destroy(queue);
}

void KafkaProducerDeleter::operator()(rd_kafka_s* producer) const {
  rd_kafka_purge(
      producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
  rd_kafka_destroy(producer);
}

void KafkaClient::TopicDeleter::operator()(rd_kafka_topic_s* topic) const {
  rd_kafka_topic_destroy(topic);
}

Result<std::unique_ptr<KafkaClient>> KafkaClient::make(const KafkaSettings& settings,
                                                       const std::vector<std::string>& topics,
                                                       const KafkaProperties& own) {
  const Result<rd_kafka_t*> client = make_kafka(RD_KAFKA_CONSUMER, settings, own, 0);
  if (!client) return tl::unexpected<Error>(client.error());
  auto made = std::make_unique<KafkaClient>(*client);
  // Errors then come to the same queue as everything else, and one call serves all.
  rd_kafka_poll_set_consumer(*client);
  const Status known = made->change_topics(topics);
  if (!known) return tl::unexpected<Error>(known.error());
  return made;
}

Status KafkaClient::change_topics(const std::vector<std::string>& topics) {
  std::vector<std::unique_ptr<rd_kafka_topic_s, TopicDeleter>> handles;
  for (const std::string& topic : topics) {
    rd_kafka_topic_t* handle = rd_kafka_topic_new(client_, topic.c_str(), nullptr);
    if (handle == nullptr) {
      return failure(Errc::invalid,
                     "log.kafka.topics: " + topic + ": " + rd_kafka_err2str(rd_kafka_last_error()));
    }
    handles.emplace_back(handle);
  }
  topics_.swap(handles);
  return {};
}

KafkaClient::~KafkaClient() {
  topics_.clear();
  // There is no group to leave: without this flag the end would wait for a coordinator.
  rd_kafka_destroy_flags(client_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

KafkaQueue KafkaClient::events(int wake_fd) {
  KafkaQueue queue(rd_kafka_queue_get_consumer(client_));
  CHECK(queue != nullptr);
  wake_with(queue.get(), wake_fd);
  rd_kafka_set_log_queue(client_, queue.get());
  return queue;
}

KafkaQueue KafkaClient::answers(int wake_fd) {
  KafkaQueue queue(rd_kafka_queue_new(client_));
  wake_with(queue.get(), wake_fd);
  return queue;
}

KafkaQueue KafkaClient::partition_queue(const PartitionName& name, int wake_fd) {
  KafkaQueue queue(rd_kafka_queue_get_partition(client_, name.topic.c_str(), name.partition));
  CHECK(queue != nullptr);
  rd_kafka_queue_forward(queue.get(), nullptr);
  wake_with(queue.get(), wake_fd);
  return queue;
}

Status KafkaClient::assign(const PartitionName& name, Offset from) {
  const List list = list_of(name, from.value());
  return status_of(rd_kafka_incremental_assign(client_, list.get()));
}

Status KafkaClient::unassign(const PartitionName& name) {
  const List list = list_of(name, RD_KAFKA_OFFSET_INVALID);
  return status_of(rd_kafka_incremental_unassign(client_, list.get()));
}

std::size_t KafkaClient::read(rd_kafka_queue_s* queue, std::span<rd_kafka_message_s*> messages,
                              KafkaMessageVisitor& visitor) {
  const ssize_t got = rd_kafka_consume_batch_queue(queue, 0, messages.data(), messages.size());
  if (got <= 0) return 0;
  for (rd_kafka_message_t* message : messages.first(static_cast<std::size_t>(got))) {
    switch (message->err) {
      case RD_KAFKA_RESP_ERR_NO_ERROR: {
        KafkaMessage one;
        one.offset = message->offset;
        rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        const std::int64_t ms = rd_kafka_message_timestamp(message, &type);
        if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) one.timestamp = kafka_time(ms);
        one.value = {static_cast<const char*>(message->payload), message->len};
        visitor.on_message(one);
        break;
      }
      // auto.offset.reset=error turns every loss of the position into the first of these.
      case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        visitor.on_out_of_range();
        break;
      default:
        visitor.on_error(words_of(*message));
        break;
    }
    // At once: a message that is kept pins its whole fetch buffer.
    rd_kafka_message_destroy(message);
  }
  return static_cast<std::size_t>(got);
}

void KafkaClient::poll(rd_kafka_queue_s* events, KafkaEventVisitor& visitor) {
  while (const KafkaEvent event{rd_kafka_queue_poll(events, 0)}) {
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_LOG: {
        const char* facility = nullptr;
        const char* line = nullptr;
        int level = 0;
        if (rd_kafka_event_log(event.get(), &facility, &line, &level) == 0) {
          visitor.on_log(kafka_line_level(level, facility, line),
                         std::string(facility) + ": " + line);
        }
        break;
      }
      case RD_KAFKA_EVENT_ERROR: {
        const auto code = rd_kafka_event_error(event.get());
        const char* words = rd_kafka_event_error_string(event.get());
        if (words == nullptr) words = rd_kafka_err2str(code);
        if (is_of_broker(code))
          visitor.on_broker_failed(words);
        else
          visitor.on_error(words);
        break;
      }
      case RD_KAFKA_EVENT_FETCH: {
        while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
          if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            visitor.on_error(words_of(*message));
          } else if (message->rkt != nullptr) {
            visitor.on_stray(rd_kafka_topic_name(message->rkt), message->partition);
          }
        }
        break;
      }
      default:
        break;
    }
  }
}

KafkaClient::Heard KafkaClient::heard(const PartitionName& name) const {
  std::int64_t low = 0;
  std::int64_t high = 0;
  Heard heard;
  // Negative values stand for "not known yet".
  if (rd_kafka_get_watermark_offsets(client_, name.topic.c_str(), name.partition, &low, &high) ==
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (low >= 0) heard.low = Offset(low);
    if (high >= 0) heard.high = Offset(high);
  }
  return heard;
}

Status KafkaClient::commit(std::span<const KafkaStored> positions, rd_kafka_queue_s* answers,
                           std::uint64_t serial) {
  const List list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const KafkaStored& position : positions) {
    auto* part = rd_kafka_topic_partition_list_add(list.get(), position.name.topic.c_str(),
                                                   position.name.partition);
    part->offset = position.offset.value();
    if (position.metadata.empty()) continue;
    // The list frees it with free().
    part->metadata = std::malloc(position.metadata.size());
    CHECK(part->metadata != nullptr);
    std::memcpy(part->metadata, position.metadata.data(), position.metadata.size());
    part->metadata_size = position.metadata.size();
  }
  // With a queue given the call does not wait; the serial comes back as the event's opaque.
  return status_of(rd_kafka_commit_queue(client_, list.get(), answers, nullptr,
                                         reinterpret_cast<void*>(serial)));
}

std::optional<KafkaCommitAnswer> KafkaClient::poll_commit(rd_kafka_queue_s* answers) {
  while (const KafkaEvent event{rd_kafka_queue_poll(answers, 0)}) {
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_OFFSET_COMMIT) continue;
    KafkaCommitAnswer answer;
    answer.serial = reinterpret_cast<std::uintptr_t>(rd_kafka_event_opaque(event.get()));
    answer.status = status_of(rd_kafka_event_error(event.get()));
    const auto* list = rd_kafka_event_topic_partition_list(event.get());
    for (int i = 0; list != nullptr && i < list->cnt; ++i) {
      const auto& part = list->elems[i];
      answer.parts.push_back({PartitionName{part.topic, part.partition}, status_of(part.err)});
    }
    return answer;
  }
  return std::nullopt;
}

Result<KafkaMetadata> KafkaClient::metadata(Timeout timeout) {
  const struct rd_kafka_metadata* raw = nullptr;
  // Not all topics of the cluster, only those this client has handles for.
  const auto code = rd_kafka_metadata(client_, 0, nullptr, &raw, wait_ms(timeout));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return library_failure(code);
  const std::unique_ptr<const rd_kafka_metadata_t, void (*)(const rd_kafka_metadata_t*)> told(
      raw, rd_kafka_metadata_destroy);
  KafkaMetadata metadata;
  for (int i = 0; i < told->topic_cnt; ++i) {
    const auto& topic = told->topics[i];
    KafkaMetadata::Topic one;
    one.name = topic.topic;
    one.partitions = topic.err == RD_KAFKA_RESP_ERR_NO_ERROR ? topic.partition_cnt : 0;
    one.missing = topic.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                  topic.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR && !one.missing) {
      one.trouble = rd_kafka_err2str(topic.err);
    }
    metadata.topics.push_back(std::move(one));
  }
  // Known since the answer above; brokers before 0.10 have none.
  char* cluster = rd_kafka_clusterid(client_, 0);
  if (cluster != nullptr) metadata.cluster = cluster;
  if (cluster != nullptr) rd_kafka_mem_free(client_, cluster);
  return metadata;
}

// rd_kafka_query_watermark_offsets is not used: it has no time-out once its request is under way,
// and tries again for as long as the broker is silent. The same question put as a time keeps to its
// time-out.
Result<Offset> KafkaClient::offset_at(const PartitionName& name, std::int64_t when,
                                      Timeout timeout) {
  const List list = list_of(name, when);
  const auto code = rd_kafka_offsets_for_times(client_, list.get(), wait_ms(timeout));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return library_failure(code);
  const auto& part = list->elems[0];
  if (part.err != RD_KAFKA_RESP_ERR_NO_ERROR) return library_failure(part.err);
  return Offset(part.offset);
}

Result<LogEnds> KafkaClient::ends(const PartitionName& name, Timeout timeout) {
  const Result<Offset> low = offset_at(name, RD_KAFKA_OFFSET_BEGINNING, timeout);
  if (!low) return tl::unexpected<Error>(low.error());
  const Result<Offset> high = offset_at(name, RD_KAFKA_OFFSET_END, timeout);
  if (!high) return tl::unexpected<Error>(high.error());
  // Nothing that a caller could use, and nothing that a broker should say.
  if (*low < Offset(0) || *high < *low) return failure(Errc::unavailable, "the ends do not fit");
  return LogEnds{*low, *high};
}

Result<Offset> KafkaClient::find(const PartitionName& name, WallTime time, Timeout timeout) {
  const std::int64_t when = std::max<std::int64_t>(0, milliseconds(time));
  Result<Offset> found = offset_at(name, when, timeout);
  // Negative: no record is that young, so the place is where the next one will be.
  if (found && *found < Offset(0)) found = offset_at(name, RD_KAFKA_OFFSET_END, timeout);
  if (found && *found < Offset(0)) return failure(Errc::unavailable, "the end is not known");
  return found;
}

Result<std::optional<KafkaStored>> KafkaClient::committed(const PartitionName& name,
                                                          Timeout timeout) {
  const List list = list_of(name, RD_KAFKA_OFFSET_INVALID);
  const auto code = rd_kafka_committed(client_, list.get(), wait_ms(timeout));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return library_failure(code);
  const auto& part = list->elems[0];
  if (part.err != RD_KAFKA_RESP_ERR_NO_ERROR) return library_failure(part.err);
  if (part.offset < 0) return std::optional<KafkaStored>();
  KafkaStored stored{name, Offset(part.offset), {}};
  if (part.metadata_size > 0) {
    stored.metadata.assign(static_cast<const char*>(part.metadata), part.metadata_size);
  }
  return std::optional(std::move(stored));
}

const char* kafka_library_version() {
  return rd_kafka_version_str();
}

}  // namespace purgeline
