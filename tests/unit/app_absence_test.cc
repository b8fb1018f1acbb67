// The whole pipeline before a slow backend and a frontend that is away for a while: an event that
// the backend answers late is purged on the frontend after that answer, whatever was purged there
// before.
#include <gtest/gtest.h>

#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::seconds;

constexpr auto kBackend = LonePipeline::kBackend;
constexpr auto kFrontend = LonePipeline::kFrontend;

PurgeConfig patient() {
  PurgeConfig config =
      LonePipeline::config_of({LonePipeline::layer_of("backend", kBackend, seconds(60)),
                               LonePipeline::layer_of("frontend", kFrontend, seconds(60))});
  for (LayerConfig& layer : config.layers) layer.connect_timeout = seconds(1);
  config.layer_deadline = seconds(30);
  config.behind_after = seconds(3);
  return config;
}

TEST(Absence, OfAFrontendIsOverBeforeTheBackendAnswers) {
  test::NoLetters letters;
  LonePipeline bench(patient(), letters);
  bench.start();
  bench.run(seconds(2));
  bench.transport.stop_cache(kFrontend);
  bench.append("h/other");
  bench.run(seconds(10));  // its purge shows that nobody is there
  bench.transport.cache(kBackend).latency = seconds(20);
  bench.append("h/page");
  bench.run(seconds(1));
  bench.transport.start_cache(kFrontend);
  bench.run(seconds(10));
  ASSERT_EQ(bench.purges(kFrontend, "h/page").size(), 1u) << "what it missed, at once";
  bench.run(seconds(30));
  const auto backend = bench.purges(kBackend, "h/page");
  const auto frontend = bench.purges(kFrontend, "h/page");
  ASSERT_EQ(backend.size(), 1u);
  ASSERT_NE(backend[0].answered, MonoTime::max());
  EXPECT_GE(frontend.back().received, backend[0].answered)
      << "until then the frontend may have been filled with the backend's old copy";
}

// It answered well before, and nothing waits for it once it is left out.
TEST(Absence, OfASlowTargetIsNotOverBeforeItAnswers) {
  test::NoLetters letters;
  PurgeConfig config = patient();
  config.layer_deadline = seconds(1);
  config.coalesce.capacity = 40;
  LonePipeline bench(config, letters);
  bench.start();
  bench.append("h/first");
  bench.run(seconds(2));
  bench.transport.cache(kBackend).latency = seconds(15);
  for (int i = 0; i < 100; ++i) bench.append("h/" + std::to_string(i));
  bench.run(seconds(20));
  EXPECT_EQ(bench.lines.count("target behind"), 1);
  EXPECT_EQ(bench.lines.count("target live again"), 0);
  bench.transport.cache(kBackend).latency = std::chrono::milliseconds(1);
  bench.run(seconds(60));
  EXPECT_EQ(bench.lines.count("target live again"), 1);
  EXPECT_EQ(bench.committed(), 101);
}

}  // namespace
}  // namespace purgeline
