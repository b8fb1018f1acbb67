// Purgeline's path against the way in which purged 0.17 talks to a cache, on one real cache, in
// turns. `peer_bench HOST:PORT PID [PURGES [ROUNDS]]`: PID is the cache's process, for its CPU
// time.
//
// The peer is four threads, each with a connection of its own, that write one request, wait for its
// answer, and go on. Purgeline's path is coalesce, ack, dispatch and I/O on one thread; events come
// from memory. Both purge distinct URLs that are not cached.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "ack/ledger.h"
#include "coalesce/journeys.h"
#include "dispatch/address.h"
#include "dispatch/dispatcher.h"
#include "io/make_transport.h"
#include "io/system_clock.h"
#include "io/thread_resolver.h"
#include "purgeline/check.h"
#include "row.h"

namespace purgeline::bench {
namespace {

constexpr int kPeerThreads = 4;
constexpr std::uint32_t kInMemory = 4096;  // events on their way at once

struct Cache {
  std::string host;
  std::uint16_t port;
  std::string pid;
};

struct Cost {
  double client_us;  // CPU per purge
  double cache_us;
  double per_second;
};

double own_cpu() {
  rusage usage{};
  CHECK(::getrusage(RUSAGE_SELF, &usage) == 0);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// User and system time of the process, of all its threads.
double cpu_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  CHECK(!text.empty());
  text.erase(0, text.rfind(')') + 2);  // the name may contain anything
  long user = 0;
  long system = 0;
  CHECK(std::sscanf(text.c_str(), "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
                    &system) == 2);
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string page(long round, long number) {
  return "/wiki/A_page_of_the_benchmark_" + std::to_string(round) + "_" + std::to_string(number);
}

// Purges the pages [first, end), one after another.
void purge_blocking(const Cache& cache, long round, long first, long end) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(cache.port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&in), sizeof in) == 0);
  char answer[4096];
  for (long i = first; i < end; ++i) {
    const std::string request = "PURGE " + page(round, i) +
                                " HTTP/1.1\r\nHost: en.wikipedia.org\r\nUser-Agent: peer\r\n\r\n";
    CHECK(::write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::read(fd, answer, sizeof answer);
      CHECK(got > 0);
      text.append(answer, static_cast<std::size_t>(got));
    }
    CHECK(text.rfind("HTTP/1.1 204", 0) == 0);
  }
  ::close(fd);
}

void peer(const Cache& cache, long round, long purges) {
  std::vector<std::thread> threads;
  const long each = purges / kPeerThreads;
  for (long i = 0; i < kPeerThreads; ++i) {
    threads.emplace_back(
        [&cache, round, each, i] { purge_blocking(cache, round, i * each, (i + 1) * each); });
  }
  for (std::thread& thread : threads) thread.join();
}

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
  [[nodiscard]] const std::string& backend() const { return made_->backend; }

  void on_target_done(const EventTicket& ticket, TargetId target) override {
    ledger_.settle(ticket.sequence, target);
  }
  void on_finished(const FinishedEvent& /*event*/) override { ++finished_; }
  void on_outcome(DeliveryId id, const Outcome& outcome) override {
    dead_ += is_dead(outcome.result) ? 1 : 0;  // others are sent again
    coalescer_.complete(id, outcome);
  }

 private:
  static constexpr std::chrono::microseconds kTick{1000};  // as the pipeline has it at such rates
  static constexpr Duration kLongestSleep = std::chrono::seconds(1);

  static TargetSpec target_of(const Cache& cache) {
    TargetSpec target;
    target.endpoint = {cache.host + ":" + std::to_string(cache.port), cache.host, cache.port, ""};
    return target;
  }

  void accept(long round, long number) {
    const std::string target = page(round, number);
    const std::uint64_t sequence = ledger_.note(Offset{offset_++}, 0b1, WallTime{});
    const auto mix = static_cast<std::uint64_t>(offset_);
    journeys_.accept({Key{mix * 0x9e3779b97f4a7c15ULL, mix * 0xbf58476d1ce4e5b9ULL},
                      {"en.wikipedia.org", target, "id"},
                      clock_.now(),
                      {0, sequence},
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

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(const Cache& cache, long purges, long rounds) {
  Path path(cache);
  std::vector<double> client;
  std::vector<double> whole;
  std::vector<double> rate;
  std::printf("%ld rounds of %ld purges, I/O by %s; CPU us per purge\n", rounds, purges,
              path.backend().c_str());
  std::printf("  round   peer  its cache  purges/s   Purgeline  its cache  purges/s\n");
  for (long round = 0; round < rounds; ++round) {
    const Cost old = measure(cache, purges, [&] { peer(cache, 2 * round, purges); });
    const Cost own = measure(cache, purges, [&] { path.purge(2 * round + 1, purges); });
    std::printf("  %5ld %6.2f %10.2f %9.0f %11.2f %10.2f %9.0f\n", round + 1, old.client_us,
                old.cache_us, old.per_second, own.client_us, own.cache_us, own.per_second);
    client.push_back(old.client_us / own.client_us);
    whole.push_back((old.client_us + old.cache_us) / (own.client_us + own.cache_us));
    rate.push_back(own.per_second / old.per_second);
  }
  print_row({"P1", "client CPU per purge: peer / Purgeline", 15, median(client), Better::higher});
  print_row({"P2", "with the cache's CPU: peer / Purgeline", 3.2, median(whole), Better::higher});
  print_row({"P3", "purges per second: Purgeline / peer", 3.2, median(rate), Better::higher});
  return 0;
}

}  // namespace
}  // namespace purgeline::bench

int main(int argc, char** argv) {
  CHECK(argc >= 3);
  const std::string address = argv[1];
  const std::size_t colon = address.rfind(':');
  CHECK(colon != std::string::npos);
  const purgeline::bench::Cache cache{
      address.substr(0, colon), static_cast<std::uint16_t>(std::atol(address.c_str() + colon + 1)),
      argv[2]};
  const long purges = argc > 3 ? std::atol(argv[3]) : 60000;
  return purgeline::bench::run(cache, purges - purges % 4, argc > 4 ? std::atol(argv[4]) : 7);
}
