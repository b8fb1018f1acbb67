// The whole pipeline before a backlog that takes less time than the one between two looks at it:
// whoever was told that it began is told that it is over.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(CatchUp, OfAMomentIsToldToBeOver) {
  test::NoLetters letters;
  LonePipeline bench(LonePipeline::config_of(
                         {LonePipeline::layer_of("backend", LonePipeline::kBackend, seconds(60))}),
                     letters);
  bench.append("h/old");
  bench.clock.advance(seconds(60));
  bench.start();
  bench.run(milliseconds(500));
  ASSERT_EQ(bench.lines.count("catching up"), 1);
  ASSERT_EQ(bench.purges(LonePipeline::kBackend, "h/old").size(), 1u) << "before the first look";
  bench.run(seconds(3));
  EXPECT_EQ(bench.lines.count("caught up"), 1);
  EXPECT_EQ(bench.lines.count("catching up"), 1);
}

// Keeps the fields of the last line of each event.
class FieldsLog : public EventLog {
 public:
  void write(LogLevel, std::string_view event, LogFields fields) override {
    auto& kept = last_[std::string(event)];
    kept.clear();
    for (const auto& [key, value] : fields) kept.emplace(key, value);
  }
  [[nodiscard]] bool has(const std::string& event, const std::string& key) {
    return last_[event].count(key) > 0;
  }
  [[nodiscard]] std::uint64_t number(const std::string& event, const std::string& key) {
    return std::stoull(last_[event].at(key));
  }

 private:
  std::map<std::string, std::map<std::string, std::string>> last_;
};

// Who waits for the end of a backlog is told how much is left and for how long, in the log as in
// the metrics, and it is so.
TEST(CatchUp, TellsHowLongItWillTake) {
  constexpr int kEvents = 20000;
  test::NoLetters letters;
  LayerConfig layer = LonePipeline::layer_of("backend", LonePipeline::kBackend, seconds(60));
  LonePipeline bench(LonePipeline::config_of({layer}), letters);
  for (int i = 0; i < kEvents; ++i) bench.append("h/" + std::to_string(i));
  bench.clock.advance(seconds(60));
  bench.start();
  FieldsLog lines;
  bench.pipeline.reset();  // and once more with a log that keeps the fields
  bench.log_store.emplace(bench.log, "group");
  bench.local_store.emplace(bench.log, "local");
  bench.source.emplace(bench.log, sim::SimSourceOptions{{LonePipeline::kTopic}, 2, 4});
  bench.pipeline.emplace(
      bench.config, bench.log_config, *HostMatcher::make({}, {}),
      PipelineSeams{bench.clock, bench.random, bench.transport, bench.resolver, *bench.source,
                    *bench.log_store, *bench.local_store, letters, lines, nullptr, nullptr});
  bench.pipeline->start();
  const MonoTime begun = bench.clock.now();
  while (!lines.has("catching up", "events_left") && bench.clock.now() < begun + seconds(10)) {
    bench.run(milliseconds(10));
  }
  ASSERT_TRUE(lines.has("catching up", "events_left"));
  const std::uint64_t left = lines.number("catching up", "events_left");
  const std::uint64_t rate = lines.number("catching up", "per_second");
  ASSERT_GT(rate, 0u);
  const std::uint64_t told = lines.number("catching up", "seconds_left");
  MetricsSnapshot metrics;
  bench.pipeline->snapshot(metrics);
  EXPECT_EQ(static_cast<std::uint64_t>(metrics.shard.catch_up_seconds), told);
  EXPECT_EQ(left / rate, told);
  ASSERT_EQ(metrics.partitions.size(), 1u);
  EXPECT_NEAR(metrics.partitions[0].metrics.catch_up_events, static_cast<double>(left), 100);
  // Nothing changes in this world, so what was told is right.
  const MonoTime then = bench.clock.now();
  while (!lines.has("caught up", "effect") && bench.clock.now() < then + seconds(2 * told)) {
    bench.run(milliseconds(100));
  }
  const double took = static_cast<double>((bench.clock.now() - then).count()) * 1e-9;
  EXPECT_NEAR(took, static_cast<double>(told), 0.1 * static_cast<double>(told) + 2);
}

// A full table gives the targets all they can do: whoever filled it up after each few answers would
// turn more often than anything is gained by.
TEST(CatchUp, FillsAFullTableUpOncePerTick) {
  constexpr int kEvents = 2000;
  test::NoLetters letters;
  LayerConfig layer = LonePipeline::layer_of("backend", LonePipeline::kBackend, seconds(60));
  layer.connections = 4;
  layer.depth = 16;
  LonePipeline bench(LonePipeline::config_of({layer}), letters);
  for (int i = 0; i < kEvents; ++i) bench.append("h/" + std::to_string(i));
  bench.start();
  std::uint64_t ticks = 0;
  while (bench.committed() < kEvents && bench.clock.now() < MonoTime(std::chrono::hours(24))) {
    bench.pipeline->turn();
    const MonoTime due = bench.pipeline->next_due();
    if (bench.pipeline->tick().count() > 0 && bench.pipeline->unfinished() > 0) {
      EXPECT_GT(due, bench.clock.now());
      ++ticks;
    }
    bench.transport.turn(std::min(due, bench.clock.now() + milliseconds(10)),
                         bench.pipeline->tick());
  }
  EXPECT_EQ(bench.committed(), kEvents);
  EXPECT_GT(ticks, 0u);
}

}  // namespace
}  // namespace purgeline
