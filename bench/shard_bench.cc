// The shard of `purgeline run`, metrics and commits included, from a mock broker to a null sink.
// Exit status 1 when a sink did not see every URL.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "app/shard.h"
#include "control/config_load.h"
#include "io/system_clock.h"
#include "mock_log.h"
#include "null_sink.h"
#include "purgeline/check.h"
#include "row.h"

namespace purgeline::bench {
namespace {

double cpu_seconds() {
  rusage usage{};
  CHECK(::getrusage(RUSAGE_SELF, &usage) == 0);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_mib() {
  long pages = 0;
  long resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident) * 4096 / (1 << 20);
}

Config config_of(const MockLog& log, const NullSink& sink, const std::string& folder) {
  std::string yaml = "state_dir: " + folder + "\nlog: {kafka: {brokers: [" + log.brokers +
                     "], topics: [purge], group: bench, start_at: earliest}}\npurge:\n  layers:\n";
  const char* names[] = {"backend", "frontend"};
  for (int i = 0; i < 2; ++i) {
    yaml += std::string("    - {name: ") + names[i] +
            ", targets: ['127.0.0.1:" + std::to_string(sink.ports[i]) + "']}\n";
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

// Everything that `purgeline run` has beside the admin page, with the defaults of the
// configuration, and what it reads from and sends to.
class World {
 public:
  World(long events, int partitions)
      : sink(start_null_sink()),
        log(start_mock_log(events, partitions)),
        folder_((std::filesystem::temp_directory_path() /
                 ("purgeline-bench-" + std::to_string(::getpid())))
                    .string()),
        output_(warnings_only()) {
    std::filesystem::create_directory(folder_);
    config_ = config_of(log, sink, folder_);
    auto store = StoreThread::open(folder_ + "/state.db", store_clock_);
    CHECK(store.has_value());
    store_ = std::move(*store);
    shard.emplace(config_, *store_, output_, board, heartbeat_);
  }
  ~World() {
    shard->stop();
    static_cast<void>(shard->wait());
    ::kill(sink.process, SIGKILL);
    ::kill(log.process, SIGKILL);
    while (::wait(nullptr) > 0) {
    }
    std::filesystem::remove_all(folder_);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  NullSink sink;
  MockLog log;
  SnapshotBoard board;
  std::optional<Shard> shard;

 private:
  std::string folder_;
  Config config_;
  SystemClock store_clock_;
  LogOutput output_;
  Heartbeat heartbeat_;
  std::unique_ptr<StoreThread> store_;
};

double committed(const SnapshotBoard& board) {
  double total = 0;
  for (const auto& partition : board.copy().partitions) total += partition.metrics.committed;
  return total;
}

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_{std::chrono::steady_clock::now()};
};

void pause_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

// Memory once everything is up and nothing has come yet.
int run_idle() {
  World world(0, 1);
  CHECK(world.shard->start().has_value());
  const Stopwatch watch;
  const auto up = [&world] {
    const auto targets = world.board.copy().targets;
    return targets.size() == 2 &&
           std::all_of(targets.begin(), targets.end(),
                       [](const auto& target) { return target.state == TargetState::up; });
  };
  while (!up() && watch.seconds() < 30) pause_ms(20);
  CHECK(up());
  print_row({"P12", "resident memory when idle, MiB", 32, resident_mib(), Better::lower});
  return 0;
}

int run(long events) {
  World world(events, 64);
  const SinkCounts* counts = world.sink.counts;
  const double idle = resident_mib();
  const double cpu = cpu_seconds();
  const Stopwatch watch;
  CHECK(world.shard->start().has_value());
  while (counts[1].distinct < static_cast<std::uint64_t>(events) && watch.seconds() < 300) {
    pause_ms(2);
  }
  const double seconds = watch.seconds();
  while (committed(world.board) < static_cast<double>(events) && watch.seconds() < 320) {
    pause_ms(20);
  }
  const double used = cpu_seconds() - cpu;
  std::printf("events %ld, to two layers, I/O by %s\n", events,
              world.board.copy().io_backend.c_str());
  std::printf("  events/s            %.0f\n", static_cast<double>(events) / seconds);
  std::printf("  router CPU          %.2f s per million purges\n",
              used * 1e6 / 2 / static_cast<double>(events));
  std::printf("  resident            %.0f MiB before, %.0f MiB after\n", idle, resident_mib());
  bool all = committed(world.board) >= static_cast<double>(events);
  std::printf("  committed           %.0f\n", committed(world.board));
  for (int i = 0; i < 2; ++i) {
    std::printf("  layer %d             %llu requests, %llu distinct URLs\n", i + 1,
                static_cast<unsigned long long>(counts[i].requests),
                static_cast<unsigned long long>(counts[i].distinct));
    all = all && counts[i].distinct == static_cast<std::uint64_t>(events);
  }
  print_row({"P8", "router CPU per event into the null sink, us", 3.6,
             used * 1e6 / static_cast<double>(events), Better::lower});
  return all ? 0 : 1;
}

}  // namespace
}  // namespace purgeline::bench

// `shard_bench [EVENTS]`, or `shard_bench idle`.
int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the daemon does
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
  const std::string what = argc > 1 ? argv[1] : "300000";
  return what == "idle" ? purgeline::bench::run_idle()
                        : purgeline::bench::run(std::atol(what.c_str()));
}
