#include <string>
#include <string_view>

#include "control/metrics_text.h"
#include "purgeline/histogram.h"

namespace purgeline {

namespace {

const char* kind_name(MetricKind kind) {
  switch (kind) {
    case MetricKind::counter:
      return "counter";
    case MetricKind::gauge:
      return "gauge";
    case MetricKind::histogram:
      return "histogram";
  }
  return "";
}

// "topic,partition" -> "`topic`, `partition`".
void append_labels(std::string& out, std::string_view labels) {
  while (!labels.empty()) {
    const std::size_t comma = labels.find(',');
    if (!out.empty()) out += ", ";
    out += "`" + std::string(labels.substr(0, comma)) + "`";
    if (comma == std::string_view::npos) return;
    labels.remove_prefix(comma + 1);
  }
}

void append_table(std::string& out, std::span<const MetricRow> rows) {
  out += "| name | type | labels | meaning |\n|---|---|---|---|\n";
  for (const MetricRow& row : rows) {
    std::string labels;
    append_labels(labels, row.labels);
    append_labels(labels, row.label);
    out += std::string("| `") + row.name + "` | " + kind_name(row.kind) + " | " + labels + " | " +
           row.help + " |\n";
  }
}

std::string bucket_edges() {
  std::string out;
  for (const double edge : Histogram::kEdges) {
    std::string text = std::to_string(edge);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    out += out.empty() ? text : ", " + text;
  }
  return out;
}

}  // namespace

std::string metrics_docs() {
  std::string out =
      "# Metrics\n\n"
      "<!-- Made from include/purgeline/metrics.def; a test fails when this page differs. -->\n\n"
      "`/metrics` on the admin address (`admin.listen`, by default 127.0.0.1:2112) serves these "
      "in\n"
      "Prometheus' text format. Label values come from the configuration, the log's topics or "
      "fixed\n"
      "sets, never from events. Lag is measured against the end of the log and reads 0 when "
      "idle.\n\n"
      "## Purgeline\n\n";
  append_table(out, native_metrics());
  out += "\nHistograms are in seconds, with these bucket edges: " + bucket_edges() + ".\n\n";
  out += "## Program and process\n\n";
  append_table(out, own_metrics());
  out +=
      "\n## Names of purged 0.17\n\n"
      "Served while `admin.compat` is `purged`, so that dashboards and alerts written for it go "
      "on\n"
      "working. `purged_event_lag` is in nanoseconds; unlike there it is 0 on an idle topic. Of "
      "the\n"
      "`type` values of `purged_tcp_errors_total`, `EOF`, `read` and `write` are purged's own and\n"
      "`connect` is new. The HTCP series stay 0 unless `intake.htcp.listen` is set.\n\n";
  append_table(out, compat_metrics());
  return out;
}

}  // namespace purgeline
