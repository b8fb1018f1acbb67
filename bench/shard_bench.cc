// The shard of `purgeline run`, metrics and commits included, from a mock broker to a null sink.
// Exit status 1 when a sink did not see every URL.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "app/shard.h"
#include "control/config_load.h"
#include "io/system_clock.h"
#include "mock_log.h"
#include "null_sink.h"
#include "purgeline/check.h"

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
                     "], topics: [purge], group: bench, start_at: earliest}}\npurge:\n"
                     "  coalesce: {capacity: 1000000}\n  layers:\n";
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

double committed(const SnapshotBoard& board) {
  double total = 0;
  for (const auto& partition : board.copy().partitions) total += partition.metrics.committed;
  return total;
}

int run(long events) {
  const NullSink sink = start_null_sink();
  const MockLog log = start_mock_log(events, 64);
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("purgeline-bench-" + std::to_string(::getpid())))
          .string();
  std::filesystem::create_directory(folder);
  const Config config = config_of(log, sink, folder);
  LogOptions log_options;
  log_options.level = LogLevel::warning;
  LogOutput output(log_options);
  SystemClock store_clock;
  auto store = StoreThread::open(folder + "/state.db", store_clock);
  CHECK(store.has_value());
  SnapshotBoard board;
  Heartbeat heartbeat;
  Shard shard(config, **store, output, board, heartbeat);
  const double idle = resident_mib();
  const double cpu = cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  const Status started = shard.start();
  CHECK(started.has_value());
  const auto passed = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  while (sink.counts[1].distinct < static_cast<std::uint64_t>(events) && passed() < 300) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const double seconds = passed();
  while (committed(board) < static_cast<double>(events) && passed() < 320) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const double used = cpu_seconds() - cpu;
  std::printf("events %ld, to two layers\n", events);
  std::printf("  events/s            %.0f\n", static_cast<double>(events) / seconds);
  std::printf("  router CPU          %.2f us/event, %.2f s per million purges\n",
              used * 1e6 / static_cast<double>(events),
              used * 1e6 / 2 / static_cast<double>(events));
  std::printf("  resident            %.0f MiB before, %.0f MiB after\n", idle, resident_mib());
  bool all = committed(board) >= static_cast<double>(events);
  std::printf("  committed           %.0f\n", committed(board));
  for (int i = 0; i < 2; ++i) {
    std::printf("  layer %d             %llu requests, %llu distinct URLs\n", i + 1,
                static_cast<unsigned long long>(sink.counts[i].requests),
                static_cast<unsigned long long>(sink.counts[i].distinct));
    all = all && sink.counts[i].distinct == static_cast<std::uint64_t>(events);
  }
  shard.stop();
  static_cast<void>(shard.wait());
  ::kill(sink.process, SIGKILL);
  ::kill(log.process, SIGKILL);
  while (::wait(nullptr) > 0) {
  }
  std::filesystem::remove_all(folder);
  return all ? 0 : 1;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the daemon does
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
  return purgeline::bench::run(argc > 1 ? std::atol(argv[1]) : 300000);
}
