// Dispatch alone, over a transport without a kernel: every request is answered in the next turn.
#include <benchmark/benchmark.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench_clock.h"
#include "dispatch/dispatcher.h"
#include "purgeline/check.h"
#include "support/allocations.h"

namespace purgeline::bench {
namespace {

constexpr std::uint32_t kDepth = 64;

// One connection: it opens at once, and takes what is sent at once.
class NullTransport : public Transport {
 public:
  LinkId open(const Address& /*address*/, LinkHandler& handler) override {
    CHECK(handler_ == nullptr);
    handler_ = &handler;
    opening_ = true;
    return {0, 1};
  }
  void send(LinkId /*link*/, std::span<const std::byte> bytes) override {
    benchmark::DoNotOptimize(bytes.data());
    sending_ = true;
  }
  void close(LinkId /*link*/) override { CHECK(false); }
  void turn(MonoTime /*until*/, std::chrono::microseconds /*tick*/) override {}
  [[nodiscard]] int wake_fd() const override { return -1; }

  void deliver(std::string_view answers) {
    if (std::exchange(opening_, false)) handler_->on_open();
    if (std::exchange(sending_, false)) handler_->on_sent();
    if (!answers.empty()) handler_->on_bytes(std::as_bytes(std::span(answers)));
  }

 private:
  LinkHandler* handler_{nullptr};
  bool opening_{false};
  bool sending_{false};
};

class NoResolver : public Resolver {
 public:
  void resolve(std::string /*host*/, std::uint16_t /*port*/, ResolveHandler& /*handler*/) override {
    CHECK(false);  // the target is an address
  }
  void cancel(ResolveHandler& /*handler*/) override {}
  void poll() override {}
};

class NoRandom : public Random {
 public:
  std::uint64_t next() override { return 4; }
};

// Always has one more purge.
class EndlessQueue : public DeliveryQueue, public OutcomeSink {
 public:
  std::optional<Delivery> take(TargetId target) override {
    Delivery delivery;
    delivery.id = {static_cast<std::uint32_t>(taken++ % 1000), 1};
    delivery.target = target;
    delivery.host = "en.wikipedia.org";
    delivery.path = "/wiki/A_page_of_ordinary_length";
    return delivery;
  }
  [[nodiscard]] bool ready(TargetId /*target*/) const override { return true; }
  void on_outcome(DeliveryId /*id*/, const Outcome& outcome) override {
    good += is_good(outcome.result) ? 1 : 0;
  }
  std::uint64_t taken{0};
  std::uint64_t good{0};
};

// The first `count` answers of a cache that says 200, 204 and 404 in turn.
std::string answers(std::uint64_t count) {
  static constexpr const char* kAnswers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                                             "HTTP/1.1 204 Purged\r\n\r\n",
                                             "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i) text += kAnswers[i % 3];
  return text;
}

void BM_dispatch(benchmark::State& state) {
  BenchClock clock(std::chrono::microseconds(500));
  NoRandom random;
  NullTransport transport;
  NoResolver resolver;
  EndlessQueue queue;
  TargetSpec target;
  target.endpoint = {"127.0.0.1:80", "127.0.0.1", 80, ""};
  target.connections = 1;
  target.depth = kDepth;
  Dispatcher dispatcher(DispatchOptions{}, {target}, transport, resolver, clock, random, queue,
                        queue);
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i <= kDepth; ++i) texts.push_back(answers(i));
  const auto turn = [&] {
    clock.refresh();
    dispatcher.turn();
    transport.deliver(texts[queue.taken - queue.good]);
  };
  for (int i = 0; i < 10; ++i) turn();
  const std::size_t allocated = test::allocations();
  const std::uint64_t before = queue.good;
  for (auto _ : state) turn();
  const auto more = static_cast<double>(test::allocations() - allocated);
  const auto purges = static_cast<double>(queue.good - before);
  state.counters["allocations"] = more;
  state.counters["per purge"] =
      benchmark::Counter(purges, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_dispatch);

}  // namespace
}  // namespace purgeline::bench
