// kill -9, a power cut and a disk that is full: what was acknowledged is there afterwards.
#include <sys/mount.h>

#include <map>
#include <mutex>
#include <set>

#include "unit/store_journal_support.h"
#include "unit/store_vfs.h"

namespace purgeline {
namespace {

using store_test::Child;
using store_test::Folder;
using store_test::OpenJournal;
using store_test::quick_options;
using store_test::read_topic;
using store_test::TestDisk;

std::set<std::string> values_of(const std::string& path, const std::string& topic) {
  std::set<std::string> found;
  Offset next(0);
  for (const auto& [offset, value] : read_topic(path, topic, Offset(0))) {
    EXPECT_EQ(offset, next) << "no hole";
    next = offset.next();
    EXPECT_TRUE(found.insert(value).second) << value << " twice";
  }
  return found;
}

[[noreturn]] void append_forever(const std::string& path, std::uint64_t first, int out) {
  store_test::HostClock clock;
  auto journal = Journal::open(path, clock, quick_options()).value();
  journal->start();
  std::atomic<std::uint64_t> answered{first};
  for (std::uint64_t next = first;;) {
    if (next >= answered + 200) {
      std::this_thread::yield();
      continue;
    }
    const std::uint64_t number = next++;
    CHECK(journal->append({{"t", "", std::to_string(number), {}}},
                          [&answered, number, out](const Result<std::vector<Offset>>& offsets) {
                            CHECK(offsets.has_value());
                            ++answered;
                            CHECK(::write(out, &number, sizeof number) == sizeof number);
                          }));
  }
}

TEST(JournalCrash, NothingAcknowledgedIsLostByKill9) {
  const Folder folder;
  const std::string path = folder.path("journal.db");
  std::set<std::string> acknowledged;
  for (std::uint64_t round = 1; round <= 8; ++round) {
    const std::uint64_t first = round * 1'000'000;
    Child child([&path, first](int out) { append_forever(path, first, out); });
    std::uint64_t number = 0;
    // Each round is cut off at another place.
    for (std::uint64_t i = 0; i < 400 + 171 * round; ++i) {
      ASSERT_EQ(::read(child.in(), &number, sizeof number), static_cast<ssize_t>(sizeof number));
      acknowledged.insert(std::to_string(number));
    }
    child.kill();
    // What it had still said before it died counts as well.
    while (::read(child.in(), &number, sizeof number) == static_cast<ssize_t>(sizeof number)) {
      acknowledged.insert(std::to_string(number));
    }
    OpenJournal journal(path);
    const std::set<std::string> found = values_of(path, "t");
    for (const std::string& value : acknowledged) ASSERT_EQ(found.count(value), 1u) << value;
  }
  EXPECT_GT(acknowledged.size(), 8 * 400u);
}

// Appends until the power goes at a random moment; then the disk keeps what was synced, and of the
// rest any part.
TEST(JournalCrash, NothingAcknowledgedIsLostByAPowerCut) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Folder folder;
    const Folder after;
    std::set<std::string> acknowledged;
    std::mutex mutex;
    {
      TestDisk disk;
      JournalOptions options = quick_options();
      options.wal_limit = 1 << 20;  // folded often
      OpenJournal journal(folder.path("journal.db"), options);
      ASSERT_TRUE(journal.append(1, {"t", "", "first", {}}));
      acknowledged.insert("first");
      disk.cut_after(20 + seed * 7919 % 1500);
      for (std::uint64_t number = 0; !disk.is_cut(); ++number) {
        const std::string value = std::to_string(number) + std::string(number * 37 % 900, 'x');
        const bool taken = journal->append({{"t", "", value, {}}},
                                           [&, value](const Result<std::vector<Offset>>& offsets) {
                                             const std::lock_guard lock(mutex);
                                             if (offsets) acknowledged.insert(value);
                                           });
        if (!taken) std::this_thread::yield();
        if (number % 8 == 7) static_cast<void>(journal.append(1, {"u", "", value, {}}));
      }
      journal->stop();
      disk.leave(folder.path(), after.path(), seed);
    }
    OpenJournal journal(after.path("journal.db"));
    const std::set<std::string> found = values_of(after.path("journal.db"), "t");
    const std::lock_guard lock(mutex);
    for (const std::string& value : acknowledged) {
      ASSERT_EQ(found.count(value), 1u) << "seed " << seed << ": " << value.substr(0, 20);
    }
    ASSERT_TRUE(journal.append(1, {"t", "", "and on", {}})) << "seed " << seed;
  }
}

// A file system of its own, always unmounted.
class SmallDisk {
 public:
  SmallDisk() { mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=16m") == 0; }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }

 private:
  Folder folder_;
  bool mounted_{false};
};

TEST(JournalDisk, AFullDiskRefusesAndGoesOnWhenThereIsRoom) {
  const SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "mounting needs root";
  const std::string path = disk.path("journal.db");
  store_test::write_bytes(disk.path("ballast"), std::string(6 << 20, 'b'));
  OpenJournal journal(path);
  std::size_t kept = 0;
  Result<std::vector<Offset>> answer;
  while ((answer = journal.append(20, {"t", "", std::string(1000, 'v'), {}}))) {
    kept += 20;
    ASSERT_LT(kept, 20'000u);
  }
  EXPECT_EQ(answer.error().code, Errc::no_space) << answer.error().detail;
  EXPECT_NE(journal->trouble(), "");
  EXPECT_EQ(journal->metrics().trouble, 1);
  EXPECT_EQ(read_topic(path, "t", Offset(0)).size(), kept) << "readable, and nothing half";
  EXPECT_FALSE(journal.append(1, {"t", "", "no", {}}));
  ASSERT_EQ(::unlink(disk.path("ballast").c_str()), 0);
  journal.until([&] { return journal->trouble().empty(); });
  const auto again = journal.append(20, {"t", "", "after", {}});
  ASSERT_TRUE(again.has_value()) << again.error().detail;
  EXPECT_EQ(again->front(), Offset(static_cast<std::int64_t>(kept))) << "no hole";
  EXPECT_EQ(read_topic(path, "t", Offset(0)).size(), kept + 20);
}

}  // namespace
}  // namespace purgeline
