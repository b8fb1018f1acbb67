// The real shard in a loop without end: named in the log with its stack, seen at /healthz, aborted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>

#include "app/shard.h"
#include "control/control_thread.h"
#include "io/system_clock.h"
#include "unit/control_client.h"

namespace purgeline {

// A log whose writer never returns once a cache is down: what is injected into the shard's turn.
class EndlessLog : public LogOutput {
 public:
  using LogOutput::LogOutput;
  void write(LogLevel level, std::string_view event, LogFields fields) override;
};

// Outside of the anonymous namespace, so that it has a name in a stack.
__attribute__((noinline)) void EndlessLog::write(LogLevel level, std::string_view event,
                                                 LogFields fields) {
  LogOutput::write(level, event, fields);
  const std::atomic<bool> endless{event == "target state"};
  while (endless) {
  }
}

namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::ContainsRegex;

Config config(const std::string& folder) {
  Config config;
  config.state_dir = folder;
  config.log.kafka.brokers = {{"127.0.0.1:1", "127.0.0.1", 1, ""}};
  config.log.kafka.topics = {"purge"};
  config.purge.coalesce.capacity = 100;
  config.purge.coalesce.bytes = 1 << 20;
  LayerConfig layer;
  layer.name = "backend";
  // Nobody listens there: the probe of a quiet target finds it down at once.
  layer.targets = {{"127.0.0.1:1", "127.0.0.1", 1, ""}};
  layer.connections = layer.depth = layer.max_attempts = 1;
  layer.connect_timeout = layer.request_timeout = milliseconds(1000);
  config.purge.layers = {layer};
  return config;
}

std::string health(const std::string& address) {
  test::RawClient client(address);
  if (!client.send("GET /healthz HTTP/1.0\r\n\r\n")) return {};
  return client.read_all();
}

// Runs until it is aborted.
void run_blocked(const std::string& folder) {
  EndlessLog log(LogOptions{});
  SystemClock clock;
  auto store = StoreThread::open(folder + "/state.db", clock);
  ASSERT_TRUE(store);
  SnapshotBoard board;
  Heartbeat heartbeat;
  Shard shard(config(folder), **store, log, board, heartbeat);
  ControlOptions options;
  options.listen = Endpoint{"127.0.0.1:0", "127.0.0.1", 0, ""};
  options.signals = false;
  options.blocked_after = milliseconds(200);
  options.abort_after = milliseconds(1000);
  ControlCallbacks callbacks;
  callbacks.on_hopeless = [&log] {
    log.flush(std::chrono::seconds(10));
  };
  ControlThread control(
      options, board, heartbeat, log, [] { return std::make_unique<SystemClock>(); }, callbacks);
  ASSERT_TRUE(control.start());
  ASSERT_TRUE(shard.start());
  std::string answer;
  while (answer.find("HTTP/1.1 503") != 0) answer = health(control.address());
  LogOutput(LogOptions{}).write(LogLevel::info, "healthz says", {{"answer", answer}});
  ASSERT_TRUE(shard.wait());
}

TEST(WatchdogDeathTest, AShardThatDoesNotTurnIsNamedAndAborted) {
  testing::GTEST_FLAG(death_test_style) = "fast";  // nothing in this program has threads before
  const std::string folder = testing::TempDir() + "purgeline-watchdog";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  EXPECT_EXIT(
      run_blocked(folder), testing::KilledBySignal(SIGABRT),
      AllOf(ContainsRegex("event=.loop blocked. .*doing=stages stack=.*EndlessLog::write < "),
            ContainsRegex("healthz says. answer=.HTTP/1.1 503 .*has not turned"),
            ContainsRegex("event=aborting .*doing=stages stack=.*EndlessLog::write < ")));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace purgeline
