// StoreThread: the seams, their bounds, and what happens when the disk refuses.
#include "store/store_thread.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>

#include "store/dead_letter_list.h"
#include "store/schema.h"
#include "unit/store_support.h"

namespace purgeline {
namespace {

using store_test::Folder;
using store_test::letter;
using testing::ElementsAre;
using testing::HasSubstr;

const PartitionName kName{"resource-purge", 2};

Commit commit_of(std::int64_t offset, const std::string& cluster,
                 std::optional<std::int64_t> time = std::nullopt) {
  Position position{Offset{offset}, std::nullopt, cluster};
  if (time) position.event_time = store_test::wall(*time);
  return Commit{PartitionId{0}, kName, std::move(position)};
}

// The shard's part: polls when woken, until something has happened.
struct Shard {
  explicit Shard(const std::string& path, const StoreOptions& options = {}) {
    Result<std::unique_ptr<StoreThread>> opened = StoreThread::open(path, clock, options);
    EXPECT_TRUE(opened) << opened.error().detail;
    store = std::move(opened.value());
    store->dead_letters().start(letters);
    store->positions().start(positions);
  }
  void start() { store->start(wake.fd()); }
  void poll() {
    store->dead_letters().poll();
    store->positions().poll();
  }
  template <class Condition>
  void until(Condition condition) {
    poll();
    while (!condition()) {
      ASSERT_GT(wake.wait(), 0U) << "the store never answered";
      poll();
    }
  }
  void until_kept(std::size_t count) {
    until([this, count] { return letters.kept.size() >= count; });
  }
  void until_committed(std::size_t count) {
    until([this, count] { return positions.committed.size() >= count; });
  }
  std::optional<Position> load(const PartitionName& name = kName) {
    positions.loaded.clear();
    store->positions().load(PartitionId{0}, name);
    until([this] { return !positions.loaded.empty(); });
    EXPECT_TRUE(positions.loaded.at(0).second);
    return positions.loaded.at(0).second.value();
  }
  void commit(const Commit& one) {
    const std::size_t before = positions.committed.size();
    store->positions().commit({&one, 1});
    until_committed(before + 1);
  }

  store_test::HostClock clock;
  store_test::Wake wake;
  store_test::LetterLog letters;
  store_test::PositionLog positions;
  std::unique_ptr<StoreThread> store;  // last: its thread uses the clock and the wake
};

TEST(StoreThread, KeepsDeadLettersAndSaysSoInOrder) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  Shard shard(path);
  shard.start();
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(shard.store->dead_letters().put(1000 + i, letter(i)));
  }
  EXPECT_GT(shard.store->letters_waiting(), 0U);
  shard.until_kept(100);
  EXPECT_EQ(shard.store->letters_waiting(), 0U);
  std::vector<std::uint64_t> expected(100);
  std::iota(expected.begin(), expected.end(), 1000U);
  EXPECT_EQ(shard.letters.kept, expected);
  EXPECT_TRUE(shard.letters.troubles.empty());
  // Readable by another process while the daemon runs.
  const std::vector<DeadLetter> read = list_dead_letters(path, 1).value();
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].event_id, "event-99");
}

TEST(StoreThread, ARestartFindsWhatWasThere) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  {
    Shard shard(path);
    shard.start();
    ASSERT_TRUE(shard.store->dead_letters().put(1, letter(1)));
    shard.commit(commit_of(42, "cluster-a", 99));
    shard.until_kept(1);
    EXPECT_TRUE(shard.store->stop());
  }
  Shard shard(path);
  shard.start();
  const std::optional<Position> position = shard.load();
  ASSERT_TRUE(position);
  EXPECT_EQ(position->offset, Offset{42});
  EXPECT_EQ(position->event_time, store_test::wall(99));
  EXPECT_EQ(position->cluster, "cluster-a");
  EXPECT_FALSE(shard.load(PartitionName{"resource-purge", 3}));
  EXPECT_FALSE(shard.load(PartitionName{"other", 2}));
  EXPECT_EQ(list_dead_letters(path, 10).value().size(), 1U);
}

TEST(StoreThread, PositionsNeverGoBackwardsUnlessTheClusterDiffers) {
  struct Row {
    const char* name;
    Commit first;
    Commit second;
    std::int64_t offset;
    std::optional<std::int64_t> time;
    const char* cluster;
  };
  const std::vector<Row> rows{
      {"forwards", commit_of(10, "a", 1), commit_of(11, "a", 2), 11, 2, "a"},
      {"backwards", commit_of(10, "a", 5), commit_of(9, "a", 6), 10, 5, "a"},
      {"the same again", commit_of(10, "a", 5), commit_of(10, "a", 6), 10, 6, "a"},
      {"no time keeps the older one", commit_of(10, "a", 5), commit_of(12, "a"), 12, 5, "a"},
      {"another cluster, lower", commit_of(10, "a", 5), commit_of(3, "b", 6), 3, 6, "b"},
      {"another cluster, higher", commit_of(10, "a", 5), commit_of(30, "b"), 30, std::nullopt, "b"},
      {"cluster not known", commit_of(10, "a", 5), commit_of(3, "", 6), 3, 6, ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Folder folder;
    Shard shard(folder.path("state.db"));
    shard.start();
    shard.commit(row.first);
    shard.commit(row.second);
    EXPECT_TRUE(shard.positions.committed.at(1).status);
    EXPECT_EQ(shard.positions.committed.at(1).offset, row.second.position.offset);
    const std::optional<Position> position = shard.load();
    ASSERT_TRUE(position);
    EXPECT_EQ(position->offset, Offset{row.offset});
    EXPECT_EQ(position->cluster, row.cluster);
    ASSERT_EQ(position->event_time.has_value(), row.time.has_value());
    if (row.time) {
      EXPECT_EQ(*position->event_time, store_test::wall(*row.time));
    }
  }
}

TEST(StoreThread, AFullQueueSaysSoAndTakesMoreLater) {
  const Folder folder;
  StoreOptions options;
  options.letters = 4;
  options.positions = 2;
  Shard shard(folder.path("state.db"), options);
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(shard.store->dead_letters().put(i, letter(i)));
  EXPECT_FALSE(shard.store->dead_letters().put(4, letter(4)));
  const std::vector<Commit> commits{commit_of(1, "a"), commit_of(2, "a"), commit_of(3, "a")};
  shard.store->positions().commit(commits);
  shard.store->positions().load(PartitionId{0}, kName);
  EXPECT_TRUE(shard.positions.committed.empty()) << "answers come inside poll() only";
  shard.poll();
  ASSERT_EQ(shard.positions.committed.size(), 1U);
  EXPECT_EQ(shard.positions.committed[0].offset, Offset{3});
  EXPECT_EQ(shard.positions.committed[0].status.error().code, Errc::unavailable);
  ASSERT_EQ(shard.positions.loaded.size(), 1U);
  EXPECT_EQ(shard.positions.loaded[0].second.error().code, Errc::unavailable);

  shard.start();
  shard.until_kept(4);
  shard.until_committed(3);
  EXPECT_TRUE(shard.positions.committed[2].status);
  EXPECT_TRUE(shard.store->dead_letters().put(4, letter(4)));
  shard.until_kept(5);
  EXPECT_EQ(shard.load()->offset, Offset{2});
}

TEST(StoreThread, AListenerMayPutAgainWhileItIsTold) {
  struct Chain final : DeadLetterListener {
    DeadLetters* letters{nullptr};
    std::uint64_t kept{0};
    void on_dead_letter_kept(std::uint64_t ticket) override {
      ++kept;
      if (ticket < 50) {
        EXPECT_TRUE(letters->put(ticket + 1, letter(ticket)));
      }
    }
    void on_dead_letter_trouble(const std::string& why) override { FAIL() << why; }
  };
  const Folder folder;
  StoreOptions options;
  options.letters = 1;
  store_test::HostClock clock;
  store_test::Wake wake;
  Chain chain;
  auto store = StoreThread::open(folder.path("state.db"), clock, options).value();
  chain.letters = &store->dead_letters();
  chain.letters->start(chain);
  store->start(wake.fd());
  ASSERT_TRUE(chain.letters->put(1, letter(0)));
  while (chain.kept < 50) {
    ASSERT_GT(wake.wait(), 0U);
    chain.letters->poll();
  }
  EXPECT_EQ(list_dead_letters(folder.path("state.db"), 100).value().size(), 50U);
}

TEST(StoreThread, StopWritesWhatIsQueuedAndRefusesMore) {
  const Folder folder;
  Shard shard(folder.path("state.db"));
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(shard.store->dead_letters().put(i, letter(i)));
  const Commit commit = commit_of(7, "a");
  shard.store->positions().commit({&commit, 1});
  shard.start();
  EXPECT_TRUE(shard.store->stop());
  EXPECT_TRUE(shard.store->stop()) << "a second stop has nothing to do";
  EXPECT_FALSE(shard.store->dead_letters().put(50, letter(50)));
  shard.poll();
  EXPECT_EQ(shard.letters.kept.size(), 50U);
  ASSERT_EQ(shard.positions.committed.size(), 1U);
  EXPECT_TRUE(shard.positions.committed[0].status);
  EXPECT_EQ(list_dead_letters(folder.path("state.db"), 100).value().size(), 50U);
}

// A file that may not grow: what a full disk looks like, on any machine.
class StoreThreadFull : public testing::Test {
 protected:
  StoreThreadFull() : path_(folder_.path("state.db")) {
    Database database = open_state(path_).value();
    StateTables tables = StateTables::open(std::move(database)).value();
    DeadLetter filler = letter(0);
    filler.path = std::string(200'000, 'f');
    EXPECT_TRUE(tables.add(filler));
    Commit commit = commit_of(1, "a");
    EXPECT_TRUE(tables.upsert(commit, store_test::wall(0)));
  }
  StoreOptions full(Duration retry) {
    Database database = Database::open(path_).value();
    StoreOptions options;
    options.retry = retry;
    options.database.max_pages = database.number("PRAGMA page_count").value();
    return options;
  }
  // Needs more pages than the file has free.
  static DeadLetter large() {
    DeadLetter made = letter(1);
    made.path = std::string(100'000, 'x');
    return made;
  }
  void make_room() {
    Database database = Database::open(path_).value();
    Status deleted = database.run("DELETE FROM dead_letter");
    EXPECT_TRUE(deleted) << deleted.error().detail;
  }

  Folder folder_;
  std::string path_;
};

TEST_F(StoreThreadFull, TheLetterStaysIsToldOnceAndIsKeptWhenThereIsRoom) {
  Shard shard(path_, full(std::chrono::milliseconds(1)));
  shard.start();
  ASSERT_TRUE(shard.store->dead_letters().put(5, large()));
  std::uint64_t tries = 0;
  while (tries < 10) {
    const std::uint64_t woken = shard.wake.wait();
    ASSERT_GT(woken, 0U);
    tries += woken;
    shard.poll();
  }
  ASSERT_EQ(shard.letters.troubles.size(), 1U);
  EXPECT_THAT(shard.letters.troubles[0], HasSubstr(path_));
  EXPECT_THAT(shard.letters.troubles[0], HasSubstr("full"));
  EXPECT_TRUE(shard.letters.kept.empty());
  EXPECT_EQ(shard.store->letters_waiting(), 1U);

  // Meanwhile positions go on, and further letters wait their turn behind the first.
  shard.commit(commit_of(9, "a"));
  EXPECT_TRUE(shard.positions.committed.at(0).status);
  ASSERT_TRUE(shard.store->dead_letters().put(6, letter(2)));

  make_room();
  shard.until_kept(2);
  EXPECT_THAT(shard.letters.kept, ElementsAre(5, 6));
  EXPECT_EQ(shard.letters.troubles.size(), 1U);
  EXPECT_EQ(shard.load()->offset, Offset{9});
  const std::vector<DeadLetter> read = list_dead_letters(path_, 10).value();
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[1].path, large().path);
}

TEST_F(StoreThreadFull, ANewTroubleIsToldAgain) {
  StoreOptions options = full(std::chrono::milliseconds(1));
  options.database.busy_timeout = Duration::zero();
  Shard shard(path_, options);
  Database other = Database::open(path_).value();
  // Whether `words` were told after the first `known` troubles.
  const auto told = [&shard](std::size_t known, const std::string& words) {
    const std::vector<std::string>& all = shard.letters.troubles;
    return std::any_of(
        all.begin() + static_cast<std::ptrdiff_t>(known), all.end(),
        [&words](const std::string& why) { return why.find(words) != std::string::npos; });
  };
  {
    Result<Transaction> held = Transaction::begin(other);
    ASSERT_TRUE(held);
    shard.start();
    ASSERT_TRUE(shard.store->dead_letters().put(5, large()));
    shard.until([&told] { return told(0, "locked"); });
    EXPECT_EQ(shard.letters.troubles.size(), 1U);
    shard.commit(commit_of(9, "a"));
    ASSERT_FALSE(shard.positions.committed.at(0).status);
    EXPECT_EQ(shard.positions.committed.at(0).status.error().code, Errc::unavailable);
  }
  shard.until([&told] { return told(1, "full"); });
  make_room();
  shard.until_kept(1);
  const std::size_t known = shard.letters.troubles.size();
  // It was over: the same trouble is news once more.
  DeadLetter huge = large();
  huge.path.append(300'000, 'y');
  ASSERT_TRUE(shard.store->dead_letters().put(6, huge));
  shard.until([&told, known] { return told(known, "full"); });
}

TEST_F(StoreThreadFull, BetweenRetriesNothingIsTriedAndAStopTriesOnceMore) {
  Shard shard(path_, full(std::chrono::hours(24)));
  shard.start();
  ASSERT_TRUE(shard.store->dead_letters().put(5, large()));
  shard.until([&shard] { return shard.letters.troubles.size() == 1; });
  make_room();
  // The writer passes by, but the letter is not due.
  shard.commit(commit_of(9, "a"));
  EXPECT_TRUE(shard.letters.kept.empty());
  EXPECT_TRUE(shard.store->stop());
  shard.poll();
  EXPECT_THAT(shard.letters.kept, ElementsAre(5));
}

TEST_F(StoreThreadFull, AStopThatCannotWriteSaysWhatIsMissing) {
  Shard shard(path_, full(std::chrono::hours(24)));
  shard.start();
  ASSERT_TRUE(shard.store->dead_letters().put(5, large()));
  ASSERT_TRUE(shard.store->dead_letters().put(6, letter(2)));
  const Status stopped = shard.store->stop();
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().detail, HasSubstr("dead letters could not be written"));
  EXPECT_THAT(stopped.error().detail, HasSubstr("full"));
}

TEST_F(StoreThreadFull, APositionThatDoesNotFitIsAnsweredWithNoSpace) {
  Shard shard(path_, full(std::chrono::milliseconds(1)));
  shard.start();
  Commit commit = commit_of(1, "a");
  commit.name.topic = std::string(100'000, 't');
  shard.commit(commit);
  ASSERT_FALSE(shard.positions.committed.at(0).status);
  EXPECT_EQ(shard.positions.committed.at(0).status.error().code, Errc::no_space);
  EXPECT_TRUE(shard.letters.troubles.empty());
  // The store works on.
  EXPECT_EQ(shard.load()->offset, Offset{1});
}

}  // namespace
}  // namespace purgeline
