#include "world.h"

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "control/config_load.h"
#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

// The mock broker answers a fetch that finds nothing only when the longest wait is over; a real one
// does when something has come. So a paced log gets a short one.
Config config_of(const MockLog& log, bool paced, const std::array<std::uint16_t, 2>& ports,
                 const std::string& folder) {
  std::string yaml = "state_dir: " + folder + "\nlog: {kafka: {brokers: [" + log.brokers +
                     "], topics: [purge], group: bench, start_at: earliest" +
                     (paced ? ", properties: {fetch.wait.max.ms: '10'}" : "") +
                     "}}\npurge:\n  fence: off\n  layers:\n";
  const char* names[] = {"backend", "frontend"};
  for (int i = 0; i < 2; ++i) {
    yaml += std::string("    - {name: ") + names[i] +
            ", targets: ['127.0.0.1:" + std::to_string(ports[i]) + "']}\n";
  }
  const std::pair<std::string, std::string> text{"bench", yaml};
  const ConfigResult result = load_config_texts({&text, 1}, {});
  if (!result.config) std::fputs(format_errors(result.errors).c_str(), stderr);
  CHECK(result.config.has_value());
  return *result.config;
}

LogOptions warnings_only() {
  LogOptions options;
  options.level = LogLevel::warning;
  return options;
}

}  // namespace

void tune_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
}

double resident_mib() {
  long pages = 0;
  long resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident) * 4096 / (1 << 20);
}

void pause_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

World::World(const LogPlan& plan, std::array<std::uint16_t, 2> ports)
    : log(start_mock_log(plan)),
      folder_((std::filesystem::temp_directory_path() /
               ("purgeline-bench-" + std::to_string(::getpid())))
                  .string()),
      output_(warnings_only()) {
  std::filesystem::create_directory(folder_);
  config_ = config_of(log, plan.paced, ports, folder_);
  auto store = StoreThread::open(folder_ + "/state.db", store_clock_);
  CHECK(store.has_value());
  store_ = std::move(*store);
  shard.emplace(config_, *store_, output_, board, heartbeat_);
}

World::~World() {
  shard->stop();
  static_cast<void>(shard->wait());
  ::kill(log.process, SIGKILL);
  ::waitpid(log.process, nullptr, 0);
  std::filesystem::remove_all(folder_);
}

bool World::up() const {
  const auto targets = board.copy().targets;
  return targets.size() == 2 && std::all_of(targets.begin(), targets.end(), [](const auto& target) {
           return target.state == TargetState::up;
         });
}

double World::committed() const {
  double total = 0;
  for (const auto& partition : board.copy().partitions) total += partition.metrics.committed;
  return total;
}

double World::purged(std::size_t target) const {
  const auto targets = board.copy().targets;
  if (targets.size() <= target) return 0;
  const auto& results = targets[target].metrics.results;
  return static_cast<double>(results[static_cast<std::size_t>(AttemptResult::purged)] +
                             results[static_cast<std::size_t>(AttemptResult::absent)]);
}

}  // namespace purgeline::bench
