// The stages alone: decode, coalesce with journeys and ledger, and the ledger by itself.
#include <benchmark/benchmark.h>

#include "decode/resource_change.h"
#include "stage_loops.h"
#include "support/allocations.h"

namespace purgeline::bench {
namespace {

void decode(benchmark::State& state, const std::string& json) {
  PurgeDecoder decoder;
  for (auto _ : state) {
    benchmark::DoNotOptimize(decoder.decode(json));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(json.size()));
}

void BM_decode_mediawiki(benchmark::State& state) {
  decode(state, mediawiki_event());
}
BENCHMARK(BM_decode_mediawiki);

void BM_decode_with_cause(benchmark::State& state) {
  decode(state, event_with_cause());
}
BENCHMARK(BM_decode_with_cause);

void coalesce(benchmark::State& state, std::uint64_t urls) {
  CoalesceLoop loop(urls);
  for (auto _ : state) loop.round();
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}

void BM_coalesce_distinct(benchmark::State& state) {
  coalesce(state, 150000);
}
BENCHMARK(BM_coalesce_distinct);

void BM_coalesce_repeats(benchmark::State& state) {
  coalesce(state, 8);
}
BENCHMARK(BM_coalesce_repeats);

void ack(benchmark::State& state, bool oldest_last) {
  AckLoop loop(oldest_last);
  loop.round();
  const std::size_t allocated = test::allocations();
  for (auto _ : state) benchmark::DoNotOptimize(loop.round());
  const auto more = static_cast<double>(test::allocations() - allocated);
  state.counters["allocations"] = more;
  state.counters["per event"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(kBatch),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void BM_ack_in_order(benchmark::State& state) {
  ack(state, false);
}
BENCHMARK(BM_ack_in_order);

void BM_ack_oldest_last(benchmark::State& state) {
  ack(state, true);
}
BENCHMARK(BM_ack_oldest_last);

}  // namespace
}  // namespace purgeline::bench
