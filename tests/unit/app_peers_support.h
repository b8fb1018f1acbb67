// One host among peers that say what the test has them say.
#pragma once

#include "app/peers.h"

#include <gtest/gtest.h>

#include <map>

#include "control/metrics_text.h"
#include "sim/lone_pipeline.h"
#include "support/no_letters.h"

namespace purgeline::peers_test {

using sim::LonePipeline;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr auto kBackend = LonePipeline::kBackend;
inline constexpr auto kFrontend = LonePipeline::kFrontend;

class FakePeers : public PeerLink {
 public:
  explicit FakePeers(std::string name = "here") : name_(std::move(name)) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  void publish(std::span<const PeerMark> marks) override {
    said.emplace_back(marks.begin(), marks.end());
  }
  void poll(PeerListener& listener) override {
    for (const PeerReport& report : heard_) listener.on_peer(report);
    heard_.clear();
  }
  [[nodiscard]] std::string trouble() const override { return trouble_; }

  // The host has purged everything below `purged` but [from, to).
  void hear(const std::string& host, std::int64_t purged, std::int64_t from = 0,
            std::int64_t to = 0) {
    heard_.push_back(
        {host,
         {{{LonePipeline::kTopic, 0}, Offset{purged}, Offset{purged}, Offset{from}, Offset{to}}}});
  }
  // And is done with the fences of what lies below `fenced`.
  void hear_fenced(const std::string& host, std::int64_t purged, std::int64_t fenced) {
    heard_.push_back({host, {{{LonePipeline::kTopic, 0}, Offset{purged}, Offset{fenced}, {}, {}}}});
  }
  void hear(const PeerReport& report) { heard_.push_back(report); }

  std::vector<std::vector<PeerMark>> said;
  std::string trouble_;

 private:
  std::string name_;
  std::vector<PeerReport> heard_;
};

inline PurgeConfig among(const std::vector<std::string>& hosts) {
  PurgeConfig config =
      LonePipeline::config_of({LonePipeline::layer_of("backend", kBackend, seconds(60)),
                               LonePipeline::layer_of("frontend", kFrontend, seconds(60))});
  config.behind_after = seconds(20);
  config.peers.topic = "peers";
  config.peers.hosts = hosts;
  config.peers.barrier_deadline = seconds(5);
  config.peers.interval = milliseconds(100);
  return config;
}

inline PurgeConfig fenced_among(const std::vector<std::string>& hosts) {
  PurgeConfig config = among(hosts);
  config.fence = {seconds(10), seconds(1), seconds(1), 100};
  return config;
}

struct PeersTest : testing::Test {
  explicit PeersTest(PurgeConfig config = among({"here", "p1", "p2"}))
      : bench(std::move(config), letters) {
    bench.peers = &link;
  }
  // It reads, and both peers are heard.
  void start(std::int64_t purged = 0) {
    bench.start();
    link.hear("p1", purged);
    link.hear("p2", purged);
    bench.run(seconds(2));
  }
  auto frontend(const std::string& url) { return bench.purges(kFrontend, url); }
  auto backend(const std::string& url) { return bench.purges(kBackend, url); }
  // A peer that is there says so again and again.
  void run_hearing(Duration duration, const std::string& host, std::int64_t purged) {
    for (Duration done{0}; done < duration; done += milliseconds(500)) {
      link.hear(host, purged);
      bench.run(milliseconds(500));
    }
  }
  MetricsSnapshot snapshot() {
    MetricsSnapshot out;
    bench.pipeline->snapshot(out);
    return out;
  }
  PeerMetrics of(const std::string& peer) {
    for (const auto& row : snapshot().each_peer) {
      if (row.peer == peer) return row.metrics;
    }
    ADD_FAILURE() << "no row of " << peer;
    return {};
  }

  test::NoLetters letters;
  FakePeers link;
  LonePipeline bench;
};

struct FencedPeersTest : PeersTest {
  FencedPeersTest() : PeersTest(fenced_among({"here", "p1", "p2"})) {}

  // Both go on saying how far they are.
  void run_fenced(Duration duration, std::int64_t purged, std::int64_t p1, std::int64_t p2) {
    for (Duration done{0}; done < duration; done += milliseconds(500)) {
      link.hear_fenced("p1", purged, p1);
      link.hear_fenced("p2", purged, p2);
      bench.run(milliseconds(500));
    }
  }
};

}  // namespace purgeline::peers_test
