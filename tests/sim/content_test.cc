// The model of caches: what is known of real ones, and that fences after the rule of promise 4 are
// enough in it, while any that come earlier are not.
#include <gtest/gtest.h>

#include "sim/sim_content.h"

namespace purgeline::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t kBack = 1000;
constexpr std::uint16_t kBeside = 1001;
constexpr std::uint16_t kFront = 2000;
constexpr std::uint16_t kOuter = 3000;
const std::string kUrl = "h/p";

// One page, three layers, and fences at the times that a test says.
class FencedWorld {
 public:
  explicit FencedWorld(std::uint64_t seed) : random_(seed) {
    content_.set_layers({{kBack, kBeside}, {kFront}, {kOuter}});
    content_.set_reader([this](const PageRead& read) {
      if (read.version == read.latest) return;
      latest_[read.port] = std::max(latest_[read.port], read.at);
    });
    for (const std::uint16_t port : {kBack, kBeside, kFront, kOuter}) content_.store(port, kUrl);
  }

  // Each of the three times may be cut. True: somebody got the old page after its bound.
  bool stale(Duration lag, Duration fetch, Duration hit) {
    const MonoTime changed = start_ + seconds(10);
    for (MonoTime at = start_; at < changed + seconds(12); at += below(milliseconds(60))) {
      constexpr std::uint16_t kPorts[] = {kBack, kBeside, kFront, kOuter, kOuter, kOuter};
      content_.read_at(at, kPorts[random_.below(6)], kUrl);
    }
    content_.advance(changed);
    content_.change(kUrl, changed, {below(times_.lag), below(times_.lag)});
    // The purges that every product sends, in order and at once.
    purge({kBack, kBeside}, changed + milliseconds(1));
    purge({kFront}, changed + milliseconds(2));
    purge({kOuter}, changed + milliseconds(3));
    const MonoTime first = changed + lag + fetch;
    purge({kBack, kBeside}, first);
    purge({kFront}, first + hit);
    purge({kOuter}, first + hit + hit);
    content_.advance(changed + seconds(20));
    content_.finish();
    for (const PageRead& copy : content_.copies()) {
      if (copy.version != copy.latest) return true;
    }
    // A cache may take until half of H to forget.
    const MonoTime bound = changed + times_.lag + times_.fetch + times_.hit / 2;
    return latest_[kBack] > bound || latest_[kBeside] > bound ||
           latest_[kFront] > bound + times_.hit || latest_[kOuter] > bound + 2 * times_.hit;
  }
  [[nodiscard]] const FillTimes& times() const { return times_; }

 private:
  Duration below(Duration most) {
    return Duration(
        static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(most.count()))));
  }
  void purge(std::initializer_list<std::uint16_t> ports, MonoTime at) {
    content_.advance(at);
    for (const std::uint16_t port : ports) content_.purge(port, kUrl);
  }
  [[nodiscard]] SimContent::Draws draws() {
    SimContent::Draws draws;
    draws.fetch = [this] {
      const Duration last = times_.fetch - Duration(1) - below(times_.fetch / 8);
      return FetchPlan{random_.below(2) == 0 ? Duration(0) : below(last), last, random_.below(2)};
    };
    draws.hop = [this] {
      return below(times_.hit / 2);
    };
    draws.removal = [this] {
      return random_.below(2) == 0 ? below(times_.hit / 2) : Duration(0);
    };
    draws.pick = [this](std::size_t of) {
      return random_.below(of);
    };
    draws.kind = [this] {
      CacheKind kind;
      kind.kills_fill = random_.below(2) == 0;
      kind.reads_writer = random_.below(2) == 0;
      kind.asks_alone = random_.below(4) == 0;
      kind.grace = random_.below(2) == 0;
      if (random_.below(2) == 0) kind.ttl = milliseconds(100 + random_.below(1000));
      return kind;
    };
    return draws;
  }

  test::FakeRandom random_;
  const FillTimes times_{milliseconds(600), seconds(1), milliseconds(400)};
  const MonoTime start_{std::chrono::hours(1)};
  SimContent content_{draws()};
  std::map<std::uint16_t, MonoTime> latest_;
};

// How many of 400 worlds have an old page when each time is cut to so many hundredths.
int stale_worlds(int lag, int fetch, int hit) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    FencedWorld world(seed);
    const FillTimes& times = world.times();
    found += world.stale(times.lag * lag / 100, times.fetch * fetch / 100, times.hit * hit / 100);
  }
  return found;
}

TEST(Content, FencesInTimeLeaveNoOldPage) {
  EXPECT_EQ(stale_worlds(100, 100, 100), 0);
}

TEST(Content, EachTimeOfTheFencesIsNeeded) {
  EXPECT_GT(stale_worlds(0, 100, 100), 0) << "without L";
  EXPECT_GT(stale_worlds(100, 0, 100), 0) << "without F";
  EXPECT_GT(stale_worlds(100, 100, 0), 0) << "without H";
  EXPECT_GT(stale_worlds(0, 0, 0), 200) << "without fences";
}

}  // namespace
}  // namespace purgeline::sim
