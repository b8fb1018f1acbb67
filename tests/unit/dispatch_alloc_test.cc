// Nothing is allocated per delivery once a target has run for a while.
#include "dispatch_support.h"
#include "support/allocations.h"

namespace purgeline::test {
namespace {

// Gives the same few deliveries again and again, without allocating itself.
class EndlessQueue : public DeliveryQueue, public OutcomeSink {
 public:
  std::optional<Delivery> take(TargetId target) override {
    Delivery delivery;
    delivery.id = {static_cast<std::uint32_t>(taken_++ % 1000), 1};
    delivery.target = target;
    delivery.host = "en.wikipedia.org";
    delivery.path = "/wiki/Caf\xc3\xa9?action=history";
    return delivery;
  }
  [[nodiscard]] bool ready(TargetId) const override { return true; }
  void on_outcome(DeliveryId, const Outcome& outcome) override { done += is_good(outcome.result); }
  std::uint64_t done{0};

 private:
  std::uint64_t taken_{0};
};

TEST(Allocation, NonePerDelivery) {
  FakeClock clock;
  FakeRandom random;
  FakeTransport transport;
  FakeResolver resolver;
  EndlessQueue queue;
  transport.keep_written = false;
  Dispatcher dispatcher(DispatchOptions{}, {World::one_target(2, 64)}, transport, resolver, clock,
                        random, queue, queue);
  std::string answers;
  for (int i = 0; i < 64; ++i) answers += i % 2 == 0 ? kPurged : kOk;
  const auto turn = [&] {
    clock.advance(std::chrono::microseconds(500));
    dispatcher.turn();
    for (std::size_t i = 0; i < transport.links.size(); ++i) {
      if (!transport.links[i].open) transport.opened(i);
      if (!transport.links[i].sending) continue;
      transport.sent(i);
      transport.bytes(i, answers);
    }
  };
  for (int i = 0; i < 10; ++i) turn();
  const std::size_t before = allocations();
  const std::uint64_t done = queue.done;
  for (int i = 0; i < 1000; ++i) turn();
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(queue.done, done + 128000);
}

}  // namespace
}  // namespace purgeline::test
