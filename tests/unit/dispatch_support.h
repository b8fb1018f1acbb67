// A world for the dispatcher whose every event a test makes itself.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dispatch/dispatcher.h"
#include "support/fake_clock.h"

namespace purgeline::test {

// Links in the order they were opened. Sends complete in the same turn unless `hold_sends` is set.
class FakeTransport : public Transport {
 public:
  struct Link {
    LinkHandler* handler;
    Address address;
    std::string written;
    int sends{0};
    bool sending{false};
    bool open{false};
    bool closing{false};
    bool ended{false};
  };

  LinkId open(const Address& address, LinkHandler& handler) override {
    links.push_back(Link{&handler, address, {}, 0, false, false, false, false});
    return {static_cast<std::uint32_t>(links.size() - 1), 1};
  }
  void send(LinkId id, std::span<const std::byte> bytes) override {
    Link& link = links[id.slot];
    ASSERT_TRUE(link.open && !link.closing && !link.ended);
    ASSERT_FALSE(link.sending) << "two sends in flight on one link";
    ASSERT_FALSE(bytes.empty());
    if (keep_written)
      link.written.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    link.sending = true;
    ++link.sends;
  }
  void close(LinkId id) override {
    if (!links[id.slot].ended) links[id.slot].closing = true;
  }
  void turn(MonoTime, std::chrono::microseconds) override {}
  [[nodiscard]] int wake_fd() const override { return -1; }

  void opened(std::size_t at) {
    links[at].open = true;
    links[at].handler->on_open();
  }
  void bytes(std::size_t at, std::string_view text) {
    links[at].handler->on_bytes(std::as_bytes(std::span(text)));
  }
  void sent(std::size_t at) {
    if (links[at].ended) return;
    if (std::exchange(links[at].sending, false)) links[at].handler->on_sent();
  }
  void closed(std::size_t at, Errc why) {
    links[at].ended = true;
    links[at].handler->on_closed(why);
  }
  // Ends what close() asked for.
  void drain_closes() {
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (links[i].closing && !links[i].ended) closed(i, Errc::none);
    }
  }

  std::deque<Link> links;
  bool hold_sends{false};
  bool keep_written{true};
};

class FakeResolver : public Resolver {
 public:
  void resolve(std::string host, std::uint16_t port, ResolveHandler& handler) override {
    asked.push_back(host + ":" + std::to_string(port));
    waiting = &handler;
  }
  void cancel(ResolveHandler& handler) override {
    if (waiting == &handler) waiting = nullptr;
  }
  void poll() override {
    if (waiting == nullptr || !answer) return;
    ResolveHandler* handler = std::exchange(waiting, nullptr);
    handler->on_resolved(*std::exchange(answer, std::nullopt));
  }
  std::vector<std::string> asked;
  ResolveHandler* waiting{nullptr};
  std::optional<Result<std::vector<Address>>> answer;
};

struct Reported {
  std::string path;
  Outcome outcome;
};

// The coalescer's part: puts unanswered deliveries back at the front and the others where they
// belong in time.
class FakeQueue : public DeliveryQueue, public OutcomeSink {
 public:
  explicit FakeQueue(Clock& clock) : clock_(clock) {}

  void add(const std::string& path, TargetId target = TargetId{0}) {
    deliveries_.push_back({path, {}, false});
    Item& item = deliveries_.back();
    item.delivery.id = {static_cast<std::uint32_t>(deliveries_.size() - 1), 1};
    item.delivery.target = target;
    item.delivery.host = "example.org";
    item.delivery.path = item.path;
    ready_[target].push_back(item.delivery.id.slot);
  }
  // As add(), but nobody's URL.
  void add_probe(const std::string& path) {
    add(path);
    deliveries_.back().delivery.probe = true;
  }
  std::optional<Delivery> take(TargetId target) override {
    release();
    if (ready_[target].empty()) return std::nullopt;
    Item& item = deliveries_[ready_[target].front()];
    ready_[target].pop_front();
    EXPECT_FALSE(item.taken);
    item.taken = true;
    ++taken;
    most_taken = std::max(most_taken, ++held);
    return item.delivery;
  }
  [[nodiscard]] bool ready(TargetId target) const override {
    const_cast<FakeQueue*>(this)->release();
    const auto found = ready_.find(target);
    return found != ready_.end() && !found->second.empty();
  }
  void on_outcome(DeliveryId id, const Outcome& outcome) override {
    Item& item = deliveries_[id.slot];
    EXPECT_TRUE(item.taken) << "two outcomes for " << item.path;
    item.taken = false;
    --held;
    reported.push_back({item.path, outcome});
    if (is_good(outcome.result) || is_dead(outcome.result)) return;
    item.delivery.set_marks(outcome);
    if (outcome.result == AttemptResult::unanswered)
      ready_[item.delivery.target].push_front(id.slot);
    else
      delayed_.push_back({outcome.not_before, id.slot});
  }
  [[nodiscard]] std::size_t waiting() const {
    std::size_t count = delayed_.size();
    for (const auto& [target, slots] : ready_) count += slots.size();
    return count;
  }
  [[nodiscard]] MonoTime next_delayed() const {
    MonoTime next = MonoTime::max();
    for (const auto& [when, slot] : delayed_) next = std::min(next, when);
    return next;
  }

  std::vector<Reported> reported;
  std::size_t taken{0};
  std::size_t held{0};
  std::size_t most_taken{0};

 private:
  struct Item {
    std::string path;
    Delivery delivery;
    bool taken;
  };
  void release() {
    for (std::size_t i = 0; i < delayed_.size();) {
      if (delayed_[i].first > clock_.now()) {
        ++i;
        continue;
      }
      ready_[deliveries_[delayed_[i].second].delivery.target].push_back(delayed_[i].second);
      delayed_.erase(delayed_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  Clock& clock_;
  std::deque<Item> deliveries_;
  std::map<TargetId, std::deque<std::uint32_t>> ready_;
  std::vector<std::pair<MonoTime, std::uint32_t>> delayed_;
};

inline Endpoint endpoint(const std::string& host, std::uint16_t port = 80) {
  Endpoint endpoint;
  endpoint.text = host + ":" + std::to_string(port);
  endpoint.host = host;
  endpoint.port = port;
  return endpoint;
}

class World : public TargetListener {
 public:
  World() : World(one_target()) {}
  explicit World(TargetSpec spec) : World(std::vector{std::move(spec)}) {}
  explicit World(std::vector<TargetSpec> specs)
      : queue(clock),
        dispatcher(DispatchOptions{}, std::move(specs), transport, resolver, clock, random, queue,
                   queue) {
    dispatcher.set_listener(this);
  }

  static TargetSpec one_target(std::uint32_t connections = 1, std::uint32_t depth = 8) {
    TargetSpec spec;
    spec.endpoint = endpoint("127.0.0.1");
    spec.connections = connections;
    spec.depth = depth;
    return spec;
  }

  void turn() {
    dispatcher.turn();
    if (transport.hold_sends) return;
    for (std::size_t i = 0; i < transport.links.size(); ++i) transport.sent(i);
  }
  void after(Duration passed) {
    clock.advance(passed);
    turn();
  }
  // Connects the newest link and lets it be used.
  std::size_t connect() {
    turn();
    EXPECT_FALSE(transport.links.empty());
    const std::size_t link = transport.links.size() - 1;
    EXPECT_FALSE(transport.links[link].open);
    transport.opened(link);
    turn();
    return link;
  }
  void answer(std::size_t link, std::string_view text) {
    transport.bytes(link, text);
    turn();
  }
  void close(std::size_t link, Errc why = Errc::closed) {
    transport.closed(link, why);
    turn();
  }
  // The paths written to a link so far.
  [[nodiscard]] std::vector<std::string> paths(std::size_t link) const {
    std::vector<std::string> paths;
    const std::string& written = transport.links[link].written;
    for (std::size_t at = 0; (at = written.find("PURGE ", at)) != std::string::npos; ++at) {
      paths.push_back(written.substr(at + 6, written.find(' ', at + 6) - at - 6));
    }
    return paths;
  }
  // "path result" of each outcome since the last call.
  std::vector<std::string> outcomes() {
    std::vector<std::string> lines;
    for (; told_ < queue.reported.size(); ++told_) {
      const Reported& reported = queue.reported[told_];
      lines.push_back(reported.path + " " + attempt_result_name(reported.outcome.result));
    }
    return lines;
  }
  [[nodiscard]] const Outcome& last() const { return queue.reported.back().outcome; }
  [[nodiscard]] TargetState state() const { return dispatcher.state(TargetId{0}); }
  [[nodiscard]] TargetMetrics metrics() const { return dispatcher.metrics(TargetId{0}); }

  void on_target_state(TargetId, TargetState from, TargetState to, std::string_view why) override {
    changes.push_back(std::string(target_state_name(from)) + " -> " + target_state_name(to) + ": " +
                      std::string(why));
  }

  void on_target_proof(TargetId, bool unproven) override {
    proofs.emplace_back(unproven ? "unproven" : "proven");
  }

  FakeClock clock;
  FakeRandom random;
  FakeTransport transport;
  FakeResolver resolver;
  FakeQueue queue;
  Dispatcher dispatcher;
  std::vector<std::string> changes;
  std::vector<std::string> proofs;

 private:
  std::size_t told_{0};
};

inline const std::string kPurged = "HTTP/1.1 204 Purged\r\n\r\n";
inline const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
inline const std::string kAbsent = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
inline std::string with_status(int status) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 0\r\n\r\n";
}

}  // namespace purgeline::test
