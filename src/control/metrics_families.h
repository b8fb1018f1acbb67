// Families: metric families in the making. The one place that knows prometheus-cpp's types.
//
// Place:  inside metrics_text.cc and metrics_compat.cc only.
// Thread: one scrape's.
// Bound:  as metrics_text.h.
//
// A family is declared before it gets values, so that a family without instances (no topic yet) is
// in the text all the same, and so that the order is the table's.
#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/metrics_text.h"

namespace purgeline {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  void declare(std::span<const MetricRow> rows);

  void counter(std::string_view name, const MetricLabels& labels, double value);
  void gauge(std::string_view name, const MetricLabels& labels, double value);
  void histogram(std::string_view name, const MetricLabels& labels, const Histogram& value);

  [[nodiscard]] std::string text() const;

 private:
  prometheus::ClientMetric& add(std::string_view name, const MetricLabels& labels,
                                prometheus::MetricType type);

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

// Labels plus one.
[[nodiscard]] MetricLabels with_label(MetricLabels labels, std::string name, std::string value);

// Fills the seven families of purged 0.17 (metrics_compat.cc).
void add_compat_metrics(Families& families, const MetricsSnapshot& snapshot);

}  // namespace purgeline
