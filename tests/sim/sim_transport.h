// SimTransport: the Transport seam over simulated caches, in simulated time.
//
// A cache parses what arrives byte by byte, takes the purge at the moment it has the whole request,
// and answers after a delay; both directions are split at random places. How it answers, and what
// goes wrong with it, is in sim_targets.cc. Everything is drawn from one seed.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "purgeline/transport.h"
#include "sim/faults.h"
#include "sim/sim_clock.h"
#include "sim/trace.h"

namespace purgeline::sim {

// One request as the world saw it: the evidence that the checkers use.
struct PurgeSeen {
  std::string url;                     // host and path
  std::uint32_t life{0};               // which life of the program sent it
  MonoTime handed;                     // the program gave it to the transport
  MonoTime received{MonoTime::max()};  // the cache had all of it: the purge took effect
  MonoTime answered{MonoTime::max()};  // the program had all of the answer that it must take for
                                       // this request's
  bool good{false};                    // which said that it is purged
  // The answer was not this request's: the cache lied, and nobody could have known.
  bool lied{false};
  // When the purge took effect as far as anybody can know.
  [[nodiscard]] MonoTime effect() const { return lied ? handed + Duration(1) : received; }
};

struct SimTarget {
  std::string name;  // as the configuration writes it
  std::uint16_t port{0};
  std::size_t layer{0};
  std::uint64_t depth{0};  // most requests in flight on one connection
  std::uint64_t connections{0};
  bool faulty{true};  // the kinds of Faults happen to it
  bool up{true};
  bool denies{false};
  bool plain{false};    // says 200, 400 or 405; else each has variants that are drawn
  std::string refuses;  // URLs that end so are answered 400 or 414
  Duration latency{std::chrono::milliseconds(1)};
  std::uint32_t close_after{0};  // closes after every k-th answer; 0: never
  std::vector<PurgeSeen> seen;
  std::map<std::string, std::vector<std::size_t>> by_url;
};

using SimCaches = std::map<std::uint16_t, SimTarget>;  // by port

class SimTransport : public Transport {
 public:
  SimTransport(SimClock& clock, Agenda& agenda, test::FakeRandom& random, Faults& faults,
               Trace& trace)
      : SimTransport(clock, agenda, random, faults, trace, own_caches_) {}
  // Among others that have caches in the same world.
  SimTransport(SimClock& clock, Agenda& agenda, test::FakeRandom& random, Faults& faults,
               Trace& trace, SimCaches& caches)
      : clock_(clock),
        agenda_(agenda),
        random_(random),
        faults_(faults),
        trace_(trace),
        caches_(caches) {}

  void add(SimTarget target);
  // The cache behind 127.0.0.1:`port`.
  SimTarget& cache(std::uint16_t port);
  SimCaches& caches() { return caches_; }
  void stop_cache(std::uint16_t port);  // resets its connections, refuses new ones
  void start_cache(std::uint16_t port);

  // Called at each call of the program, which may end there.
  void set_crash_point(std::function<void()> point) { crash_point_ = std::move(point); }
  // Told when a cache has a PURGE for a URL: it does what it was told, or gives no answer, and then
  // nobody knows whether it did.
  using Purged = std::function<void(std::uint16_t port, const std::string& url, bool certain)>;
  void set_purged(Purged purged) { purged_ = std::move(purged); }
  // The program is killed: its links vanish without a word, what caches have read they have read.
  void crash();
  // A promise about connections that was broken; empty: none.
  [[nodiscard]] const std::string& violation() const { return violation_; }

  LinkId open(const Address& address, LinkHandler& handler) override;
  void send(LinkId link, std::span<const std::byte> bytes) override;
  void close(LinkId link) override;
  void turn(MonoTime until, std::chrono::microseconds tick) override;
  [[nodiscard]] int wake_fd() const override { return -1; }

 private:
  struct Link {
    LinkHandler* handler{nullptr};
    std::uint32_t generation{0};
    std::uint16_t port{0};
    bool in_use{false};
    bool open{false};
    bool closing{false};
    bool sending{false};
    bool mute{false};                   // nothing is answered any more
    bool broken{false};                 // no later answer can be taken for anything
    bool shifted{false};                // answers are taken for requests that they do not belong to
    std::string outbox;                 // what was sent, up to the last whole request
    std::string inbox;                  // request bytes that the cache has not parsed yet
    std::vector<std::size_t> requests;  // into SimTarget::seen, in order of sending
    std::size_t received{0};
    std::size_t answered{0};
    std::uint32_t served{0};
    MonoTime answer_free{};  // answers of one connection leave in order
  };
  struct Reply {
    std::string text;
    bool good{false};
    bool extra{false};    // belongs to no request
    bool garbage{false};  // no answer at all
    bool last{false};     // the connection ends behind it
    bool cut{false};      // and before its end
  };
  [[nodiscard]] bool alive(LinkId link) const;
  Link& at(LinkId link) { return links_[link.slot]; }
  SimTarget& target(LinkId link) { return caches_.at(at(link).port); }
  void opened(LinkId link);
  void record(LinkId link, std::string_view bytes);
  void deliver(LinkId link, const std::string& bytes);
  void end(LinkId link, Errc why);
  void crash_point() {
    if (crash_point_) crash_point_();
  }
  void purged(LinkId link, const std::string& url, bool certain) {
    if (purged_) purged_(at(link).port, url, certain);
  }
  // sim_targets.cc
  [[nodiscard]] bool fault(LinkId link, Fault kind) {
    return target(link).faulty && faults_.hit(kind);
  }
  void answer(LinkId link, std::size_t purge);
  [[nodiscard]] Reply verdict(LinkId link, const std::string& url);
  [[nodiscard]] std::string good_text(LinkId link);
  void spoil(LinkId link, Reply& reply);
  void reply(LinkId link, Reply reply, MonoTime when);
  void take(LinkId link, const Reply& reply);

  SimClock& clock_;
  Agenda& agenda_;
  test::FakeRandom& random_;
  Faults& faults_;
  Trace& trace_;
  std::function<void()> crash_point_;
  Purged purged_;
  std::deque<Link> links_;
  SimCaches own_caches_;
  SimCaches& caches_;
  std::string violation_;
  std::uint32_t life_{0};
};

// The parts of a whole request head: "host" + "/path", as the checkers name a URL.
[[nodiscard]] std::string url_of_request(std::string_view head);

}  // namespace purgeline::sim
