// The stages alone: decode, coalesce with journeys and ledger, and the ledger by itself.
#include <benchmark/benchmark.h>

#include <string>

#include "ack/ledger.h"
#include "bench_clock.h"
#include "coalesce/journeys.h"
#include "decode/resource_change.h"
#include "support/allocations.h"

namespace purgeline {
namespace {

void decode(benchmark::State& state, const std::string& json) {
  PurgeDecoder decoder;
  for (auto _ : state) {
    benchmark::DoNotOptimize(decoder.decode(json));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(json.size()));
}

const std::string kMediaWiki =
    R"({"$schema":"/resource_change/1.0.0","meta":{"uri":"https://it.wikipedia.org/wiki/)"
    R"(Francesco_Totti","request_id":"5f6b0c1e-7f0e-4a53-9a5b-0d7c9f2f9b11","id":)"
    R"("1a6f5d1c-7d4e-4a35-8a0b-5f3c2f1d9e77","dt":"2023-04-05T10:11:12Z","domain":)"
    R"("it.wikipedia.org","stream":"resource-purge"},"tags":["mediawiki"]})";

void BM_decode_mediawiki(benchmark::State& state) {
  decode(state, kMediaWiki);
}
BENCHMARK(BM_decode_mediawiki);

void BM_decode_with_cause(benchmark::State& state) {
  std::string json = kMediaWiki.substr(0, kMediaWiki.size() - 1);
  json += R"(,"root_event":{"dt":"2026-08-21T12:00:00Z","signature":")" + std::string(40, 'a') +
          R"("},"triggered_by":")" + std::string(300, 'b') + "\"}";
  decode(state, json);
}
BENCHMARK(BM_decode_with_cause);

struct Done : JourneySink {
  explicit Done(Ledger& kept) : ledger(kept) {}
  void on_target_done(const EventTicket& ticket, TargetId target) override {
    ledger.settle(ticket.sequence, target);
  }
  void on_finished(const FinishedEvent&) override {}
  Ledger& ledger;
};

// An event through two layers, each answered at once. `urls`: how many different ones come in turn.
void coalesce(benchmark::State& state, std::uint64_t urls) {
  bench::BenchClock clock;
  Ledger ledger(Offset{0}, 2, 100000);
  Done done(ledger);
  Coalescer coalescer({200000, 256 << 20, 200000, 2, Duration(0)}, clock);
  Journeys journeys({100000, std::chrono::seconds(1), {{TargetId{0}}, {TargetId{1}}}}, coalescer,
                    clock, done);
  Outcome good;
  good.result = AttemptResult::purged;
  std::int64_t offset = 0;
  for (auto _ : state) {
    for (int i = 0; i < 64; ++i) {
      const std::uint64_t url = static_cast<std::uint64_t>(offset) % urls;
      const std::uint64_t sequence = ledger.note(Offset{offset++}, 0b11, WallTime{});
      journeys.accept({Key{url * 0x9e3779b97f4a7c15ULL, url * 0xbf58476d1ce4e5b9ULL},
                       {"en.wikipedia.org", "/wiki/A_page_of_ordinary_length", "id"},
                       clock.now(),
                       {0, sequence},
                       {},
                       0b11});
    }
    for (const TargetId target : {TargetId{0}, TargetId{1}}) {
      clock.refresh();
      while (const auto delivery = coalescer.take(target)) coalescer.complete(delivery->id, good);
    }
    clock.refresh();
  }
  state.SetItemsProcessed(state.iterations() * 64);
}

void BM_coalesce_distinct(benchmark::State& state) {
  coalesce(state, 150000);
}
BENCHMARK(BM_coalesce_distinct);

void BM_coalesce_repeats(benchmark::State& state) {
  coalesce(state, 8);
}
BENCHMARK(BM_coalesce_repeats);

// An event noted and settled by two targets. `oldest_last`: the first of each 64 is settled last,
// so that the watermark waits for it and then takes 64 at once.
void ack(benchmark::State& state, bool oldest_last) {
  constexpr std::uint64_t kBatch = 64;
  Ledger ledger(Offset{0}, 2, 100000);
  std::int64_t offset = 0;
  const auto batch = [&] {
    std::uint64_t first = 0;
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      const std::uint64_t sequence = ledger.note(Offset{offset++}, 0b11, WallTime{});
      if (i == 0) first = sequence;
    }
    for (const TargetId target : {TargetId{0}, TargetId{1}}) {
      for (std::uint64_t i = 0; i < kBatch; ++i) {
        ledger.settle(first + (oldest_last ? kBatch - 1 - i : i), target);
      }
    }
    benchmark::DoNotOptimize(ledger.watermark());
  };
  batch();
  const std::size_t allocated = test::allocations();
  for (auto _ : state) batch();
  const auto more = static_cast<double>(test::allocations() - allocated);
  state.counters["allocations"] = more;
  state.counters["per event"] =
      benchmark::Counter(static_cast<double>(state.iterations() * kBatch),
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
}  // namespace purgeline
