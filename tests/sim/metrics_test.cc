// Every declared metric is seen to change: a metric that nothing moves is a promise nobody keeps.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "control/metrics_text.h"
#include "sim/world.h"

namespace purgeline::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Moved by the process around the pipeline; tests/e2e looks at them in the running daemon.
const std::set<std::string> kOfTheProcess{"purgeline_config_last_reload_successful",
                                          "purgeline_config_last_reload_success_timestamp_seconds",
                                          "purgeline_log_lines_dropped_total"};
// Moved by the intakes, which the simulated world has none of; tests/unit/intake_metrics_test looks
// at them.
bool is_of_an_intake(const std::string& name) {
  return name.starts_with("purgeline_intake_") || name == "purged_htcp_packets_total" ||
         name == "purged_udp_bytes_read_total";
}

// The simulated world has no journal; store_journal_test sees each of these change, and
// tests/e2e/test_journal.py those of the outbox.
bool is_of_the_journal(const std::string& name) {
  return name.starts_with("purgeline_journal_") || name.starts_with("purgeline_outbox_");
}

// Nor other hosts; app_peers_test sees these.
bool is_of_peers(const std::string& name) {
  return name.starts_with("purgeline_peer");
}

// Nobody in the simulated world says which copy of a URL is there; app_audit_test and
// tests/e2e/test_audit.py see each of these change.
bool is_of_the_audit(const std::string& name) {
  return name.starts_with("purgeline_audit_") || name == "purgeline_stale_after_purge_total" ||
         name == "purgeline_consistency_ratio";
}

// The simulated world's configuration has none; app_rebound_test sees it change.
bool is_of_rebounds(const std::string& name) {
  return name.starts_with("purgeline_rebound");
}

class Watcher {
 public:
  void look(World& world) {
    world.pipeline().snapshot(snapshot_);
    std::istringstream text(render_metrics(snapshot_, ProcessMetrics{}, ProcessStats{}, BuildInfo{},
                                           MetricsCompat::purged));
    for (std::string line; std::getline(text, line);) {
      if (line.empty() || line[0] == '#') continue;
      const std::size_t space = line.rfind(' ');
      const std::string sample = line.substr(0, space);
      const std::string value = line.substr(space + 1);
      const auto [found, first] = values_.emplace(sample, value);
      // A sample that appears with a value of its own has changed too: from not being there.
      if (found->second != value || (first && std::stod(value) != 0)) {
        changed_.insert(family(sample));
      }
    }
  }
  [[nodiscard]] bool changed(const std::string& name) const { return changed_.count(name) > 0; }

 private:
  static std::string family(const std::string& sample) {
    std::string name = sample.substr(0, sample.find('{'));
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      if (name.ends_with(suffix)) name.resize(name.size() - std::string(suffix).size());
    }
    return name;
  }
  MetricsSnapshot snapshot_;
  std::map<std::string, std::string> values_;
  std::set<std::string> changed_;
};

// Looks after every `turns` turns: making the whole page costs more than a turn does.
void run_for(World& world, Watcher& watcher, Duration duration, bool produce, int turns = 50) {
  const MonoTime end = world.clock().now() + duration;
  for (int turn = 0; world.clock().now() < end; ++turn) {
    if (produce && turn % 8 == 0) world.produce();
    world.step();
    if (turn % turns == 0) watcher.look(world);
  }
}

TEST(Metrics, EveryDeclaredMetricIsSeenToChange) {
  World world(2, 60);  // small enough to be full while a cache is down
  Watcher watcher;
  run_for(world, watcher, seconds(3), true);

  // Refused by decode, dated in the future, and refused by a cache among good ones.
  const auto append = [&world](const std::string& value) {
    world.log().append(World::kFirstTopic, 0, world.clock().wall(), value);
  };
  append("not json");
  append(R"({"meta":{"uri":"http://h/future","dt":"2199-01-01T00:00:00Z"}})");
  world.transport().cache(World::kBackend).refuses = "/refused";
  append(R"({"meta":{"uri":"http://h/refused"}})");
  run_for(world, watcher, milliseconds(200), true, 1);  // a dead letter waits for a few turns only
  run_for(world, watcher, seconds(3), true);

  // No room on the disk for dead letters, until the table is full of what waits for them.
  world.letters().full = true;
  for (int i = 0; i < 200; ++i) {
    append(R"({"meta":{"uri":"http://h/)" + std::to_string(i) + R"(/refused"}})");
  }
  run_for(world, watcher, seconds(20), false);
  world.letters().full = false;
  run_for(world, watcher, seconds(20), false);

  // A backend that is down for long while events go on: sent ahead, and left out in the end.
  world.transport().stop_cache(World::kBackend);
  run_for(world, watcher, seconds(30), true);
  world.transport().start_cache(World::kBackend);
  run_for(world, watcher, seconds(30), false);

  world.log().set_reachable(false);
  run_for(world, watcher, seconds(3), false);
  world.log().set_reachable(true);
  world.log().refuse_commits(2);
  run_for(world, watcher, seconds(5), true);
  run_for(world, watcher, seconds(10), false);

  // What is needed is gone from the log when the program comes back.
  world.crash();
  for (int i = 0; i < 20; ++i) append(R"({"meta":{"uri":"http://h/lost"}})");
  const auto* partition = world.log().find({World::kFirstTopic, 0});
  world.log().trim(World::kFirstTopic, 0, Offset{partition->high() - 5});
  run_for(world, watcher, seconds(5), false);
  world.pipeline().drain(world.clock().now() + seconds(1));
  world.step();
  watcher.look(world);

  for (const auto rows : {native_metrics(), compat_metrics()}) {
    for (const MetricRow& row : rows) {
      if (kOfTheProcess.count(row.name) > 0 || is_of_an_intake(row.name)) continue;
      if (is_of_the_journal(row.name) || is_of_peers(row.name)) continue;
      if (is_of_the_audit(row.name) || is_of_rebounds(row.name)) continue;
      EXPECT_TRUE(watcher.changed(row.name)) << row.name << " never changed";
    }
  }
}

// The list is made when something was refused and at no other time.
TEST(Snapshot, RefusedInputsAreListedNewestFirstAndOnlyMadeAnew) {
  World world(3);
  MetricsSnapshot snapshot;
  const auto take = [&] {
    for (int i = 0; i < 200; ++i) world.step();
    world.pipeline().snapshot(snapshot);
  };
  take();
  EXPECT_EQ(snapshot.refused_ever, 0u);
  EXPECT_EQ(snapshot.refused, nullptr);
  const std::string longer = "second " + std::string(1000, 'x');
  world.log().append(World::kFirstTopic, 0, world.clock().wall(), "first");
  world.log().append(World::kFirstTopic, 0, world.clock().wall(), longer);
  take();
  EXPECT_EQ(snapshot.refused_ever, 2u);
  ASSERT_TRUE(snapshot.refused && snapshot.refused->size() == 2);
  const auto list = snapshot.refused;
  EXPECT_EQ((*list)[0].text, longer.substr(0, 512));
  EXPECT_EQ((*list)[0].size, longer.size());
  EXPECT_EQ((*list)[1].text, "first");
  EXPECT_EQ((*list)[1].reason, RejectReason::not_json);
  EXPECT_EQ((*list)[1].partition, (PartitionName{World::kFirstTopic, 0}));
  EXPECT_EQ((*list)[0].offset, (*list)[1].offset.next());
  take();
  EXPECT_EQ(snapshot.refused, list) << "nothing new: the same list";
  for (int i = 0; i < 100; ++i) {
    world.log().append(World::kFirstTopic, 0, world.clock().wall(), std::to_string(i) + "?");
  }
  take();
  EXPECT_EQ(snapshot.refused_ever, 102u);
  EXPECT_EQ(snapshot.refused->size(), 64u);
  EXPECT_EQ(snapshot.refused->front().text, "99?");
  EXPECT_EQ(list->size(), 2u) << "whoever holds a list keeps it";
}

}  // namespace
}  // namespace purgeline::sim
