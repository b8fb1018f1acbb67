// Whatever caches do, in any order: one outcome for each delivery taken (the queue checks it),
// never more taken than fits, no loop that spins, and everything answered once the caches behave
// again.
#include "dispatch_support.h"

namespace purgeline::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Chaos {
  explicit Chaos(std::uint64_t seed) : world(specs(seed)), random(seed) {
    world.transport.hold_sends = true;
  }

  static std::vector<TargetSpec> specs(std::uint64_t seed) {
    std::vector<TargetSpec> specs;
    for (std::uint16_t i = 0; i < 2; ++i) {
      specs.push_back(World::one_target(1 + static_cast<std::uint32_t>(seed % 3),
                                        1 + static_cast<std::uint32_t>(seed % 7)));
      specs.back().id = TargetId{i};
      specs.back().max_attempts = UINT16_MAX;  // nobody dies of 5xx here
    }
    return specs;
  }

  // One event on one link. Well-behaved ones open, send and answer.
  void act(std::size_t at, bool well) {
    FakeTransport::Link& link = world.transport.links[at];
    if (link.ended) return;
    if (link.closing) {
      world.transport.closed(at, Errc::none);
      return;
    }
    const std::uint64_t dice = random.below(100);
    if (!link.open) {
      if (well || dice < 70)
        world.transport.opened(at);
      else if (dice < 90)
        world.transport.closed(at, Errc::refused);
      return;
    }
    if (!well && dice < 4) {
      world.transport.closed(at, dice < 2 ? Errc::reset : Errc::closed);
      return;
    }
    if (link.sending && dice < 80) world.transport.sent(at);
    std::size_t& answered = answered_[at];
    const std::size_t asked = world.paths(at).size();
    for (std::size_t n = random.below(4); n > 0 && answered < asked; --n, ++answered) {
      if (!well && random.below(12) == 0) {
        static const std::vector<std::string> odd{with_status(503), with_status(403), "HTTP/1.1 2x",
                                                  with_status(408),
                                                  "HTTP/1.1 204 x\r\nConnection: close\r\n\r\n"};
        world.transport.bytes(at, odd[random.below(odd.size())]);
      } else {
        world.transport.bytes(at, random.below(2) == 0 ? kPurged : kOk);
      }
    }
  }

  void step(bool well) {
    world.turn();
    const std::size_t most = specs_capacity();
    ASSERT_LE(world.queue.held, most);
    const std::size_t first =
        world.transport.links.size() > 30 ? world.transport.links.size() - 30 : 0;
    for (std::size_t i = first; i < world.transport.links.size(); ++i) act(i, well);
    const MonoTime due = std::min(world.dispatcher.next_due(), world.queue.next_delayed());
    const Duration wait = due == MonoTime::max() ? milliseconds(1) : due - world.clock.now();
    world.clock.advance(std::clamp<Duration>(random.below(2) == 0 ? wait : milliseconds(1),
                                             Duration{1}, seconds(1)));
  }
  std::size_t specs_capacity() const { return 2 * (1 + seed_ % 3) * (1 + seed_ % 7); }

  World world;
  FakeRandom random;
  std::uint64_t seed_{0};
  std::map<std::size_t, std::size_t> answered_;
};

TEST(Chaos, EverythingIsAnsweredOnceTheCachesBehave) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    chaos.seed_ = seed;
    for (int i = 0; i < 300; ++i) {
      if (i % 2 == 0)
        chaos.world.queue.add("/" + std::to_string(i),
                              TargetId{static_cast<std::uint16_t>(i % 4 / 2)});
      chaos.step(false);
      if (testing::Test::HasFailure()) return;
    }
    for (int i = 0; i < 3000 && chaos.world.queue.waiting() + chaos.world.queue.held > 0; ++i)
      chaos.step(true);
    ASSERT_EQ(chaos.world.queue.waiting() + chaos.world.queue.held, 0u);
    EXPECT_EQ(chaos.world.dispatcher.state(TargetId{0}), TargetState::up);
    chaos.world.dispatcher.drain(chaos.world.clock.now());
    for (int i = 0; i < 100 && !chaos.world.dispatcher.idle(); ++i) {
      chaos.world.turn();
      for (std::size_t link = 0; link < chaos.world.transport.links.size(); ++link) {
        if (chaos.world.transport.links[link].sending) chaos.world.transport.sent(link);
      }
      chaos.world.transport.drain_closes();
    }
    EXPECT_TRUE(chaos.world.dispatcher.idle());
  }
}

}  // namespace
}  // namespace purgeline::test
