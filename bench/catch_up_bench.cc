// A backlog through two real caches, one layer each: the shard of `purgeline run` from a mock
// broker against the peer (peer.h), which has the pages in memory, in turns. `catch_up_bench
// HOST:PORT PID HOST:PORT PID [EVENTS [ROUNDS]]`: Traffic Server, then Varnish.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "peer.h"
#include "purgeline/check.h"
#include "row.h"
#include "usage.h"
#include "world.h"

namespace purgeline::bench {
namespace {

struct Run {
  double router_us{0};  // CPU per event
  double caches_us{0};
  double per_second{0};
  double purges{0};  // per distinct URL and layer
  double a_turn{0};  // purges per turn of the loop
};

template <class Work>
Run measure(const std::vector<Cache>& caches, long events, Work work) {
  const auto theirs = [&caches] {
    return cpu_of(caches[0].pid) + cpu_of(caches[1].pid);
  };
  const double own = own_cpu();
  const double before = theirs();
  const Stopwatch watch;
  work();
  const double seconds = watch.seconds();
  const auto count = static_cast<double>(events);
  return {(own_cpu() - own) * 1e6 / count, (theirs() - before) * 1e6 / count, count / seconds, 0,
          0};
}

// `each`: how often every URL comes.
Run catch_up(const std::vector<Cache>& caches, long events, long each) {
  World world({events, 64, each}, {caches[0].port, caches[1].port});
  const auto wanted = static_cast<double>(events);
  double seconds = 0;
  Run run = measure(caches, events, [&] {
    CHECK(world.shard->start().has_value());
    while (world.purged(0) == 0) pause_ms(5);
    // From the first to the last. Both are seen a little late, by the snapshot.
    const Stopwatch watch;
    while (world.purged(1) < wanted / static_cast<double>(each) && watch.seconds() < 120) {
      pause_ms(5);
    }
    seconds = watch.seconds();
  });
  run.per_second = wanted / seconds;
  const Stopwatch watch;
  while (world.committed() < wanted && watch.seconds() < 30) pause_ms(20);
  CHECK(world.committed() >= wanted);
  run.a_turn =
      (world.purged(0) + world.purged(1)) / static_cast<double>(world.board.copy().shard.turns);
  run.purges = (world.purged(0) + world.purged(1)) / 2 / (wanted / static_cast<double>(each));
  return run;
}

int run(const std::vector<Cache>& caches, long events, long rounds) {
  std::vector<double> cpu, rate, bound, purges, time;
  std::printf("%ld rounds of %ld events to two layers; CPU us per event\n", rounds, events);
  std::printf(
      "  round    peer  caches  events/s   Purgeline  caches  events/s   each URL twice: "
      "events/s  purges/URL\n");
  for (long round = 0; round < rounds; ++round) {
    const Run peer =
        measure(caches, events / 3, [&] { purge_as_purged(caches, round, events / 3); });
    const Run own = catch_up(caches, events, 1);
    const Run twice = catch_up(caches, events, 2);
    std::printf("  %5ld %7.2f %7.2f %9.0f %11.2f %7.2f %9.0f %7.1f %25.0f %11.3f\n", round + 1,
                peer.router_us, peer.caches_us, peer.per_second, own.router_us, own.caches_us,
                own.per_second, own.a_turn, twice.per_second, twice.purges);
    cpu.push_back(peer.router_us / own.router_us);
    rate.push_back(own.per_second / peer.per_second);
    const double cores = std::thread::hardware_concurrency();
    bound.push_back(own.per_second * (own.router_us + own.caches_us) * 1e-6 / cores);
    purges.push_back(twice.purges);
    time.push_back(own.per_second / twice.per_second);
  }
  print_row({"P4", "router CPU per event: peer / Purgeline", 16, median(cpu), Better::higher});
  print_row({"P5", "events/s of what the CPUs allow", 0.85, median(bound), Better::higher});
  print_row({"P6", "events/s, real caches: Purgeline / peer", 5, median(rate), Better::higher});
  print_row({"P7", "purges per URL that comes twice", 1.01, median(purges), Better::lower});
  print_row({"P7", "time of that, of all distinct", 0.55, median(time), Better::lower});
  return 0;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  using namespace purgeline::bench;
  CHECK(argc >= 5);
  tune_memory();
  return run({cache_of(argv[1], argv[2]), cache_of(argv[3], argv[4])},
             argc > 5 ? std::atol(argv[5]) : 150000, argc > 6 ? std::atol(argv[6]) : 3);
}
