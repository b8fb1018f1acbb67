// Dispatch alone.
#include <benchmark/benchmark.h>

#include "dispatch_loop.h"
#include "support/allocations.h"

namespace purgeline::bench {
namespace {

void BM_dispatch(benchmark::State& state) {
  DispatchLoop loop;
  const std::size_t allocated = test::allocations();
  const std::uint64_t before = loop.good();
  for (auto _ : state) loop.turn();
  const auto more = static_cast<double>(test::allocations() - allocated);
  const auto purges = static_cast<double>(loop.good() - before);
  state.counters["allocations"] = more;
  state.counters["per purge"] =
      benchmark::Counter(purges, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_dispatch);

}  // namespace
}  // namespace purgeline::bench
