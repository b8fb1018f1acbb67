// The stores and the name service of the simulated world: what outlives the program, and how it
// fails.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "purgeline/resolver.h"
#include "purgeline/stores.h"
#include "sim/faults.h"
#include "sim/sim_clock.h"

namespace purgeline::sim {

// A disk with dead letters on it. It outlives the program.
struct LetterDisk {
  struct Kept {
    DeadLetter letter;
    MonoTime at;
  };
  std::vector<Kept> letters;
  bool full{false};
};

// Dead letters take a while to reach the disk, are told a while later, and wait while it is full.
class SimDeadLetters : public DeadLetters {
 public:
  SimDeadLetters(LetterDisk& disk, SimClock& clock, Agenda& agenda, test::FakeRandom& random,
                 Faults& faults, std::function<void()> crash_point);
  void start(DeadLetterListener& listener) override { listener_ = &listener; }
  [[nodiscard]] bool put(std::uint64_t ticket, const DeadLetter& letter) override;
  void poll() override;

 private:
  struct Waiting {
    std::uint64_t ticket;
    DeadLetter letter;
    MonoTime due;
  };
  LetterDisk& disk_;
  SimClock& clock_;
  Agenda& agenda_;
  test::FakeRandom& random_;
  Faults& faults_;
  std::function<void()> crash_point_;
  DeadLetterListener* listener_{nullptr};
  std::deque<Waiting> waiting_;
  bool trouble_{false};
};

// Watches an offset store: each commit is looked at when the program asks for it; some are refused,
// some come late.
class WatchedStore : public OffsetStore {
 public:
  using Watch = std::function<void(const Commit&)>;
  WatchedStore(OffsetStore& inner, Fault refused, SimClock& clock, Agenda& agenda,
               test::FakeRandom& random, Faults& faults, Watch watch);
  void start(OffsetStoreListener& listener) override;
  void load(PartitionId partition, const PartitionName& name) override;
  void commit(std::span<const Commit> commits) override;
  void poll() override;

 private:
  struct Held {
    MonoTime due;
    std::vector<Commit> commits;
    bool refused;
  };
  // Longer than the committer waits for an answer; not where the order of the past matters.
  static constexpr Duration kVeryLate = std::chrono::seconds(35);

  OffsetStore& inner_;
  const Fault refused_;
  SimClock& clock_;
  Agenda& agenda_;
  test::FakeRandom& random_;
  Faults& faults_;
  Watch watch_;
  OffsetStoreListener* listener_{nullptr};
  std::deque<Held> held_;  // in order of commits
};

// "cache-1000.sim" is 127.0.0.1, when it is anything.
class SimResolver : public Resolver {
 public:
  SimResolver(SimClock& clock, Agenda& agenda, test::FakeRandom& random, Faults& faults)
      : clock_(clock), agenda_(agenda), random_(random), faults_(faults) {}
  void resolve(std::string host, std::uint16_t port, ResolveHandler& handler) override;
  void cancel(ResolveHandler& handler) override;
  void poll() override;

 private:
  struct Question {
    ResolveHandler* handler;
    std::uint16_t port;
    MonoTime due;
  };
  SimClock& clock_;
  Agenda& agenda_;
  test::FakeRandom& random_;
  Faults& faults_;
  std::vector<Question> questions_;
};

}  // namespace purgeline::sim
