// A test in dispatch's place: it takes the purges of URLs that owe fences, and answers them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "coalesce/fences.h"
#include "coalesce/journeys.h"
#include "support/fake_clock.h"

namespace purgeline::fences_test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr TargetId kBackend{0};
inline constexpr TargetId kFrontend{1};
inline constexpr TargetId kOther{2};  // of the layer that a test puts it into

inline constexpr Duration kLag = seconds(1);
inline constexpr Duration kFetch = seconds(10);
inline constexpr Duration kHit = seconds(1);
inline constexpr Duration kStep = (kLag + kFetch) / 16;
inline constexpr Duration kTick = milliseconds(10);

struct Bench : JourneySink {
  explicit Bench(LayerPlans::Layers layers = {{kBackend}, {kFrontend}}, std::uint32_t fences = 100,
                 Duration hit_time = kHit)
      : all(mask(layers)),
        coalescer({400, 8 << 20, 900, 3, milliseconds(100)}, clock),
        journeys({300, seconds(1), std::move(layers), fences, {kLag, kFetch, hit_time}}, coalescer,
                 clock, *this) {}

  static TargetMask mask(const LayerPlans::Layers& layers) {
    TargetMask all = 0;
    for (const auto& layer : layers) {
      for (const TargetId target : layer) all |= mask_of(target);
    }
    return all;
  }
  void on_target_done(const EventTicket&, TargetId) override {}
  void on_finished(const FinishedEvent& event) override {
    finished.push_back(event.ticket.sequence);
  }

  // False: its fence found no room.
  bool event(std::uint64_t key, Duration age = Duration{0}, Priority priority = Priority::live,
             std::optional<TargetMask> targets = {}) {
    const std::uint64_t number = next++;
    return journeys.accept({Key{1, key},
                            {"h", "/" + std::to_string(key), ""},
                            clock.now() - age,
                            {0, 0, number},
                            {},
                            targets.value_or(all),
                            priority,
                            {partition, Offset{static_cast<std::int64_t>(number)}},
                            false,
                            peers,
                            among_peers});
  }
  [[nodiscard]] std::optional<Offset> waits_for(PartitionId of = PartitionId{0}) {
    const auto first = fences().first_for_peers(of);
    return first ? std::optional(first->offset) : std::nullopt;
  }
  struct Seen {
    TargetId target;
    std::string path;
    MonoTime at;
  };
  // Time goes on; each purge that is due is answered at once, on targets that are not silent.
  void run(Duration duration) {
    const MonoTime end = clock.now() + duration;
    for (;;) {
      journeys.turn();
      for (const TargetId target : {kBackend, kFrontend, kOther}) {
        if ((all & mask_of(target)) == 0 || silent.count(target) > 0) continue;
        while (const auto delivery = coalescer.take(target)) {
          seen.push_back({target, std::string(delivery->path), clock.now()});
          Outcome outcome;
          outcome.result = answers;
          outcome.not_before = clock.now() + seconds(1);
          coalescer.complete(delivery->id, outcome);
        }
      }
      journeys.turn();
      if (clock.now() >= end) return;
      clock.advance(kTick);
    }
  }
  void leave_out(TargetId target) {
    journeys.leave_out(target);
    while (coalescer.drop_some(target, 10)) continue;
  }
  [[nodiscard]] std::vector<MonoTime> purges(TargetId target) const {
    std::vector<MonoTime> times;
    for (const Seen& purge : seen) {
      if (purge.target == target) times.push_back(purge.at);
    }
    return times;
  }
  [[nodiscard]] Fences& fences() { return journeys.fences(); }

  test::FakeClock clock;
  TargetMask all;
  Coalescer coalescer;
  Journeys journeys;
  std::uint64_t next{0};
  std::vector<std::uint64_t> finished;
  std::vector<Seen> seen;
  std::set<TargetId> silent;
  AttemptResult answers{AttemptResult::purged};
  PartitionId partition{0};  // of the events that come
  bool peers{false};         // their fences wait for other hosts
  bool among_peers{false};   // or other hosts have fenced them already
};

}  // namespace purgeline::fences_test
