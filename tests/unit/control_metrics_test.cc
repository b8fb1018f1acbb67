// /metrics: the table, the text, the compat set, the page in docs/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include "control/metrics_text.h"
#include "unit/control_exposition.h"

namespace purgeline {
namespace {

using test::Exposition;
using test::parse_exposition;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

MetricsSnapshot sample_snapshot() {
  MetricsSnapshot snapshot;
  snapshot.audit.emplace();
  snapshot.audit_ratio.emplace();
  snapshot.audit_stages.push_back({"backend", AuditStage::late, {}});
  snapshot.journal.emplace();
  snapshot.outbox.emplace();
  snapshot.peers.emplace();
  snapshot.each_peer.push_back({"cp2", {}});
  snapshot.io_backend = "uring";
  snapshot.shard.events_unfinished = 7;
  snapshot.shard.coalesced[3] = 5;
  snapshot.shard.end_to_end.record(std::chrono::milliseconds(3));
  snapshot.shard.end_to_end.record(std::chrono::hours(2));
  snapshot.topics.push_back({"eqiad.resource-purge", {}});
  snapshot.topics.push_back({"codfw.resource-purge", {}});
  snapshot.topics[0].metrics.events[0] = 40;
  snapshot.topics[0].metrics.tags_ok[1] = 40;
  snapshot.topics[0].metrics.tags_discarded[2] = 2;
  snapshot.topics[0].metrics.tags_expired[0] = 1;
  snapshot.partitions.push_back({{"eqiad.resource-purge", 0}, {}});
  snapshot.partitions.push_back({{"eqiad.resource-purge", 1}, {}});
  snapshot.partitions[0].metrics.lag_seconds = 0.5;
  snapshot.partitions[1].metrics.lag_seconds = 2.25;
  snapshot.partitions[1].metrics.position = 12345678901;
  snapshot.htcp_sources.push_back({"192.0.2.0/24", {}});
  for (const char* target : {"127.0.0.1:3128", "127.0.0.1:3129"}) {
    snapshot.targets.push_back({"backend", target, TargetState::up, {}});
    snapshot.targets.back().metrics.statuses[status_index(204)] = 10;
    snapshot.targets.back().metrics.statuses[status_index(418)] = 1;
    snapshot.targets.back().metrics.waiting = 3;
    snapshot.targets.back().metrics.in_flight = 2;
  }
  snapshot.targets[0].metrics.link_errors[static_cast<std::size_t>(LinkError::closed)] = 4;
  snapshot.targets[1].metrics.link_errors[static_cast<std::size_t>(LinkError::reset)] = 1;
  snapshot.targets[1].metrics.link_errors[static_cast<std::size_t>(LinkError::timed_out)] = 1;
  snapshot.targets.push_back({"frontend", "unix:/run/varnish \"a\"\\b", TargetState::down, {}});
  snapshot.targets.back().metrics.attempt.record(std::chrono::microseconds(400));
  return snapshot;
}

Exposition render(const MetricsSnapshot& snapshot, MetricsCompat compat = MetricsCompat::purged) {
  ProcessMetrics process;
  process.log_lines_dropped = 3;
  return parse_exposition(render_metrics(snapshot, process, ProcessStats{1.5, 4096, 8, 1.7e9},
                                         BuildInfo{"0.1.0", "abc", "g++ 12"}, compat));
}

TEST(MetricsTable, NamesHelpAndKindsAreAsScrapersWantThem) {
  static const std::regex native_name("(purgeline|process)_[a-z0-9]+(_[a-z0-9]+)*");
  for (const auto& rows : {native_metrics(), own_metrics()}) {
    for (const MetricRow& row : rows) {
      SCOPED_TRACE(row.name);
      const std::string name = row.name;
      EXPECT_TRUE(std::regex_match(name, native_name));
      EXPECT_EQ(name.ends_with("_total"), row.kind == MetricKind::counter);
      if (row.kind == MetricKind::histogram) {
        EXPECT_TRUE(name.ends_with("_seconds"));
      }
      for (const char* wrong : {"milliseconds", "_ms", "_bytes_total_bytes", "_minutes"}) {
        EXPECT_EQ(name.find(wrong), std::string::npos);
      }
      ASSERT_GT(std::string(row.help).size(), 8U);
      EXPECT_EQ(std::string(row.help).back(), '.');
    }
  }
}

TEST(MetricsText, IsWellFormedEmptyAndFilled) {
  for (const MetricsCompat compat : {MetricsCompat::off, MetricsCompat::purged}) {
    EXPECT_THAT(render({}, compat).errors, IsEmpty());
    EXPECT_THAT(render(sample_snapshot(), compat).errors, IsEmpty());
  }
}

TEST(MetricsText, HasEveryRowOfTheTableOnceWithTypeAndHelp) {
  for (const MetricsSnapshot& snapshot : {MetricsSnapshot{}, sample_snapshot()}) {
    const Exposition text = render(snapshot);
    std::size_t rows_seen = 0;
    for (const auto& rows : {native_metrics(), own_metrics(), compat_metrics()}) {
      for (const MetricRow& row : rows) {
        SCOPED_TRACE(row.name);
        ++rows_seen;
        ASSERT_TRUE(text.families.contains(row.name));
        const auto& family = text.families.at(row.name);
        const char* kinds[] = {"counter", "gauge", "histogram"};
        EXPECT_EQ(family.type, kinds[static_cast<int>(row.kind)]);
        EXPECT_EQ(family.help, row.help);
      }
    }
    EXPECT_EQ(text.order.size(), rows_seen);  // and nothing else
  }
}

TEST(MetricsText, EverySampleCarriesTheLabelsThatTheTableSays) {
  const Exposition text = render(sample_snapshot());
  static const std::regex label(R"re(([a-z]+)="(?:[^"\\]|\\.)*")re");
  const auto names = [](const std::string& list) {
    std::set<std::string> out;
    std::istringstream parts(list);
    std::string part;
    while (std::getline(parts, part, ',')) out.insert(part);
    return out;
  };
  for (const auto& rows : {native_metrics(), own_metrics(), compat_metrics()}) {
    for (const MetricRow& row : rows) {
      const std::string comma = *row.labels && *row.label ? "," : "";
      const std::set<std::string> wanted = names(row.labels + comma + row.label);
      const auto& samples = text.families.at(row.name).samples;
      EXPECT_FALSE(samples.empty()) << row.name;
      for (const auto& [series, value] : samples) {
        std::set<std::string> found;
        for (std::sregex_iterator it(series.begin(), series.end(), label), end; it != end; ++it) {
          if ((*it)[1] != "le") found.insert((*it)[1]);
        }
        EXPECT_EQ(found, wanted) << series;
      }
    }
  }
}

TEST(MetricsText, ValuesArriveUnchanged) {
  const Exposition text = render(sample_snapshot());
  struct Row {
    const char* family;
    const char* series;
    double value;
  };
  const Row rows[] = {
      {"purgeline_unfinished_events", "purgeline_unfinished_events", 7},
      {"purgeline_coalesced_total", R"(purgeline_coalesced_total{how="covered"})", 5},
      {"purgeline_events_total",
       R"(purgeline_events_total{topic="eqiad.resource-purge",outcome="purged"})", 40},
      {"purgeline_position_offset",
       R"(purgeline_position_offset{topic="eqiad.resource-purge",partition="1"})", 12345678901},
      {"purgeline_in_flight_deliveries",
       R"(purgeline_in_flight_deliveries{layer="backend",target="127.0.0.1:3128"})", 2},
      {"purgeline_end_to_end_seconds", R"(purgeline_end_to_end_seconds_bucket{le="0.0025"})", 0},
      {"purgeline_end_to_end_seconds", R"(purgeline_end_to_end_seconds_bucket{le="0.005"})", 1},
      {"purgeline_end_to_end_seconds", R"(purgeline_end_to_end_seconds_bucket{le="3600"})", 1},
      {"purgeline_end_to_end_seconds", R"(purgeline_end_to_end_seconds_bucket{le="+Inf"})", 2},
      {"purgeline_end_to_end_seconds", "purgeline_end_to_end_seconds_count", 2},
      {"purgeline_log_lines_dropped_total", "purgeline_log_lines_dropped_total", 3},
      {"purgeline_build_info",
       R"(purgeline_build_info{version="0.1.0",revision="abc",compiler="g++ 12"})", 1},
      {"purgeline_io_backend_info", R"(purgeline_io_backend_info{backend="uring",reason=""})", 1},
      {"process_cpu_seconds_total", "process_cpu_seconds_total", 1.5},
      {"process_start_time_seconds", "process_start_time_seconds", 1.7e9},
  };
  for (const Row& row : rows)
    EXPECT_EQ(text.value(row.family, row.series), row.value) << row.series;
}

TEST(MetricsCompatSet, HasPurgedsLabelsAndUnits) {
  const Exposition text = render(sample_snapshot());
  struct Row {
    const char* family;
    const char* labels;
    double value;
  };
  const Row rows[] = {
      {"purged_http_requests_total", R"({status="204",layer="backend"})", 20},
      {"purged_http_requests_total", R"({status="other",layer="backend"})", 2},
      {"purged_http_requests_total", R"({status="204",layer="frontend"})", 0},
      {"purged_tcp_errors_total", R"({type="EOF"})", 4},
      {"purged_tcp_errors_total", R"({type="read"})", 2},
      {"purged_tcp_errors_total", R"({type="connect"})", 0},
      {"purged_backlog", R"({layer="backend"})", 6},
      {"purged_backlog", R"({layer="frontend"})", 0},
      {"purged_events_received_total",
       R"({tag="mediawiki",status="ok",topic="eqiad.resource-purge"})", 40},
      {"purged_events_received_total",
       R"({tag="other",status="discarded",topic="eqiad.resource-purge"})", 2},
      {"purged_events_received_total", R"({tag="",status="expired",topic="eqiad.resource-purge"})",
       1},
      {"purged_event_lag", R"({topic="eqiad.resource-purge"})", 2.25e9},
      {"purged_event_lag", R"({topic="codfw.resource-purge"})", 0},  // idle: 0, not a growing age
      {"purged_htcp_packets_total", R"({state="good"})", 0},
      {"purged_htcp_packets_total", R"({state="bad"})", 0},
      {"purged_udp_bytes_read_total", "", 0},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(text.value(row.family, std::string(row.family) + row.labels), row.value)
        << row.family << row.labels;
  }
}

TEST(MetricsCompatSet, CanBeLeftOut) {
  for (const std::string& name : render(sample_snapshot(), MetricsCompat::off).order) {
    EXPECT_FALSE(name.starts_with("purged_")) << name;
  }
}

TEST(ProcessStats, ComeFromThisProcess) {
  const ProcessStats stats = read_process_stats();
  EXPECT_GT(stats.resident_bytes, 1 << 20);
  EXPECT_GE(stats.open_fds, 3);
  EXPECT_GE(stats.cpu_seconds, 0);
  EXPECT_GT(stats.start_time_seconds, 1.6e9);
  const ProcessStats later = read_process_stats();
  EXPECT_EQ(later.start_time_seconds, stats.start_time_seconds);
  EXPECT_GE(later.cpu_seconds, stats.cpu_seconds);
}

TEST(MetricsDocs, ThePageIsUpToDate) {
  if (std::getenv("PURGELINE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(PURGELINE_DOCS_DIR "/metrics.md") << metrics_docs();
  }
  std::ifstream file(PURGELINE_DOCS_DIR "/metrics.md");
  ASSERT_TRUE(file) << "docs/metrics.md is missing";
  std::ostringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), metrics_docs());
}

TEST(Validator, FindsWhatScrapersRefuse) {
  const char* broken[] = {
      "# HELP a A.\n# TYPE a counter\na 1",              // no line end
      "# HELP a A.\n# TYPE a counter\na 1\na 2\n",       // series twice
      "# HELP a A.\n# TYPE a gauge\n# HELP a A.\n",      // family twice
      "a 1\n",                                           // no family
      "# HELP a A.\n# TYPE a gauge\na{b=\"x\ny\"} 1\n",  // raw line end in a label
      "# HELP a A.\n# TYPE a gauge\na one\n",            // no number
      "# HELP h H.\n# TYPE h histogram\nh_count 2\nh_sum 1\nh_bucket{le=\"+Inf\"} 3\n",
      R"(# HELP h H.
# TYPE h histogram
h_count 1
h_sum 1
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 1
)",
  };
  for (const char* text : broken) EXPECT_FALSE(parse_exposition(text).errors.empty()) << text;
}

}  // namespace
}  // namespace purgeline
