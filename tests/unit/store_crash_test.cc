// kill -9 in the middle of writing: whatever was acknowledged is there afterwards.
#include <algorithm>
#include <set>
#include <string>

#include "store/dead_letter_list.h"
#include "store/store_thread.h"
#include "unit/store_support.h"

namespace purgeline {
namespace {

using store_test::Child;
using store_test::Folder;

const PartitionName kName{"resource-purge", 0};

// What a child reports: the ticket of a letter that was kept, or an offset that was committed.
struct Ack {
  std::uint64_t letter{0};
  std::int64_t offset{-1};
};

struct Reporter final : DeadLetterListener, OffsetStoreListener {
  explicit Reporter(int to) : out(to) {}
  int out;
  std::uint64_t kept{0};
  bool commit_answered{true};
  void report(const Ack& ack) const { CHECK(::write(out, &ack, sizeof ack) == sizeof ack); }
  void on_dead_letter_kept(std::uint64_t ticket) override {
    ++kept;
    report(Ack{ticket, -1});
  }
  void on_dead_letter_trouble(const std::string& why) override { CHECK(why.empty()); }
  void on_loaded(PartitionId, Result<std::optional<Position>>) override {}
  void on_committed(PartitionId, Offset offset, Status status) override {
    CHECK(status.has_value());
    commit_answered = true;
    report(Ack{0, offset.value()});
  }
};

// Writes letters `first`, `first + 1`, ... and positions until it is killed.
[[noreturn]] void write_forever(const std::string& path, std::uint64_t first, int out) {
  store_test::HostClock clock;
  store_test::Wake wake;
  Reporter reporter(out);
  auto store = StoreThread::open(path, clock).value();
  store->dead_letters().start(reporter);
  store->positions().start(reporter);
  store->start(wake.fd());
  std::uint64_t next = first;
  while (true) {
    // A few in flight, so that the kill finds groups of them.
    while (next - first < reporter.kept + 20) {
      CHECK(store->dead_letters().put(next, store_test::letter(next)));
      ++next;
    }
    if (reporter.commit_answered) {
      const Commit commit{PartitionId{0}, kName,
                          Position{Offset{static_cast<std::int64_t>(next)}, std::nullopt, "c"}};
      reporter.commit_answered = false;
      store->positions().commit({&commit, 1});
    }
    CHECK(wake.wait() > 0);
    store->dead_letters().poll();
    store->positions().poll();
  }
}

TEST(StoreCrash, NothingAcknowledgedIsLostByKill9) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  std::set<std::string> acknowledged;
  std::int64_t committed = -1;
  for (std::uint64_t round = 1; round <= 8; ++round) {
    const std::uint64_t first = round * 1'000'000;
    Child child([&path, first](int out) { write_forever(path, first, out); });
    const auto take = [&](const Ack& ack) {
      if (ack.letter != 0) acknowledged.insert("event-" + std::to_string(ack.letter));
      committed = std::max(committed, ack.offset);
    };
    Ack ack;
    // Each round is cut off at another place.
    for (std::uint64_t i = 0; i < 40 + 17 * round; ++i) {
      ASSERT_EQ(::read(child.in(), &ack, sizeof ack), static_cast<ssize_t>(sizeof ack));
      take(ack);
    }
    child.kill();
    // What it had still said before it died counts as well.
    while (::read(child.in(), &ack, sizeof ack) == static_cast<ssize_t>(sizeof ack)) take(ack);

    std::set<std::string> found;
    const std::vector<DeadLetter> read = list_dead_letters(path, 1'000'000).value();
    for (const DeadLetter& letter : read) {
      EXPECT_TRUE(found.insert(letter.event_id).second) << letter.event_id << " twice";
    }
    EXPECT_TRUE(
        std::includes(found.begin(), found.end(), acknowledged.begin(), acknowledged.end()));
    ASSERT_GT(acknowledged.size(), 40U);
  }
  ASSERT_GT(committed, 0);
  store_test::HostClock clock;
  store_test::PositionLog log;
  store_test::Wake wake;
  auto store = StoreThread::open(path, clock).value();
  store->positions().start(log);
  store->positions().load(PartitionId{0}, kName);
  store->start(wake.fd());
  ASSERT_GT(wake.wait(), 0U);
  store->positions().poll();
  ASSERT_EQ(log.loaded.size(), 1U);
  ASSERT_TRUE(log.loaded[0].second.value());
  EXPECT_GE(log.loaded[0].second.value()->offset.value(), committed);
}

}  // namespace
}  // namespace purgeline
