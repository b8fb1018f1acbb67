// sim: runs the simulator by hand, and in the tests over many seeds.
//
//   sim SEED                     one seed, with everything that happens in it
//   sim --seeds N [--from S]     N seeds; fails when a kind of fault never happened in 100 or more
//   sim --minutes N [--from S]   as many as fit into the time
//   sim --hosts ...              any of these, in a world of several hosts
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "sim/runner.h"

namespace purgeline::sim {
namespace {

constexpr int kUsage = 2;

int usage() {
  std::fprintf(stderr,
               "usage: sim [--hosts] SEED | --seeds N [--from S] | --minutes N [--from S]\n");
  return kUsage;
}

// A kind of world: how one is run and what sums up many.
struct One {
  using Sum = Report;
  static constexpr const char* kOption = "";
  static RunResult run(std::uint64_t seed, bool print) { return run_seed(seed, print); }
};
struct Several {
  using Sum = HostsReport;
  static constexpr const char* kOption = "--hosts ";
  static HostsResult run(std::uint64_t seed, bool print) { return run_hosts(seed, print); }
};

template <typename Kind>
int replay(std::uint64_t seed) {
  const auto result = Kind::run(seed, true);
  typename Kind::Sum report;
  report.add(result.counts);
  std::printf("\nseed %llu, trace %016llx\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(result.hash));
  report.print();
  if (result.violation.empty()) return 0;
  std::printf("\nBROKEN: %s\n", result.violation.c_str());
  return 1;
}

// Every kind happens in one seed of four or so; it takes some seeds until that can be asked for.
constexpr std::uint64_t kEnoughSeeds = 100;

template <typename Kind>
int many(std::uint64_t from, std::uint64_t seeds, std::chrono::minutes minutes) {
  const auto end = std::chrono::steady_clock::now() + minutes;
  typename Kind::Sum report;
  std::vector<std::uint64_t> broken;
  for (std::uint64_t seed = from;; ++seed) {
    const bool over = seeds > 0 ? seed - from >= seeds : std::chrono::steady_clock::now() >= end;
    if (over || broken.size() >= 10) break;
    std::fflush(stdout);
    const auto result = Kind::run(seed, false);
    report.add(result.counts);
    if (result.violation.empty()) continue;
    broken.push_back(seed);
    std::printf("BROKEN by seed %llu: %s\n  replay: ./dev sim %s%llu\n",
                static_cast<unsigned long long>(seed), result.violation.c_str(), Kind::kOption,
                static_cast<unsigned long long>(seed));
  }
  report.print();
  int status = broken.empty() ? 0 : 1;
  if (report.runs() < kEnoughSeeds) return status;
  for (const std::string& kind : report.missing()) {
    std::printf("NEVER HAPPENED: %s\n", kind.c_str());
    status = 1;
  }
  return status;
}

template <typename Kind>
int main_of(const std::vector<std::string>& arguments) {
  std::uint64_t from = 1;
  std::uint64_t seeds = 0;
  std::uint64_t minutes = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool option = argument.rfind("--", 0) == 0;
    if (option && ++i == arguments.size()) return usage();
    char* rest = nullptr;
    const std::uint64_t number = std::strtoull(arguments[i].c_str(), &rest, 10);
    if (*rest != '\0' || arguments[i].empty()) return usage();
    if (!option) return arguments.size() == 1 ? replay<Kind>(number) : usage();
    if (argument == "--seeds")
      seeds = number;
    else if (argument == "--from")
      from = number;
    else if (argument == "--minutes")
      minutes = number;
    else
      return usage();
  }
  if ((seeds == 0) == (minutes == 0)) return usage();
  return many<Kind>(from, seeds, std::chrono::minutes(minutes));
}

}  // namespace
}  // namespace purgeline::sim

int main(int argc, char** argv) {
  using namespace purgeline::sim;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty() || arguments.front() != "--hosts") return main_of<One>(arguments);
  arguments.erase(arguments.begin());
  return main_of<Several>(arguments);
}
