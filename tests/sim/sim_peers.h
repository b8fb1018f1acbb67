// SimPeers: the topic by which simulated hosts tell each other how far they are, and what goes
// wrong with it.
//
// As the topic in Kafka: messages of one host stay in order, one is on its way at a time and then
// the latest follows, and nobody reads what was written while he was not there.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "purgeline/peers.h"
#include "sim/faults.h"
#include "sim/sim_clock.h"

namespace purgeline::sim {

// X(kind, what the report calls it, most): as PURGELINE_FAULTS, for what is between hosts. The last
// ones are consequences, and counted when a program tells of them.
#define PURGELINE_HOST_FAULTS(X)                         \
  X(mark_lost, "peers' messages lost", 200)              \
  X(mark_late, "peers' messages late", 100)              \
  X(topic_away, "peers' topic unreachable", 3)           \
  X(silent, "hosts that nobody hears", 2)                \
  X(deaf, "hosts that hear nobody", 2)                   \
  X(killed, "hosts killed and away", 2)                  \
  X(left_out, "peers left out", 1)                       \
  X(taken_in, "peers waited for again", 1)               \
  X(caught_up, "catch-ups of what a peer had missed", 1) \
  X(refilled, "frontends filled from another host", 1)   \
  X(waited, "commits of events that a peer had last", 1)

enum class HostFault : std::uint8_t {
#define X(kind, name, most) kind,
  PURGELINE_HOST_FAULTS(X)
#undef X
};
#define X(kind, name, most) +1
inline constexpr std::size_t kHostFaults = 0 PURGELINE_HOST_FAULTS(X);
#undef X
[[nodiscard]] const char* host_fault_name(HostFault fault);

using HostFaultCounts = std::array<std::uint64_t, kHostFaults>;

class HostFaults : public FaultsOf<HostFault, kHostFaults> {
 public:
  HostFaults(test::FakeRandom& random, bool quiet);
};

class SimPeers {
 public:
  SimPeers(SimClock& clock, Agenda& agenda, test::FakeRandom& random, HostFaults& faults)
      : clock_(clock), agenda_(agenda), random_(random), faults_(faults) {}

  // What is said arrives sooner than this where nothing goes wrong.
  static constexpr Duration kTravel = std::chrono::milliseconds(100);
  // Told when what was said comes later than that or never: from now until then.
  void set_trouble(std::function<void(MonoTime until)> trouble) { trouble_ = std::move(trouble); }

  // The host's link, for all of its lives; joined() and gone() begin and end one.
  PeerLink& link(const std::string& name);
  void joined(const std::string& name);
  void gone(const std::string& name);
  void set_reachable(bool reachable);
  void set_silent(const std::string& name, bool silent);
  void set_deaf(const std::string& name, bool deaf);

 private:
  class Link : public PeerLink {
   public:
    Link(SimPeers& peers, std::string name) : peers_(peers), name_(std::move(name)) {}
    [[nodiscard]] const std::string& name() const override { return name_; }
    void publish(std::span<const PeerMark> marks) override;
    void poll(PeerListener& listener) override;
    [[nodiscard]] std::string trouble() const override;

   private:
    friend class SimPeers;
    SimPeers& peers_;
    const std::string name_;
    bool alive_{false};
    bool silent_{false};
    bool deaf_{false};
    MonoTime busy_until_{};
    std::optional<std::vector<PeerMark>> waiting_;
    std::map<std::string, PeerReport> heard_;  // by sender
    std::map<std::string, MonoTime> arrives_;  // the last of each sender's
  };
  void send(Link& from, const std::vector<PeerMark>& marks);
  void trouble(MonoTime until) {
    if (trouble_) trouble_(until);
  }

  SimClock& clock_;
  Agenda& agenda_;
  test::FakeRandom& random_;
  HostFaults& faults_;
  std::function<void(MonoTime)> trouble_;
  bool reachable_{true};
  std::map<std::string, std::unique_ptr<Link>> links_;
};

}  // namespace purgeline::sim
