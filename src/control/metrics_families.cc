#include "control/metrics_families.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "purgeline/check.h"

namespace purgeline {

namespace {

prometheus::MetricType type_of(MetricKind kind) {
  switch (kind) {
    case MetricKind::counter:
      return prometheus::MetricType::Counter;
    case MetricKind::gauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::histogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

MetricLabels with_label(MetricLabels labels, std::string name, std::string value) {
  labels.emplace_back(std::move(name), std::move(value));
  return labels;
}

void Families::declare(std::span<const MetricRow> rows) {
  for (const MetricRow& row : rows) {
    // A name that stands twice would make two families of one name, which scrapers refuse.
    CHECK(index_.emplace(row.name, families_.size()).second);
    families_.push_back({row.name, row.help, type_of(row.kind), {}});
  }
}

prometheus::ClientMetric& Families::add(std::string_view name, const MetricLabels& labels,
                                        prometheus::MetricType type) {
  const auto found = index_.find(name);
  CHECK(found != index_.end());
  prometheus::MetricFamily& family = families_[found->second];
  CHECK(family.type == type);
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [key, value] : labels) metric.label.push_back({key, value});
  return metric;
}

void Families::counter(std::string_view name, const MetricLabels& labels, double value) {
  add(name, labels, prometheus::MetricType::Counter).counter.value = value;
}

void Families::gauge(std::string_view name, const MetricLabels& labels, double value) {
  add(name, labels, prometheus::MetricType::Gauge).gauge.value = value;
}

void Families::histogram(std::string_view name, const MetricLabels& labels,
                         const Histogram& value) {
  auto& out = add(name, labels, prometheus::MetricType::Histogram).histogram;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < value.counts().size(); ++i) {
    cumulative += value.counts()[i];
    const bool last = i == Histogram::kEdges.size();
    out.bucket.push_back(
        {cumulative, last ? std::numeric_limits<double>::infinity() : Histogram::kEdges[i]});
  }
  out.sample_count = cumulative;
  out.sample_sum = value.sum_seconds();
}

std::string Families::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_);
  return std::move(out).str();
}

}  // namespace purgeline
