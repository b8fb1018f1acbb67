// The text of /metrics, and the page that explains it. Both come from metrics.def.
//
// Place:  control/admin_pages asks for it once for each scrape.
// Thread: any; pure functions, except read_process_stats().
// Bound:  the table's rows times the configured topics, partitions and targets. No label value
// comes from
//         an event or an answer.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "purgeline/config.h"
#include "purgeline/metrics.h"

namespace purgeline {

// Which build this is: the labels of purgeline_build_info.
struct BuildInfo {
  std::string version;
  std::string revision;
  std::string compiler;
};

// What the kernel says about this process.
struct ProcessStats {
  double cpu_seconds{0};
  double resident_bytes{0};
  double open_fds{0};
  double start_time_seconds{0};  // since 1970
};

// From /proc/self. A value that cannot be read is 0.
[[nodiscard]] ProcessStats read_process_stats();

enum class MetricKind : std::uint8_t { counter, gauge, histogram };

// One metric as a page or a test sees it.
struct MetricRow {
  const char* name;
  const char* help;
  MetricKind kind;
  const char* labels;  // of its group, comma-separated; "" for none
  const char* label;   // its own labels, "" for none
};

// Every row of metrics.def that has a name, in its order.
[[nodiscard]] std::span<const MetricRow> native_metrics();
// Those that the program itself adds: build, I/O backend, process.
[[nodiscard]] std::span<const MetricRow> own_metrics();
// The seven metrics of purged 0.17.
[[nodiscard]] std::span<const MetricRow> compat_metrics();

[[nodiscard]] std::string render_metrics(const MetricsSnapshot& snapshot,
                                         const ProcessMetrics& process, const ProcessStats& stats,
                                         const BuildInfo& build, MetricsCompat compat);
// The same with the process's own numbers of this moment.
[[nodiscard]] std::string render_metrics(const MetricsSnapshot& snapshot,
                                         const ProcessMetrics& process, const BuildInfo& build,
                                         MetricsCompat compat);

// docs/metrics.md.
[[nodiscard]] std::string metrics_docs();

}  // namespace purgeline
