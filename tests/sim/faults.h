// Faults: what goes wrong in a simulated world, how likely each kind is, and how often it happened.
//
// Each seed has some kinds of its own, each with a likeliness of its own: a world where everything
// fails all the time hides as much as one where nothing does.
#pragma once

#include <array>
#include <cstdint>

#include "support/fake_clock.h"

// X(kind, what the report calls it, most): for kinds that are rolled, most per mille; for kinds
// that the scenario plans, how often at most in one run. The last three are consequences, and
// counted when the program tells of them.
#define PURGELINE_FAULTS(X)                                      \
  X(connect_refused, "connects refused", 300)                    \
  X(connect_silent, "connects never answered", 100)              \
  X(reset, "connections reset", 40)                              \
  X(split_send, "writes taken in parts", 500)                    \
  X(split_answer, "answers in parts", 500)                       \
  X(slow, "slow answers", 50)                                    \
  X(silent, "requests never answered", 8)                        \
  X(error_5xx, "5xx answers", 120)                               \
  X(interim, "1xx before an answer", 200)                        \
  X(garbage, "garbage instead of an answer", 15)                 \
  X(no_length, "204 without a length", 500)                      \
  X(chunked, "chunked answers", 300)                             \
  X(cut_answer, "closed in mid-answer", 15)                      \
  X(close_after, "closed after every k-th answer", 1000)         \
  X(extra_answer, "two answers to one request", 10)              \
  X(unasked_answer, "answers to nothing", 150)                   \
  X(target_down, "caches stopped", 2)                            \
  X(denial, "caches that deny purges", 1)                        \
  X(name_failure, "names not resolved", 300)                     \
  X(name_silent, "name service silent", 50)                      \
  X(log_unreachable, "log unreachable", 2)                       \
  X(log_frozen, "log frozen", 1)                                 \
  X(redelivered, "offsets handed over twice", 50)                \
  X(out_of_order, "events later than younger ones", 200)         \
  X(log_duplicate, "events in the log twice", 200)               \
  X(topic_recreated, "topics recreated", 1)                      \
  X(topic_late, "topics that appear later", 1)                   \
  X(partition_added, "partitions added", 1)                      \
  X(retention, "unread offsets eaten by retention", 1)           \
  X(cluster_changed, "moves to another cluster", 1)              \
  X(commit_failed, "commits refused", 200)                       \
  X(commit_late, "commits late", 200)                            \
  X(position_disk, "state.db not writable for positions", 300)   \
  X(letter_disk, "disk full for dead letters", 2)                \
  X(letter_queue, "dead letters turned away", 500)               \
  X(crash, "crashes", 4)                                         \
  X(crash_midway, "crashes in the middle of a turn", 3)          \
  X(stop, "orderly stops", 2)                                    \
  X(reload, "configurations changed", 4)                         \
  X(producer_clock, "producers' clocks wrong", 300)              \
  X(host_clock, "this host's clock stepped", 3)                  \
  X(clock_unsynchronised, "this host's clock unsynchronised", 1) \
  X(malformed_event, "malformed events", 60)                     \
  X(foreign_host, "events of hosts not ours", 60)                \
  X(poison_url, "URLs that make caches close", 15)               \
  X(refused_url, "URLs that caches refuse", 30)                  \
  X(backlog, "backlogs at start", 1)                             \
  X(target_behind, "targets left out", 1)                        \
  X(fell_back, "live readings that fell back", 1)                \
  X(catch_up, "catch-ups", 1)

namespace purgeline::sim {

enum class Fault : std::uint8_t {
#define X(kind, name, most) kind,
  PURGELINE_FAULTS(X)
#undef X
};
#define X(kind, name, most) +1
inline constexpr std::size_t kFaults = 0 PURGELINE_FAULTS(X);
#undef X
[[nodiscard]] const char* fault_name(Fault fault);

using FaultCounts = std::array<std::uint64_t, kFaults>;

struct FaultRow {
  const char* name;
  std::uint32_t most;
};

// The kinds of one table; each is drawn a likeliness, or none.
template <class Kind, std::size_t kCount>
class FaultsOf {
 public:
  // Rolls for a kind that happens by chance, and counts it when it does.
  bool hit(Kind kind) {
    const std::uint32_t likeliness = likeliness_[static_cast<std::size_t>(kind)];
    if (stopped_ || likeliness == 0 || random_.below(1000) >= likeliness) return false;
    happened(kind);
    return true;
  }
  // How often a planned kind is to happen in this run.
  [[nodiscard]] std::uint64_t times(Kind kind) const {
    return stopped_ ? 0 : likeliness_[static_cast<std::size_t>(kind)];
  }
  void happened(Kind kind) { ++counts_[static_cast<std::size_t>(kind)]; }
  void set(Kind kind, std::uint32_t likeliness) {
    likeliness_[static_cast<std::size_t>(kind)] = likeliness;
  }
  // From now on nothing goes wrong any more.
  void stop() { stopped_ = true; }
  [[nodiscard]] const std::array<std::uint64_t, kCount>& counts() const { return counts_; }

 protected:
  // `quiet`: nothing goes wrong, and as much is drawn.
  FaultsOf(test::FakeRandom& random, const FaultRow (&rows)[kCount], bool quiet) : random_(random) {
    for (std::size_t i = 0; i < kCount; ++i) {
      const bool drawn = random_.below(2) == 0;
      const auto likeliness = static_cast<std::uint32_t>(1 + random_.below(rows[i].most));
      if (drawn && !quiet) likeliness_[i] = likeliness;
    }
  }

 private:
  test::FakeRandom& random_;
  std::array<std::uint32_t, kCount> likeliness_{};
  std::array<std::uint64_t, kCount> counts_{};
  bool stopped_{false};
};

class Faults : public FaultsOf<Fault, kFaults> {
 public:
  explicit Faults(test::FakeRandom& random);
};

}  // namespace purgeline::sim
