// SimTransport: the Transport seam over simulated caches, in simulated time.
//
// A cache parses what arrives byte by byte, takes the purge at the moment it has the whole request,
// and answers after a delay; both directions are split at random places. Faults: refused connects,
// resets, idle closes, 5xx, denials, silence. Everything is drawn from one seed.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "purgeline/transport.h"
#include "sim/sim_clock.h"
#include "support/fake_clock.h"

namespace purgeline::sim {

struct CacheFaults {           // probabilities in per mille, drawn per seed
  std::uint32_t reset{0};      // per request
  std::uint32_t error_5xx{0};  // per request
  std::uint32_t silent{0};     // per request: never answered
  Duration latency{std::chrono::milliseconds(1)};
};

// What one cache saw: the evidence that the checkers use.
struct PurgeSeen {
  std::string url;  // host and path
  MonoTime received;
  MonoTime answered;  // when the good answer left; MonoTime::max() when there was none
};

struct SimCache {
  bool up{true};
  bool denies{false};
  std::string refuses;  // URLs that end so are answered 400
  CacheFaults faults;
  std::vector<PurgeSeen> seen;
};

class SimTransport : public Transport {
 public:
  SimTransport(SimClock& clock, Agenda& agenda, test::FakeRandom& random);

  // The cache behind 127.0.0.1:`port`.
  SimCache& cache(std::uint16_t port);
  void stop_cache(std::uint16_t port);  // resets its connections, refuses new ones
  void start_cache(std::uint16_t port);

  LinkId open(const Address& address, LinkHandler& handler) override;
  void send(LinkId link, std::span<const std::byte> bytes) override;
  void close(LinkId link) override;
  void turn(MonoTime until, std::chrono::microseconds tick) override;
  [[nodiscard]] int wake_fd() const override { return -1; }

  // The program is killed: its links vanish without a word, what caches have read they have read.
  void crash();

  // Faults that happened, for the report.
  struct Counts {
    std::uint64_t refused{0}, resets{0}, errors{0}, silences{0}, denials{0}, splits{0};
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Link {
    LinkHandler* handler{nullptr};
    std::uint32_t generation{0};
    std::uint16_t port{0};
    bool in_use{false};
    bool open{false};
    bool closing{false};
    bool sending{false};
    std::string inbox;       // request bytes that the cache has not parsed yet
    MonoTime answer_free{};  // answers of one connection leave in order
  };
  [[nodiscard]] bool alive(LinkId link) const;
  Link& at(LinkId link) { return links_[link.slot]; }
  void opened(LinkId link);
  void deliver(LinkId link, const std::string& bytes);
  void parse(LinkId link);
  void answer(LinkId link, const std::string& url);
  void reply(LinkId link, const std::string& text, MonoTime when);
  void end(LinkId link, Errc why);
  bool chance(std::uint32_t per_mille) { return random_.below(1000) < per_mille; }

  SimClock& clock_;
  Agenda& agenda_;
  test::FakeRandom& random_;
  std::deque<Link> links_;
  std::map<std::uint16_t, SimCache> caches_;
  Counts counts_;
};

}  // namespace purgeline::sim
