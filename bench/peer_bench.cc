// Purgeline's path against the way in which purged 0.17 talks to a cache (peer.h) and the least
// that a client can do (bare_client.h), on one real cache, in turns.
// `peer_bench NAME HOST:PORT PID [PURGES [ROUNDS]]`: PID is the cache's process, for its CPU time.
//
// Purgeline's path is coalesce, ack, dispatch and I/O on one thread; events come from memory. All
// purge distinct URLs that are not cached.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ack/ledger.h"
#include "bare_client.h"
#include "coalesce/journeys.h"
#include "dispatch/address.h"
#include "dispatch/dispatcher.h"
#include "io/make_transport.h"
#include "io/system_clock.h"
#include "io/thread_resolver.h"
#include "peer.h"
#include "purgeline/check.h"
#include "row.h"
#include "usage.h"

namespace purgeline::bench {
namespace {

constexpr std::uint32_t kInMemory = 4096;  // events on their way at once

struct Cost {
  double client_us;  // CPU per purge
  double cache_us;
  double per_second;
  [[nodiscard]] double whole() const { return client_us + cache_us; }
};

// The stages between a decoded event and the cache, wired as the pipeline wires them.
class Path : public JourneySink, public OutcomeSink {
 public:
  explicit Path(const Cache& cache)
      : made_(make_transport(IoKind::automatic, 8, clock_)),
        resolver_(made_->transport->wake_fd(), clock_),
        coalescer_({kInMemory, 64 << 20, kInMemory, 1, Duration(0)}, clock_),
        journeys_({kInMemory, std::chrono::seconds(1), {{TargetId{0}}}}, coalescer_, clock_, *this),
        dispatcher_(DispatchOptions{}, {target_of(cache)}, *made_->transport, resolver_, clock_,
                    random_, coalescer_, *this) {}

  void purge(long round, long purges) {
    const std::uint64_t wanted = finished_ + static_cast<std::uint64_t>(purges);
    long next = 0;
    for (;;) {
      clock_.refresh();
      for (; next < purges && journeys_.room() > 0 && !ledger_.full(); ++next) accept(round, next);
      dispatcher_.turn();
      if (finished_ == wanted) break;
      MonoTime until = std::min(dispatcher_.next_due(), clock_.now() + kLongestSleep);
      until = std::min(until, coalescer_.next_due().value_or(until));
      made_->transport->turn(until, kTick);
    }
    CHECK(dead_ == 0);
  }
  // Open loop: so many a second, each at its own time. Returns how long each took from that time to
  // its answer, in milliseconds and in order.
  std::vector<double> paced(long round, long rate, long seconds) {
    const long count = rate * seconds;
    const Duration step = Duration(1'000'000'000 / rate);
    const auto tick = std::chrono::microseconds(rate < 1000 ? 0 : 500);  // as the pipeline has it
    const std::uint64_t wanted = finished_ + static_cast<std::uint64_t>(count);
    took_ = &paced_;
    paced_.clear();
    clock_.refresh();
    const MonoTime begin = clock_.now();
    for (long next = 0;;) {
      clock_.refresh();
      for (; next < count && begin + next * step <= clock_.now(); ++next) {
        due_[next_sequence_ % kDue] = begin + next * step;
        accept(round, next);
      }
      dispatcher_.turn();
      if (finished_ == wanted) break;
      MonoTime until = dispatcher_.next_due();
      if (next < count) until = std::min(until, begin + next * step);
      // A source's wake-up does not end the tick.
      made_->transport->turn(std::max(until, clock_.now() + tick), tick);
    }
    took_ = nullptr;
    std::sort(paced_.begin(), paced_.end());
    return paced_;
  }
  [[nodiscard]] const std::string& backend() const { return made_->backend; }

  void on_target_done(const EventTicket& ticket, TargetId target) override {
    ledger_.settle(ticket.sequence, target);
  }
  void on_finished(const FinishedEvent& event) override {
    ++finished_;
    if (took_ == nullptr) return;
    const Duration took = clock_.now() - due_[event.ticket.sequence % kDue];
    took_->push_back(static_cast<double>(took.count()) * 1e-6);
  }
  void on_outcome(DeliveryId id, const Outcome& outcome) override {
    dead_ += is_dead(outcome.result) ? 1 : 0;  // others are sent again
    coalescer_.complete(id, outcome);
  }

 private:
  static constexpr std::chrono::microseconds kTick{1000};  // as the pipeline has it at such rates
  static constexpr std::size_t kDue = 1 << 16;
  static constexpr Duration kLongestSleep = std::chrono::seconds(1);

  static TargetSpec target_of(const Cache& cache) {
    TargetSpec target;
    target.endpoint = {cache.host + ":" + std::to_string(cache.port), cache.host, cache.port, ""};
    return target;
  }

  void accept(long round, long number) {
    const std::string target = page(round, number);
    const std::uint64_t sequence = ledger_.note(Offset{offset_++}, 0b1, WallTime{});
    next_sequence_ = sequence + 1;
    const auto mix = static_cast<std::uint64_t>(offset_);
    journeys_.accept({Key{mix * 0x9e3779b97f4a7c15ULL, mix * 0xbf58476d1ce4e5b9ULL},
                      {"en.wikipedia.org", target, "id"},
                      clock_.now(),
                      {0, 0, sequence},
                      {},
                      0b1});
  }

  SystemClock clock_;
  SystemRandom random_;
  Result<MadeTransport> made_;
  ThreadResolver resolver_;
  Coalescer coalescer_;
  Journeys journeys_;
  Ledger ledger_{Offset{0}, 1, 1 << 16};
  Dispatcher dispatcher_;
  std::int64_t offset_{0};
  std::uint64_t next_sequence_{0};
  std::vector<MonoTime> due_{kDue};     // of the events on their way, when paced
  std::vector<double>* took_{nullptr};  // likewise
  std::vector<double> paced_;
  std::uint64_t finished_{0};
  std::uint64_t dead_{0};
};

template <class Run>
Cost measure(const Cache& cache, long purges, Run run) {
  const double own = own_cpu();
  const double theirs = cpu_of(cache.pid);
  const auto begin = std::chrono::steady_clock::now();
  run();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  const auto count = static_cast<double>(purges);
  return {(own_cpu() - own) * 1e6 / count, (cpu_of(cache.pid) - theirs) * 1e6 / count,
          count / passed.count()};
}

// Peer over another side, of each round.
struct Ratios {
  std::vector<double> client, whole, rate;
  void add(const Cost& peer, const Cost& side) {
    client.push_back(peer.client_us / side.client_us);
    whole.push_back(peer.whole() / side.whole());
    rate.push_back(side.per_second / peer.per_second);
  }
};

void print_rows(const std::string& name, const Ratios& own, const Ratios& bare) {
  const bool varnish = name == "Varnish";
  const auto row = [&name](const char* id, const std::string& what, double goal, double measured) {
    print_row({id, (what + ", " + name).c_str(), goal, measured, Better::higher});
  };
  row("P1", "client CPU per purge: peer / Purgeline", varnish ? 15 : 13, median(own.client));
  row("P2", "with the cache's CPU: peer / Purgeline", 3.2, median(own.whole));
  row("P3", "purges per second: Purgeline / peer", 3.2, median(own.rate));
  row("P1b", "client CPU per purge: peer / bare client", varnish ? 15 : 13, median(bare.client));
  row("P2b", "with the cache's CPU: peer / bare client", 3.2, median(bare.whole));
  row("P3b", "purges per second: bare client / peer", 3.2, median(bare.rate));
}

// What the kernel's door costs: most of the peer's time is spent at it.
double empty_call_ns() {
  constexpr long kCalls = 200000;
  const double before = own_cpu();
  for (long i = 0; i < kCalls; ++i) ::syscall(SYS_getppid);
  return (own_cpu() - before) * 1e9 / kCalls;
}

int run(const std::string& name, const Cache& cache, long purges, long rounds) {
  Path path(cache);
  Ratios own_ratios;
  Ratios bare_ratios;
  std::printf(
      "%s: %ld rounds of %ld purges, I/O by %s; an empty system call takes %.0f ns; CPU us "
      "per purge\n",
      name.c_str(), rounds, purges, path.backend().c_str(), empty_call_ns());
  std::printf(
      "  round    peer  its cache  purges/s    bare  its cache  purges/s   Purgeline  its "
      "cache  purges/s\n");
  for (long round = 0; round < rounds; ++round) {
    const Cost old = measure(cache, purges, [&] { purge_as_purged({cache}, 3 * round, purges); });
    const Cost bare = measure(cache, purges, [&] { purge_bare(cache, 3 * round + 1, purges); });
    const Cost own = measure(cache, purges, [&] { path.purge(3 * round + 2, purges); });
    std::printf("  %5ld %7.2f %10.2f %9.0f %7.2f %10.2f %9.0f %11.2f %10.2f %9.0f\n", round + 1,
                old.client_us, old.cache_us, old.per_second, bare.client_us, bare.cache_us,
                bare.per_second, own.client_us, own.cache_us, own.per_second);
    own_ratios.add(old, own);
    bare_ratios.add(old, bare);
  }
  print_rows(name, own_ratios, bare_ratios);
  const std::vector<double> few = path.paced(3 * rounds, 500, 2);
  const std::vector<double> many = path.paced(3 * rounds + 1, 10000, 3);
  const auto share = [](const std::vector<double>& took, double part) {
    return took[static_cast<std::size_t>(part * static_cast<double>(took.size() - 1))];
  };
  const auto row = [&name](const char* what, double goal, double measured) {
    print_row({"P10", (what + (", " + name)).c_str(), goal, measured, Better::lower});
  };
  row("added latency at 500/s, p50 ms", 0.3, share(few, 0.5));
  row("added latency at 10000/s, p50 ms", 1.2, share(many, 0.5));
  row("added latency at 10000/s, p99 ms", 3, share(many, 0.99));
  return 0;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  CHECK(argc >= 4);
  return purgeline::bench::run(argv[1], purgeline::bench::cache_of(argv[2], argv[3]),
                               argc > 4 ? std::atol(argv[4]) : 60000,
                               argc > 5 ? std::atol(argv[5]) : 7);
}
