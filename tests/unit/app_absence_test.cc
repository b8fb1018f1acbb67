// The whole pipeline before a slow backend and a frontend that is away for a while: an event that
// the backend answers late is purged on the frontend after that answer, whatever was purged there
// before.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "sim/sim_clock.h"
#include "sim/sim_source.h"
#include "sim/sim_transport.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTopic = "resource-purge";
constexpr std::uint16_t kBackend = 1000;
constexpr std::uint16_t kFrontend = 1001;

class NoLog : public EventLog {
 public:
  void write(LogLevel, std::string_view, LogFields) override {}
};

class NoResolver : public Resolver {
 public:
  void resolve(std::string, std::uint16_t, ResolveHandler&) override { CHECK(false); }
  void cancel(ResolveHandler&) override {}
  void poll() override {}
};

class NoLetters : public DeadLetters {
 public:
  void start(DeadLetterListener&) override {}
  [[nodiscard]] bool put(std::uint64_t, const DeadLetter&) override { return false; }
  void poll() override {}
};

LayerConfig layer(const char* name, std::uint16_t port) {
  LayerConfig layer;
  layer.name = name;
  layer.targets.push_back({"127.0.0.1:" + std::to_string(port), "127.0.0.1", port, ""});
  layer.connections = 1;
  layer.depth = 4;
  layer.connect_timeout = seconds(1);
  layer.request_timeout = seconds(60);
  layer.max_attempts = 3;
  return layer;
}

struct Bench {
  Bench()
      : transport(clock, agenda, random, faults, trace),
        log_store(log, "group"),
        local_store(log, "local") {
    log.create_topic(kTopic, 1);
    source.emplace(log, sim::SimSourceOptions{{kTopic}, 2, 4});
    faults.stop();
    for (const std::uint16_t port : {kBackend, kFrontend}) {
      sim::SimTarget cache;
      cache.port = port;
      cache.layer = port == kBackend ? 0 : 1;
      cache.name = "127.0.0.1:" + std::to_string(port);
      transport.add(cache);
    }
    config.max_useful_age = std::chrono::hours(24);
    config.layer_deadline = seconds(30);
    config.behind_after = seconds(3);
    config.coalesce.window = milliseconds(100);
    config.coalesce.clock_margin = seconds(2);
    config.coalesce.capacity = 100;
    config.coalesce.bytes = 1 << 20;
    config.layers = {layer("backend", kBackend), layer("frontend", kFrontend)};
    LogConfig log_config;
    log_config.kafka.start_at = StartEarliest{};
    log_config.catch_up = {seconds(10), 10};
    pipeline.emplace(config, log_config, *HostMatcher::make({}, {}),
                     PipelineSeams{clock, random, transport, resolver, *source, log_store,
                                   local_store, letters, lines});
    pipeline->start();
  }
  void run(Duration duration) {
    for (const MonoTime end = clock.now() + duration; clock.now() < end;) {
      pipeline->turn();
      transport.turn(std::min(pipeline->next_due(), clock.now() + milliseconds(10)),
                     pipeline->tick());
    }
  }
  std::vector<sim::PurgeSeen> purges(std::uint16_t port) {
    std::vector<sim::PurgeSeen> found;
    for (const sim::PurgeSeen& purge : transport.cache(port).seen) {
      if (purge.url == "h/page") found.push_back(purge);
    }
    return found;
  }

  test::FakeRandom random{1};
  sim::SimClock clock;
  sim::Agenda agenda;
  sim::Faults faults{random};
  sim::Trace trace{clock};
  sim::SimTransport transport;
  sim::SimLog log;
  sim::SimOffsetStore log_store;
  sim::SimOffsetStore local_store;
  NoLetters letters;
  NoResolver resolver;
  NoLog lines;
  PurgeConfig config;
  std::optional<sim::SimSource> source;
  std::optional<Pipeline> pipeline;
};

TEST(Absence, OfAFrontendIsOverBeforeTheBackendAnswers) {
  Bench bench;
  bench.run(seconds(2));
  bench.transport.stop_cache(kFrontend);
  bench.log.append(kTopic, 0, bench.clock.wall(), R"({"meta":{"uri":"http://h/other"}})");
  bench.run(seconds(10));  // its purge shows that nobody is there
  bench.transport.cache(kBackend).latency = seconds(20);
  bench.log.append(kTopic, 0, bench.clock.wall(), R"({"meta":{"uri":"http://h/page"}})");
  bench.run(seconds(1));
  bench.transport.start_cache(kFrontend);
  bench.run(seconds(10));
  ASSERT_EQ(bench.purges(kFrontend).size(), 1u) << "what it missed, at once";
  bench.run(seconds(30));
  const auto backend = bench.purges(kBackend);
  const auto frontend = bench.purges(kFrontend);
  ASSERT_EQ(backend.size(), 1u);
  ASSERT_NE(backend[0].answered, MonoTime::max());
  EXPECT_GE(frontend.back().received, backend[0].answered)
      << "until then the frontend may have been filled with the backend's old copy";
}

}  // namespace
}  // namespace purgeline
