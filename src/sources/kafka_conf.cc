#include "sources/kafka_conf.h"

#include <algorithm>
#include <array>

namespace purgeline {
namespace {

// Properties on which the promises rest: an operator who changes one would lose events or block a
// loop.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kOwned{{
    {"group.id", "set log.kafka.group instead"},
    {"bootstrap.servers", "set log.kafka.brokers instead"},
    {"metadata.broker.list", "set log.kafka.brokers instead"},
    {"enable.auto.commit", "positions are committed by Purgeline"},
    {"auto.commit.enable", "positions are committed by Purgeline"},
    {"enable.auto.offset.store", "positions are committed by Purgeline"},
    {"auto.offset.reset", "set log.kafka.start_at instead"},
    {"enable.partition.eof", "the end of the log is found otherwise"},
    {"group.instance.id", "no group is joined"},
    {"partition.assignment.strategy", "no group is joined"},
    {"allow.auto.create.topics", "a reader does not create topics"},
    {"log.queue", "log lines are taken by Purgeline"},
}};

}  // namespace

std::string kafka_servers(const std::vector<std::string>& brokers) {
  std::string all;
  for (const std::string& broker : brokers) {
    if (!all.empty()) all += ',';
    all += broker;
  }
  return all;
}

void add_property(KafkaSettings& settings, const std::string& key, const std::string& value) {
  if (kafka_secret(key) && !value.empty()) settings.secrets.push_back(value);
  settings.properties.emplace_back(key, value);
}

bool kafka_secret(std::string_view property) {
  // Broad on purpose: an unknown property that merely sounds secret loses nothing but a value in a
  // line.
  static constexpr std::array<std::string_view, 9> kWords{
      "password",           "secret", "jaas",  "token",     ".pem",
      "oauthbearer.config", "keytab", "kinit", "credential"};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return property.find(word) != std::string_view::npos;
  });
}

std::string kafka_scrub(const KafkaSettings& settings, std::string line) {
  static constexpr std::string_view kHidden = "[hidden]";
  for (const std::string& secret : settings.secrets) {
    std::size_t at = 0;
    while ((at = line.find(secret, at)) != std::string::npos) {
      line.replace(at, secret.size(), kHidden);
      at += kHidden.size();
    }
  }
  return line;
}

std::size_t kafka_queue_kbytes(std::size_t partitions) {
  static constexpr std::size_t kAll = 64 * 1024;
  return std::clamp<std::size_t>(kAll / std::max<std::size_t>(partitions, 1), 2 * 1024, 16 * 1024);
}

Result<KafkaSettings> kafka_settings(const KafkaOptions& options) {
  if (options.brokers.empty()) return failure(Errc::invalid, "log.kafka.brokers is empty");
  if (options.topics.empty()) return failure(Errc::invalid, "log.kafka.topics is empty");
  if (options.group.empty()) return failure(Errc::invalid, "log.kafka.group is empty");
  KafkaSettings settings;
  auto& set = settings.properties;
  set.emplace_back("client.id", "purgeline");
  // Below this number a partition that is full is not fetched again for up to a second (librdkafka
  // < 2.2); the bytes are bounded by queued.max.messages.kbytes instead.
  set.emplace_back("queued.min.messages", "100000");
  // New leaders are found by errors at once; this only bounds how long a silent change goes unseen.
  set.emplace_back("topic.metadata.refresh.interval.ms", "15000");
  // A broker that comes back is found within seconds, at little cost.
  set.emplace_back("reconnect.backoff.max.ms", "2000");
  set.emplace_back("socket.keepalive.enable", "true");
  // Nobody joins the group; here this is how long a commit waits for a coordinator, and the end of
  // the client for such a commit.
  set.emplace_back("session.timeout.ms", "6000");
  set.emplace_back("heartbeat.interval.ms", "2000");
  for (const auto& [key, value] : options.properties) {
    for (const auto& [owned, advice] : kOwned) {
      if (key == owned) {
        return failure(Errc::invalid,
                       "log.kafka.properties." + key + " cannot be set: " + std::string(advice));
      }
    }
    add_property(settings, key, value);
  }
  set.emplace_back("bootstrap.servers", kafka_servers(options.brokers));
  set.emplace_back("group.id", options.group);
  set.emplace_back("enable.auto.commit", "false");
  set.emplace_back("enable.auto.offset.store", "false");
  set.emplace_back("auto.offset.reset", "error");
  set.emplace_back("enable.partition.eof", "false");
  set.emplace_back("allow.auto.create.topics", "false");
  set.emplace_back("log.queue", "true");
  return settings;
}

}  // namespace purgeline
