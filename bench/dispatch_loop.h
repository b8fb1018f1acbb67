// Dispatch over a transport without a kernel: every request is answered in the next turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench_clock.h"
#include "dispatch/dispatcher.h"
#include "purgeline/check.h"

namespace purgeline::bench {

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
    CHECK(!bytes.empty());
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
inline std::string answers(std::uint64_t count) {
  static constexpr const char* kAnswers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                                             "HTTP/1.1 204 Purged\r\n\r\n",
                                             "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i) text += kAnswers[i % 3];
  return text;
}

// One target that always has one more purge.
class DispatchLoop {
 public:
  DispatchLoop() {
    for (std::uint64_t i = 0; i <= kDepth; ++i) texts_.push_back(answers(i));
    for (int i = 0; i < 10; ++i) turn();
  }
  void turn() {
    clock_.refresh();
    dispatcher_.turn();
    transport_.deliver(texts_[queue_.taken - queue_.good]);
  }
  [[nodiscard]] std::uint64_t good() const { return queue_.good; }

 private:
  static constexpr std::uint32_t kDepth = 64;

  static TargetSpec target() {
    TargetSpec target;
    target.endpoint = {"127.0.0.1:80", "127.0.0.1", 80, ""};
    target.connections = 1;
    target.depth = kDepth;
    return target;
  }

  BenchClock clock_{std::chrono::microseconds(500)};
  NoRandom random_;
  NullTransport transport_;
  NoResolver resolver_;
  EndlessQueue queue_;
  Dispatcher dispatcher_{DispatchOptions{}, {target()}, transport_, resolver_, clock_,
                         random_,           queue_,     queue_};
  std::vector<std::string> texts_;
};

}  // namespace purgeline::bench
