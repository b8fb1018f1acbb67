// What the benchmarks of single stages repeat: one round of each on one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "ack/ledger.h"
#include "bench_clock.h"
#include "coalesce/journeys.h"

namespace purgeline::bench {

inline std::string mediawiki_event() {
  return R"({"$schema":"/resource_change/1.0.0","meta":{"uri":"https://it.wikipedia.org/wiki/)"
         R"(Francesco_Totti","request_id":"5f6b0c1e-7f0e-4a53-9a5b-0d7c9f2f9b11","id":)"
         R"("1a6f5d1c-7d4e-4a35-8a0b-5f3c2f1d9e77","dt":"2023-04-05T10:11:12Z","domain":)"
         R"("it.wikipedia.org","stream":"resource-purge"},"tags":["mediawiki"]})";
}

inline std::string event_with_cause() {
  std::string json = mediawiki_event();
  json.pop_back();
  return json + R"(,"root_event":{"dt":"2026-08-21T12:00:00Z","signature":")" +
         std::string(40, 'a') + R"("},"triggered_by":")" + std::string(300, 'b') + "\"}";
}

constexpr std::uint64_t kBatch = 64;  // events of a round

// Events through two layers, each answered at once. `urls`: how many different ones come in turn.
class CoalesceLoop : public JourneySink {
 public:
  explicit CoalesceLoop(std::uint64_t urls) : urls_(urls) {}

  void round() {
    Outcome good;
    good.result = AttemptResult::purged;
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      const std::uint64_t url = static_cast<std::uint64_t>(offset_) % urls_;
      const std::uint64_t sequence = ledger_.note(Offset{offset_++}, 0b11, WallTime{});
      journeys_.accept({Key{url * 0x9e3779b97f4a7c15ULL, url * 0xbf58476d1ce4e5b9ULL},
                        {"en.wikipedia.org", "/wiki/A_page_of_ordinary_length", "id"},
                        clock_.now(),
                        {0, 0, sequence},
                        {},
                        0b11});
    }
    for (const TargetId target : {TargetId{0}, TargetId{1}}) {
      clock_.refresh();
      while (const auto delivery = coalescer_.take(target)) coalescer_.complete(delivery->id, good);
    }
    clock_.refresh();
  }

  void on_target_done(const EventTicket& ticket, TargetId target) override {
    ledger_.settle(ticket.sequence, target);
  }
  void on_finished(const FinishedEvent& /*event*/) override {}

 private:
  std::uint64_t urls_;
  BenchClock clock_;
  Ledger ledger_{Offset{0}, 2, 100000};
  Coalescer coalescer_{{200000, 256 << 20, 200000, 2, Duration(0)}, clock_};
  Journeys journeys_{
      {100000, std::chrono::seconds(1), {{TargetId{0}}, {TargetId{1}}}}, coalescer_, clock_, *this};
  std::int64_t offset_{0};
};

// Events noted and settled by two targets. `oldest_last`: the first of a round is settled last, so
// that the watermark waits for it and then takes all at once.
class AckLoop {
 public:
  explicit AckLoop(bool oldest_last) : oldest_last_(oldest_last) {}

  Ledger::Watermark round() {
    std::uint64_t first = 0;
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      const std::uint64_t sequence = ledger_.note(Offset{offset_++}, 0b11, WallTime{});
      if (i == 0) first = sequence;
    }
    for (const TargetId target : {TargetId{0}, TargetId{1}}) {
      for (std::uint64_t i = 0; i < kBatch; ++i) {
        ledger_.settle(first + (oldest_last_ ? kBatch - 1 - i : i), target);
      }
    }
    return ledger_.watermark();
  }

 private:
  bool oldest_last_;
  Ledger ledger_{Offset{0}, 2, 100000};
  std::int64_t offset_{0};
};

}  // namespace purgeline::bench
