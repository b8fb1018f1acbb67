// LonePipeline: one pipeline in a simulated world where nothing goes wrong by itself, for tests of
// what the whole of it does with a few events.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/pipeline.h"
#include "sim/sim_clock.h"
#include "sim/sim_source.h"
#include "sim/sim_stores.h"
#include "sim/sim_transport.h"
#include "support/fake_clock.h"

namespace purgeline::sim {

// What was said, without its fields.
class KeptLog : public EventLog {
 public:
  void write(LogLevel, std::string_view event, LogFields) override { said_.emplace_back(event); }
  [[nodiscard]] auto count(std::string_view event) const {
    return std::count(said_.begin(), said_.end(), event);
  }

 private:
  std::vector<std::string> said_;
};

class NoResolver : public Resolver {
 public:
  void resolve(std::string, std::uint16_t, ResolveHandler&) override { CHECK(false); }
  void cancel(ResolveHandler&) override {}
  void poll() override {}
};

struct LonePipeline {
  static constexpr const char* kTopic = "resource-purge";
  static constexpr std::uint16_t kBackend = 1000;
  static constexpr std::uint16_t kFrontend = 1001;

  // What the tests have in common; each changes what it is about before start().
  static PurgeConfig config_of(const std::vector<LayerConfig>& layers) {
    PurgeConfig config;
    config.max_useful_age = std::chrono::hours(24);
    config.layer_deadline = std::chrono::seconds(1);
    config.behind_after = std::chrono::seconds(60);
    config.coalesce.window = std::chrono::milliseconds(100);
    config.coalesce.clock_margin = std::chrono::seconds(2);
    config.coalesce.capacity = 100;
    config.coalesce.bytes = 1 << 20;
    config.layers = layers;
    return config;
  }
  // One cache at 127.0.0.1:`port`, one connection of depth 4.
  static LayerConfig layer_of(const std::string& name, std::uint16_t port, Duration timeout) {
    LayerConfig layer;
    layer.name = name;
    layer.targets.push_back({"127.0.0.1:" + std::to_string(port), "127.0.0.1", port, ""});
    layer.connections = 1;
    layer.depth = 4;
    layer.connect_timeout = layer.request_timeout = timeout;
    layer.max_attempts = 3;
    return layer;
  }

  // `longest_turn`: how far time goes in one turn at most.
  LonePipeline(PurgeConfig with, DeadLetters& kept,
               Duration longest_turn = std::chrono::milliseconds(10))
      : config(std::move(with)), letters(kept), longest(longest_turn) {
    log.create_topic(kTopic, 1);
    faults.stop();
    for (std::size_t i = 0; i < config.layers.size(); ++i) {
      for (const Endpoint& endpoint : config.layers[i].targets) {
        SimTarget cache;
        cache.port = endpoint.port;
        cache.layer = i;
        cache.name = endpoint.text;
        cache.plain = true;
        cache.refuses = "/refused";
        transport.add(cache);
      }
    }
  }
  // A second time: as after a crash.
  void start(const std::vector<std::string>& denied = {}, ShardWatches* watches = nullptr) {
    log_config = LogConfig{};
    log_config.kafka.start_at = StartEarliest{};
    log_config.catch_up = {std::chrono::seconds(10), 10};
    pipeline.reset();
    source.emplace(log, SimSourceOptions{{kTopic}, 2, 4});
    log_store.emplace(log, "group");
    local_store.emplace(log, "local");
    pipeline.emplace(config, log_config, *HostMatcher::make({}, denied),
                     PipelineSeams{clock, random, transport, resolver, *source, *log_store,
                                   *local_store, letters, lines, watches, peers});
    pipeline->start();
  }

  // The configuration is read anew with the first two layers in each other's place.
  void reorder() {
    std::swap(config.layers[0], config.layers[1]);
    auto hosts = *HostMatcher::make({}, {});
    CHECK(pipeline->reload(config, log_config, hosts) == Pipeline::Reloaded::applied);
  }

  // An event of `url`, without its scheme.
  void append(const std::string& url, const std::string& id = "") {
    const std::string with_id = id.empty() ? "" : R"(,"id":")" + id + R"(")";
    log.append(kTopic, 0, clock.wall(),
               R"({"meta":{"uri":"http://)" + url + R"(")" + with_id + "}}");
  }
  void run(Duration duration) {
    for (const MonoTime end = clock.now() + duration; clock.now() < end;) {
      pipeline->turn();
      transport.turn(std::min({pipeline->next_due(), clock.now() + longest, end}),
                     pipeline->tick());
    }
  }
  [[nodiscard]] std::int64_t committed() const {
    const auto position = log.position("group", {kTopic, 0});
    return position ? position->offset.value() : 0;
  }
  // The purges of `url` that a cache has got.
  [[nodiscard]] std::vector<PurgeSeen> purges(std::uint16_t port, const std::string& url) {
    std::vector<PurgeSeen> found;
    for (const PurgeSeen& purge : transport.cache(port).seen) {
      if (purge.url == url) found.push_back(purge);
    }
    return found;
  }

  test::FakeRandom random{1};
  SimClock clock;
  Agenda agenda;
  Faults faults{random};
  Trace trace{clock};
  SimTransport transport{clock, agenda, random, faults, trace};
  SimLog log;
  std::optional<SimOffsetStore> log_store, local_store;
  NoResolver resolver;
  KeptLog lines;
  PurgeConfig config;
  LogConfig log_config;
  DeadLetters& letters;
  PeerLink* peers{nullptr};
  const Duration longest;
  std::optional<SimSource> source;
  std::optional<Pipeline> pipeline;
};

}  // namespace purgeline::sim
