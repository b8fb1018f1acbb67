// Every metric of the intakes is seen to change, those of purged 0.17 included.
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "control/metrics_text.h"
#include "intake/htcp_intake.h"
#include "intake/http_intake.h"
#include "unit/intake_htcp_packet.h"
#include "unit/intake_support.h"

namespace purgeline {
namespace {

std::map<std::string, std::string> samples(const MetricsSnapshot& snapshot) {
  std::map<std::string, std::string> out;
  std::istringstream text(render_metrics(snapshot, ProcessMetrics{}, ProcessStats{}, BuildInfo{},
                                         MetricsCompat::purged));
  for (std::string line; std::getline(text, line);) {
    const std::size_t space = line.rfind(' ');
    if (!line.empty() && line[0] != '#') out[line.substr(0, space)] = line.substr(space + 1);
  }
  return out;
}

bool is_of_an_intake(const std::string& name) {
  return name.starts_with("purgeline_intake_") || name == "purged_htcp_packets_total" ||
         name == "purged_udp_bytes_read_total";
}

// A histogram's samples have the family's name and a little more.
bool is_sample_of(const std::string& sample, const std::string& family) {
  const std::string name = sample.substr(0, sample.find('{'));
  return name == family || name == family + "_count";
}

TEST(IntakeMetrics, EveryOneIsSeenToChange) {
  test::FakeClock clock;
  test::FakeRandom random;
  test::FakeJournal journal;
  test::Queue queue;
  HttpIntake http({}, journal, nullptr, clock, random, queue.post());
  HtcpIntake htcp({"t", {"127.0.0.0/8"}, 0}, journal, clock, random, queue.post());
  MetricsSnapshot snapshot;
  snapshot.htcp_sources = htcp.sources();
  const auto before = samples(snapshot);

  http.handle({"PURGE", "/a", {{"Host", "h"}}, "", true}, [](const HttpResponse&) {});
  htcp.on_packet(*parse_ip("127.0.0.1"), test::htcp_packet("http://h/", 1), false);
  htcp.on_packet(*parse_ip("127.0.0.1"), "bad", false);
  htcp.on_packet(*parse_ip("127.0.0.1"), test::htcp_packet("http://h/", 500), false);
  htcp.on_overflow(3);
  htcp.flush();
  queue.run();
  journal.at_once = false;
  http.handle({"PURGE", "/b", {{"Host", "h"}}, "", true}, [](const HttpResponse&) {});
  htcp.on_packet(*parse_ip("127.0.0.1"), test::htcp_packet("http://h/", 501), false);
  snapshot.intake_http = http.metrics();
  snapshot.intake_http.connections = 1;  // the server counts them
  snapshot.intake_htcp = htcp.metrics();
  snapshot.htcp_sources = htcp.sources();
  const auto after = samples(snapshot);

  std::size_t families = 0;
  for (const auto rows : {native_metrics(), compat_metrics()}) {
    for (const MetricRow& row : rows) {
      if (!is_of_an_intake(row.name)) continue;
      ++families;
      bool changed = false;
      for (const auto& [sample, value] : after) {
        changed = changed || (is_sample_of(sample, row.name) && before.at(sample) != value);
      }
      EXPECT_TRUE(changed) << row.name;
    }
  }
  EXPECT_EQ(families, 13U);
  EXPECT_EQ(after.at("purged_htcp_packets_total{state=\"good\"}"), "2");
  EXPECT_EQ(after.at("purged_htcp_packets_total{state=\"bad\"}"), "1");
  // Between 1 and 500 there is one window that may still be late.
  EXPECT_EQ(after.at("purgeline_intake_htcp_estimated_lost_total{source=\"127.0.0.0/8\"}"), "436");
}

}  // namespace
}  // namespace purgeline
