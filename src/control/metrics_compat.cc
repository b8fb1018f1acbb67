// The seven metrics of purged 0.17, with its labels and units, so that dashboards and alerts
// written for it go on working.
#include <algorithm>
#include <array>
#include <map>

#include "control/metrics_families.h"

namespace purgeline {

namespace {

constexpr std::array<MetricRow, 7> kCompat{{
    {"purged_http_requests_total", "Purges answered by caches, by HTTP status.",
     MetricKind::counter, "layer", "status"},
    {"purged_tcp_errors_total", "Connections to caches that failed.", MetricKind::counter, "",
     "type"},
    {"purged_backlog", "Purges that wait for a layer.", MetricKind::gauge, "layer", ""},
    {"purged_events_received_total", "Events read from the log.", MetricKind::counter, "topic",
     "tag,status"},
    {"purged_event_lag",
     "Age of the oldest event of the topic that is not finished, in nanoseconds; 0 when there is "
     "none.",
     MetricKind::gauge, "topic", ""},
    {"purged_htcp_packets_total", "HTCP packets received.", MetricKind::counter, "", "state"},
    {"purged_udp_bytes_read_total", "Bytes received by UDP.", MetricKind::counter, "", ""},
}};

// purged knows EOF, read and write; a connection that did not open ended the process there, so
// `connect` is new. An `EOF` is what it counted most, hence the only exact match.
const char* tcp_error_type(LinkError error) {
  switch (error) {
    case LinkError::closed:
      return "EOF";
    case LinkError::refused:
    case LinkError::resolve:
      return "connect";
    case LinkError::timed_out:
    case LinkError::reset:
    case LinkError::malformed:
      return "read";
    case LinkError::other:
      return "write";
  }
  return "write";
}

struct Layer {
  std::array<std::uint64_t, kStatuses> statuses{};
  double backlog{0};
};

void add_layers(Families& families, const MetricsSnapshot& snapshot) {
  std::map<std::string, Layer> layers;
  std::map<std::string, std::uint64_t> errors{
      {"EOF", 0}, {"connect", 0}, {"read", 0}, {"write", 0}};
  for (const MetricsSnapshot::Target& target : snapshot.targets) {
    Layer& layer = layers[target.layer];
    for (std::size_t i = 0; i < kStatuses; ++i) layer.statuses[i] += target.metrics.statuses[i];
    layer.backlog += target.metrics.waiting;
    for (std::size_t i = 0; i < kLinkErrors; ++i) {
      errors[tcp_error_type(static_cast<LinkError>(i))] += target.metrics.link_errors[i];
    }
  }
  for (const auto& [name, layer] : layers) {
    for (std::size_t i = 0; i < kStatuses; ++i) {
      families.counter("purged_http_requests_total", {{"status", status_name(i)}, {"layer", name}},
                       static_cast<double>(layer.statuses[i]));
    }
    families.gauge("purged_backlog", {{"layer", name}}, layer.backlog);
  }
  for (const auto& [type, count] : errors) {
    families.counter("purged_tcp_errors_total", {{"type", type}}, static_cast<double>(count));
  }
}

void add_topics(Families& families, const MetricsSnapshot& snapshot) {
  std::map<std::string, double> lag;
  for (const MetricsSnapshot::Topic& topic : snapshot.topics) lag[topic.topic] = 0;
  for (const MetricsSnapshot::Partition& partition : snapshot.partitions) {
    double& seconds = lag[partition.name.topic];
    seconds = std::max(seconds, partition.metrics.lag_seconds);
  }
  for (const auto& [topic, seconds] : lag) {
    families.gauge("purged_event_lag", {{"topic", topic}}, seconds * 1e9);
  }
  for (const MetricsSnapshot::Topic& topic : snapshot.topics) {
    for (std::size_t i = 0; i < kTags; ++i) {
      const auto add = [&](const char* status, std::uint64_t count) {
        families.counter(
            "purged_events_received_total",
            {{"tag", tag_name(static_cast<Tag>(i))}, {"status", status}, {"topic", topic.topic}},
            static_cast<double>(count));
      };
      add("ok", topic.metrics.tags_ok[i]);
      add("discarded", topic.metrics.tags_discarded[i]);
      add("expired", topic.metrics.tags_expired[i]);
    }
  }
}

// purged counts a packet as good before it looks at the URL; here a good one is one that was taken.
void add_htcp(Families& families, const IntakeHtcpMetrics& htcp) {
  std::uint64_t packets = 0;
  for (const std::uint64_t count : htcp.packets) packets += count;
  const std::uint64_t good = htcp.packets[static_cast<std::size_t>(HtcpOutcome::accepted)];
  families.counter("purged_htcp_packets_total", {{"state", "good"}}, static_cast<double>(good));
  families.counter("purged_htcp_packets_total", {{"state", "bad"}},
                   static_cast<double>(packets - good));
  families.counter("purged_udp_bytes_read_total", {}, static_cast<double>(htcp.bytes));
}

}  // namespace

std::span<const MetricRow> compat_metrics() {
  return kCompat;
}

void add_compat_metrics(Families& families, const MetricsSnapshot& snapshot) {
  add_layers(families, snapshot);
  add_topics(families, snapshot);
  add_htcp(families, snapshot.intake_htcp);
}

}  // namespace purgeline
