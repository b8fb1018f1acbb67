// The stages alone: decode, and coalesce with journeys and ledger.
#include <benchmark/benchmark.h>

#include <string>

#include "ack/ledger.h"
#include "coalesce/journeys.h"
#include "decode/resource_change.h"

namespace purgeline {
namespace {

class BenchClock : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return {}; }
  [[nodiscard]] bool wall_synchronised() const override { return true; }
  void refresh() override { now_ += std::chrono::microseconds(1); }

 private:
  MonoTime now_{std::chrono::hours(1)};
};

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
  BenchClock clock;
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

}  // namespace
}  // namespace purgeline
