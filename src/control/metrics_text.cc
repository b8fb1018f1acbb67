#include "control/metrics_text.h"

#include <array>
#include <string_view>

#include "control/metrics_families.h"
#include "purgeline/check.h"

namespace purgeline {

namespace {

// Rows without a name are in the table for the compat set's sake only.
constexpr bool is_native(const MetricRow& row) {
  return row.name[0] != '\0';
}

// The table once more, now as rows of text. A group's labels stand in its head, so each head opens
// a scope that its rows read them from.
std::vector<MetricRow> make_native_rows() {
  std::vector<MetricRow> rows;
  const auto add = [&rows](const MetricRow& row) {
    if (is_native(row)) rows.push_back(row);
  };
#define GROUP(Struct, labels) \
  {                           \
    const char* const group = labels;
#define COUNTER(field, name, help) add({name, help, MetricKind::counter, group, ""});
#define GAUGE(field, name, help) add({name, help, MetricKind::gauge, group, ""});
#define COUNTER_BY(field, n, namer, label, name, help) \
  add({name, help, MetricKind::counter, group, label});
#define HISTOGRAM(field, name, help) add({name, help, MetricKind::histogram, group, ""});
#define END(Struct) }
#include "purgeline/metrics.def"
#undef GROUP
#undef COUNTER
#undef GAUGE
#undef COUNTER_BY
#undef HISTOGRAM
#undef END
  return rows;
}

constexpr std::array<MetricRow, 6> kOwn{{
    {"purgeline_build_info", "1, with the build as labels.", MetricKind::gauge, "",
     "version,revision,compiler"},
    {"purgeline_io_backend_info", "1, with the transport that runs and why it is not io_uring.",
     MetricKind::gauge, "", "backend,reason"},
    {"process_cpu_seconds_total", "User and system CPU time.", MetricKind::counter, "", ""},
    {"process_resident_memory_bytes", "Resident memory.", MetricKind::gauge, "", ""},
    {"process_open_fds", "Open file descriptors.", MetricKind::gauge, "", ""},
    {"process_start_time_seconds", "Start of the process since 1970.", MetricKind::gauge, "", ""},
}};

// The namers of the fixed sets take their enum, that of the statuses an index.
template <class Value>
const char* value_name(const char* (*namer)(Value), std::size_t index) {
  return namer(static_cast<Value>(index));
}

// visit(families, ShardMetrics, labels), visit(families, TopicMetrics, labels), ...: generated.
void add_counter(Families& families, std::string_view name, const MetricLabels& labels,
                 std::uint64_t value) {
  if (!name.empty()) families.counter(name, labels, static_cast<double>(value));
}
void add_gauge(Families& families, std::string_view name, const MetricLabels& labels,
               double value) {
  if (!name.empty()) families.gauge(name, labels, value);
}
template <std::size_t n, class Value>
void add_counters(Families& families, std::string_view name, const MetricLabels& labels,
                  const char* label, const char* (*namer)(Value),
                  const std::array<std::uint64_t, n>& values) {
  if (name.empty()) return;
  for (std::size_t i = 0; i < n; ++i) {
    families.counter(name, with_label(labels, label, value_name(namer, i)),
                     static_cast<double>(values[i]));
  }
}

#define GROUP(Struct, labels_) \
  void visit(Families& families, const Struct& values, const MetricLabels& labels) {
#define COUNTER(field, name, help) add_counter(families, name, labels, values.field);
#define GAUGE(field, name, help) add_gauge(families, name, labels, values.field);
#define COUNTER_BY(field, n, namer, label, name, help) \
  add_counters(families, name, labels, label, namer, values.field);
#define HISTOGRAM(field, name, help) families.histogram(name, labels, values.field);
#define END(Struct) }
#include "purgeline/metrics.def"
#undef GROUP
#undef COUNTER
#undef GAUGE
#undef COUNTER_BY
#undef HISTOGRAM
#undef END

void add_own_metrics(Families& families, const MetricsSnapshot& snapshot, const ProcessStats& stats,
                     const BuildInfo& build) {
  families.gauge(
      "purgeline_build_info",
      {{"version", build.version}, {"revision", build.revision}, {"compiler", build.compiler}}, 1);
  // Before the shard has chosen one there is no series, rather than one without a name.
  if (!snapshot.io_backend.empty()) {
    families.gauge("purgeline_io_backend_info",
                   {{"backend", snapshot.io_backend}, {"reason", snapshot.io_reason}}, 1);
  }
  families.counter("process_cpu_seconds_total", {}, stats.cpu_seconds);
  families.gauge("process_resident_memory_bytes", {}, stats.resident_bytes);
  families.gauge("process_open_fds", {}, stats.open_fds);
  families.gauge("process_start_time_seconds", {}, stats.start_time_seconds);
}

}  // namespace

std::span<const MetricRow> native_metrics() {
  static const std::vector<MetricRow> rows = make_native_rows();
  return rows;
}

std::span<const MetricRow> own_metrics() {
  return kOwn;
}

std::string render_metrics(const MetricsSnapshot& snapshot, const ProcessMetrics& process,
                           const ProcessStats& stats, const BuildInfo& build,
                           MetricsCompat compat) {
  Families families;
  families.declare(native_metrics());
  families.declare(own_metrics());
  visit(families, snapshot.shard, {});
  for (const MetricsSnapshot::Topic& topic : snapshot.topics) {
    visit(families, topic.metrics, {{"topic", topic.topic}});
  }
  for (const MetricsSnapshot::Partition& partition : snapshot.partitions) {
    visit(
        families, partition.metrics,
        {{"topic", partition.name.topic}, {"partition", std::to_string(partition.name.partition)}});
  }
  for (const MetricsSnapshot::Target& target : snapshot.targets) {
    visit(families, target.metrics, {{"layer", target.layer}, {"target", target.target}});
  }
  if (snapshot.peers) visit(families, *snapshot.peers, {});
  for (const MetricsSnapshot::Peer& peer : snapshot.each_peer) {
    visit(families, peer.metrics, {{"peer", peer.peer}});
  }
  if (snapshot.audit) visit(families, *snapshot.audit, {});
  if (snapshot.audit_ratio) visit(families, *snapshot.audit_ratio, {});
  for (const MetricsSnapshot::AuditStageRow& row : snapshot.audit_stages) {
    visit(families, row.metrics, {{"layer", row.layer}, {"stage", audit_stage_name(row.stage)}});
  }
  if (snapshot.journal) visit(families, *snapshot.journal, {});
  if (snapshot.outbox) visit(families, *snapshot.outbox, {});
  visit(families, snapshot.intake_http, {});
  visit(families, snapshot.intake_htcp, {});
  for (const MetricsSnapshot::HtcpSource& source : snapshot.htcp_sources) {
    visit(families, source.metrics, {{"source", source.source}});
  }
  visit(families, process, {});
  add_own_metrics(families, snapshot, stats, build);
  if (compat == MetricsCompat::purged) {
    families.declare(compat_metrics());
    add_compat_metrics(families, snapshot);
  }
  return families.text();
}

std::string render_metrics(const MetricsSnapshot& snapshot, const ProcessMetrics& process,
                           const BuildInfo& build, MetricsCompat compat) {
  return render_metrics(snapshot, process, read_process_stats(), build, compat);
}

}  // namespace purgeline
