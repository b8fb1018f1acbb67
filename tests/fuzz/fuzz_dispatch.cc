// The whole dispatcher before a peer that lies: the bytes say what connections do, and what comes.
//
// Held at every step: one outcome for each delivery taken; an answer is credited to the request
// that is next on its connection, and only when something came after that was sent; never more
// taken than fits. And once the peer behaves, everything ends.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch/dispatcher.h"
#include "purgeline/check.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kTargets = 2;
constexpr std::size_t kDeliveries = 64;
constexpr std::uint32_t kConnections = 2;
constexpr std::uint32_t kDepth = 4;
constexpr std::string_view kGood = "HTTP/1.1 204 Purged\r\n\r\n";

// The input, read from the front; zeros after its end.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
  [[nodiscard]] bool over() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  std::string_view text(std::size_t size) {
    const auto part = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(part.size());
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

 private:
  std::span<const std::uint8_t> rest_;
};

// Where a delivery was written last.
struct Written {
  std::size_t link{SIZE_MAX};
  std::size_t number{0};       // of its request on that link
  std::size_t came_before{0};  // bytes from the peer when it was handed over
};

struct Item {
  std::string path;
  Delivery delivery;
  bool held{false};
  bool ended{false};
  MonoTime not_before{};
  Written written;
};

struct Link {
  LinkHandler* handler{nullptr};
  std::uint16_t port{0};
  std::size_t requests{0};  // handed over
  std::size_t credited{0};  // of these, whose answers were reported
  std::size_t came{0};      // bytes from the peer
  std::size_t answers{0};   // which the peer itself would count
  bool open{false}, closing{false}, sending{false}, ended{false};
};

class Peer : public Transport, public DeliveryQueue, public OutcomeSink, public Resolver {
 public:
  Peer() {
    for (std::uint16_t i = 0; i < kTargets; ++i) {
      TargetSpec spec;
      spec.id = TargetId{i};
      spec.endpoint.host = "127.0.0.1";
      spec.endpoint.port = static_cast<std::uint16_t>(1000 + i);
      spec.endpoint.text = "127.0.0.1:" + std::to_string(spec.endpoint.port);
      spec.connections = kConnections;
      spec.depth = kDepth;
      spec.max_attempts = 3;
      specs_.push_back(spec);
    }
    dispatcher_.emplace(DispatchOptions{}, specs_, *this, *this, clock_, random_, *this, *this);
  }

  // ---- the transport's side

  LinkId open(const Address&, LinkHandler& handler) override {
    links_.push_back(Link{});
    links_.back().handler = &handler;
    std::size_t in_use = 0;
    for (const Link& link : links_) in_use += !link.ended;
    CHECK(in_use <= 2 * kTargets * kConnections);  // closing ones beside those that replace them
    return {static_cast<std::uint32_t>(links_.size() - 1), 1};
  }
  void send(LinkId id, std::span<const std::byte> bytes) override {
    Link& link = links_[id.slot];
    CHECK(link.open && !link.closing && !link.ended && !link.sending && !bytes.empty());
    link.sending = true;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK(text.ends_with("\r\n\r\n"));
    for (std::size_t at = 0; (at = text.find("PURGE /", at)) != std::string_view::npos; ++at) {
      const std::size_t number = std::stoul(std::string(text.substr(at + 7, 4)));
      Item& item = items_[number];
      CHECK(item.held);  // what has an outcome is not sent any more
      item.written = {id.slot, link.requests++, link.came};
    }
  }
  void close(LinkId id) override {
    CHECK(!links_[id.slot].closing);
    if (!links_[id.slot].ended) links_[id.slot].closing = true;
  }
  void turn(MonoTime, std::chrono::microseconds) override {}
  [[nodiscard]] int wake_fd() const override { return -1; }

  void resolve(std::string, std::uint16_t, ResolveHandler&) override { CHECK(false); }
  void cancel(ResolveHandler&) override {}
  void poll() override {}

  // ---- the coalescer's side

  std::optional<Delivery> take(TargetId target) override {
    Item* const item = next(target);
    if (item == nullptr) return std::nullopt;
    item->held = true;
    item->written = {};
    CHECK(++held_ <= kTargets * kConnections * kDepth);
    return item->delivery;
  }
  [[nodiscard]] bool ready(TargetId target) const override {
    return const_cast<Peer*>(this)->next(target) != nullptr;
  }
  void on_outcome(DeliveryId id, const Outcome& outcome) override {
    Item& item = items_.at(id.slot);
    CHECK(item.held && !item.ended);
    item.held = false;
    --held_;
    if (outcome.status != 0) {  // something answered: what was next on its connection
      CHECK(item.written.link < links_.size());
      Link& link = links_[item.written.link];
      CHECK(item.written.number == link.credited++);
      CHECK(link.came > item.written.came_before);
    } else {
      CHECK(!is_good(outcome.result));
    }
    item.ended = is_good(outcome.result) || is_dead(outcome.result);
    item.not_before = outcome.not_before;
    item.delivery.set_marks(outcome);
  }

  // ---- what the bytes do

  void act(Script& script) {
    const std::uint8_t what = script.byte();
    switch (what % 9) {
      case 0:
        add(what / 9 % kTargets);
        break;
      case 1:
        if (Link* link = pick(script)) opened(*link);
        break;
      case 2:
        if (Link* link = pick(script)) end(*link, script.byte());
        break;
      case 3:
        if (Link* link = pick(script)) good_answers(*link, 1 + what / 9 % 4);
        break;
      case 4:
        if (Link* link = pick(script)) bytes(*link, script.text(script.byte() % 64));
        break;
      case 5:
        if (Link* link = pick(script)) sent(*link);
        break;
      case 6:
        clock_.advance(milliseconds(1 << (what / 9 % 14)));
        break;
      case 7:
        if (Link* link = pick(script)) odd_answer(*link, script.byte());
        break;
      default:
        dispatcher_->turn();
        break;
    }
    if (what >= 128) dispatcher_->turn();
  }

  // The peer behaves from now on; what is half said on a connection stays half said.
  void behave() {
    for (int round = 0; round < 4000 && unfinished(); ++round) {
      dispatcher_->turn();
      for (std::size_t i = 0; i < links_.size(); ++i) {
        Link& link = links_[i];
        if (link.ended) continue;
        if (link.closing) end(link, 0);
        if (!link.open) opened(link);
        sent(link);
        if (link.open && link.answers < link.requests) good_answers(link, 1);
      }
      const MonoTime due = std::min(dispatcher_->next_due(), next_not_before());
      clock_.advance(std::clamp<Duration>(due == MonoTime::max() ? Duration(1) : due - clock_.now(),
                                          milliseconds(1), seconds(1)));
    }
    CHECK(!unfinished());
    dispatcher_->drain(clock_.now());
    for (int round = 0; round < 10 && !dispatcher_->idle(); ++round) {
      dispatcher_->turn();
      for (Link& link : links_) {
        if (!link.ended && link.closing) end(link, 0);
      }
    }
    CHECK(dispatcher_->idle() && held_ == 0);
  }

 private:
  void add(std::size_t target) {
    if (items_.size() == kDeliveries) return;
    items_.push_back(Item{});
    Item& item = items_.back();
    item.path = "/" + std::to_string(1000 + items_.size() - 1).replace(0, 1, "0");
    item.delivery.id = {static_cast<std::uint32_t>(items_.size() - 1), 1};
    item.delivery.target = TargetId{static_cast<std::uint16_t>(target)};
    item.delivery.host = "h";
    item.delivery.path = item.path;
  }
  Item* next(TargetId target) {
    for (Item& item : items_) {
      const bool waits = !item.held && !item.ended && item.not_before <= clock_.now();
      if (waits && item.delivery.target == target) return &item;
    }
    return nullptr;
  }
  [[nodiscard]] bool unfinished() const {
    for (const Item& item : items_) {
      if (!item.ended) return true;
    }
    return false;
  }
  [[nodiscard]] MonoTime next_not_before() const {
    MonoTime due = MonoTime::max();
    for (const Item& item : items_) {
      if (!item.ended && !item.held && item.not_before > clock_.now()) {
        due = std::min(due, item.not_before);
      }
    }
    return due;
  }

  // One of the newest few: those before have ended.
  Link* pick(Script& script) {
    const std::size_t back = script.byte() % 8;
    if (back >= links_.size()) return nullptr;
    Link& link = links_[links_.size() - 1 - back];
    return link.ended ? nullptr : &link;
  }
  static void opened(Link& link) {
    if (link.open || link.ended) return;
    link.open = !link.closing;
    link.handler->on_open();
  }
  static void end(Link& link, std::uint8_t how) {
    static constexpr Errc kWhy[] = {Errc::none, Errc::closed, Errc::reset, Errc::refused,
                                    Errc::timed_out};
    link.ended = true;
    link.open = false;
    link.handler->on_closed(kWhy[how % std::size(kWhy)]);
  }
  static void sent(Link& link) {
    if (!link.sending || link.ended) return;
    link.sending = false;
    link.handler->on_sent();
  }
  static void bytes(Link& link, std::string_view text) {
    if (!link.open || link.closing || text.empty()) return;
    link.came += text.size();
    link.handler->on_bytes(std::as_bytes(std::span(text)));
  }
  static void good_answers(Link& link, std::size_t count) {
    for (; count > 0 && link.open; --count) {
      ++link.answers;
      bytes(link, kGood);
    }
  }
  static void odd_answer(Link& link, std::uint8_t which) {
    static constexpr std::string_view kOdd[] = {
        "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 x\r\n\r\n",
        "HTTP/1.1 408 x\r\n",
        "HTTP/1.1 200 x\r\nContent-Length: 30\r\n\r\nhalf",
        "HTTP/1.1 100 x\r\n\r\n"};
    if (link.open) ++link.answers;
    bytes(link, kOdd[which % std::size(kOdd)]);
  }

  test::FakeClock clock_;
  test::FakeRandom random_{1};
  std::vector<TargetSpec> specs_;
  std::deque<Link> links_;
  std::deque<Item> items_;
  std::size_t held_{0};
  std::optional<Dispatcher> dispatcher_;
};

}  // namespace
}  // namespace purgeline

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;  // more of the same
  purgeline::Script script(data, size);
  purgeline::Peer peer;
  while (!script.over()) peer.act(script);
  peer.behave();
  return 0;
}
