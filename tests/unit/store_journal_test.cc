// Journal: appending, retention, its bounds, and what it says of a file that it cannot use.
#include "store/journal.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "control/metrics_text.h"
#include "store/journal_schema.h"
#include "store/schema.h"
#include "unit/store_journal_support.h"
#include "unit/store_vfs.h"

namespace purgeline {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using store_test::Folder;
using store_test::OpenJournal;
using store_test::quick_options;
using store_test::read_topic;
using testing::HasSubstr;

std::string refusal(const std::string& path) {
  store_test::HostClock clock;
  const auto opened = Journal::open(path, clock, quick_options());
  return opened ? "" : opened.error().detail;
}

TEST(Journal, GivesOffsetsInOrderPerTopicAndKeepsThemOverARestart) {
  const Folder folder;
  const std::string path = folder.path("journal.db");
  std::string id;
  {
    OpenJournal journal(path);
    id = journal->id();
    const auto first =
        journal.append({{"a", "k", "a0", {}}, {"b", "", "b0", {}}, {"a", "", "", {}}});
    ASSERT_TRUE(first.has_value()) << first.error().detail;
    EXPECT_EQ(*first, (std::vector<Offset>{Offset(0), Offset(0), Offset(1)}));
  }
  OpenJournal journal(path);
  EXPECT_EQ(journal->id(), id);
  EXPECT_EQ(journal.append(1, {"a", "", std::string("\0\n\xff", 3), {}}).value().at(0), Offset(2));
  EXPECT_EQ(journal.topic("a").high, Offset(3));
  const auto all = read_topic(path, "a", Offset(0));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].second, "a0");
  EXPECT_EQ(all[1].second, "");
  EXPECT_EQ(all[2].second, std::string("\0\n\xff", 3));
  EXPECT_NE(OpenJournal(folder.path("other.db"))->id(), id) << "made anew, it is another log";
}

TEST(Journal, RetentionByAgePassesNoPositionThatIsNeeded) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.retention = minutes(1);
  options.remove_rows = 7;
  OpenJournal journal(folder.path("journal.db"), options);
  ASSERT_TRUE(journal.append(50, {"t", "", "old", journal.now() - hours(1)}));
  ASSERT_TRUE(journal.append(50, {"t", "", "young", journal.now()}));
  ASSERT_TRUE(journal.finish("t", 20));
  journal.until([&] { return journal.topic("t").low >= Offset(20); });
  // Nothing more goes while it is needed: the writer looks several times before this answer.
  for (int looks = 0; looks < 20; ++looks) ASSERT_TRUE(journal.append(1, {"t", "", "x", {}}));
  EXPECT_EQ(journal.topic("t").low, Offset(20));
  ASSERT_TRUE(journal.finish("t", 100));
  journal.until([&] { return journal.topic("t").low >= Offset(50); });
  for (int looks = 0; looks < 20; ++looks) ASSERT_TRUE(journal.append(1, {"t", "", "x", {}}));
  EXPECT_EQ(journal.topic("t").low, Offset(50)) << "the young ones stay";
}

TEST(Journal, WhoeverMayPostCannotMakeTopicsWithoutEnd) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.topics = {"a"};
  options.max_topics = 3;
  {
    OpenJournal journal(folder.path("journal.db"), options);
    EXPECT_TRUE(journal->takes_topic("a"));
    EXPECT_TRUE(journal->takes_topic("b"));
    EXPECT_TRUE(journal->takes_topic("c"));
    EXPECT_FALSE(journal->takes_topic("d"));
    EXPECT_TRUE(journal->takes_topic("b")) << "it was let in before";
    // What the configuration names comes without being asked for here.
    ASSERT_TRUE(journal.append({{"d", "", "x", {}}, {"b", "", "x", {}}}));
    EXPECT_TRUE(journal->takes_topic("d"));
  }
  OpenJournal journal(folder.path("journal.db"), options);
  EXPECT_TRUE(journal->takes_topic("d") && journal->takes_topic("b"));
  EXPECT_FALSE(journal->takes_topic("c")) << "it never had an event, and a, b and d are there";
}

TEST(Journal, AsAnOutboxItDropsWhatItHadFinishedAsTheLog) {
  const Folder folder;
  JournalOptions options = quick_options();
  {
    OpenJournal journal(folder.path("journal.db"), options);
    ASSERT_TRUE(journal.append(25000, {"t", "", "x", journal.now()}));
    ASSERT_TRUE(journal.append(10, {"untouched", "", "x", journal.now()}));
    ASSERT_TRUE(journal.finish("t", 24990));
    EXPECT_EQ(journal.topic("t").low, Offset(0)) << "they are young";
  }
  options.drop_finished = true;
  OpenJournal journal(folder.path("journal.db"), options);
  EXPECT_EQ(journal.topic("t").low, Offset(24990));
  EXPECT_EQ(journal.topic("t").high, Offset(25000));
  EXPECT_EQ(journal.topic("untouched").low, Offset(0));
  EXPECT_EQ(journal->metrics().removed, 24990U);
}

// Whatever it was about to do when the disk failed, it knows what it has.
TEST(Journal, AsAnOutboxItKnowsHowFarItDropped) {
  const Folder folder;
  JournalOptions options = quick_options();
  const std::string path = folder.path("journal.db");
  {
    OpenJournal journal(path, options);
    ASSERT_TRUE(journal.append(25000, {"t", "", "x", journal.now()}));
    ASSERT_TRUE(journal.finish("t", 24990));
  }
  const std::string whole = folder.path("whole.db");
  std::filesystem::copy_file(path, whole);
  options.drop_finished = true;
  std::set<std::int64_t> seen;
  bool cut = true;
  for (std::uint64_t after = 10; cut; after += 1 + after / 4) {
    for (const char* rest : {"-wal", "-shm"}) std::filesystem::remove(path + rest);
    std::filesystem::copy_file(whole, path, std::filesystem::copy_options::overwrite_existing);
    Offset known;
    {
      store_test::HostClock clock;
      store_test::TestDisk disk;
      disk.cut_after(after);
      const auto journal = Journal::open(path, clock, options);
      cut = disk.is_cut();
      if (!journal) continue;
      std::vector<JournalTopic> topics;
      (*journal)->topics(topics);
      known = topics.at(0).low;
    }
    seen.insert(known.value());
    OpenJournal reopened(path, quick_options());
    // A step whose last sync failed may be there all the same.
    EXPECT_GE(known.value(), reopened.topic("t").low.value() - 10000) << after;
  }
  EXPECT_THAT(seen, testing::IsSupersetOf({10000, 24990}));
}

TEST(Journal, SizeRemovesFinishedEventsAndRefusesWhenAllAreUnfinished) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.max_size = 1 << 20;
  const std::string path = folder.path("journal.db");
  OpenJournal journal(path, options);
  const Append event{"t", "", std::string(1000, 'v'), journal.now()};
  std::int64_t kept = 0;
  while (true) {
    const auto answer = journal.append(20, event);
    if (!answer) {
      EXPECT_EQ(answer.error().code, Errc::refused);
      EXPECT_THAT(answer.error().detail, HasSubstr("unfinished events take"));
      EXPECT_THAT(answer.error().detail, HasSubstr("log.journal.max_size 1.0 MiB"));
      break;
    }
    kept += 20;
    ASSERT_LT(kept, 2000);
  }
  EXPECT_GT(kept, 500);
  EXPECT_EQ(read_topic(path, "t", Offset(0)).size(), static_cast<std::size_t>(kept));
  EXPECT_EQ(journal->metrics().trouble, 1);
  // What is finished makes room by itself, and the file does not grow over its bound.
  ASSERT_TRUE(journal.finish("t", kept));
  journal.until([&] { return journal->trouble().empty(); });
  for (int i = 0; i < 100; ++i) {
    const auto answer = journal.append(20, event);
    ASSERT_TRUE(answer.has_value()) << answer.error().detail;
    ASSERT_TRUE(journal.finish("t", answer->back().value() + 1));
  }
  EXPECT_LT(journal->metrics().used_bytes, 1.5 * (1 << 20));
}

TEST(Journal, AQueueThatIsFullRefusesAtOnce) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.queue_events = 10;
  store_test::HostClock clock;
  // Not started: nothing is taken out of the queue.
  auto journal = Journal::open(folder.path("journal.db"), clock, options).value();
  std::atomic<int> answered{0};
  const auto done = [&](const Result<std::vector<Offset>>& offsets) {
    EXPECT_TRUE(offsets.has_value());
    ++answered;
  };
  EXPECT_TRUE(journal->append(std::vector<Append>(10, Append{"t", "", "v", {}}), done));
  EXPECT_FALSE(journal->append(std::vector<Append>(1, Append{"t", "", "v", {}}), done));
  EXPECT_THAT(journal->trouble(), HasSubstr("queue is full"));
  EXPECT_EQ(journal->metrics().refused, 1u);
  journal->start();
  journal->stop();
  EXPECT_EQ(answered, 1) << "what was taken is answered, also while stopping";
  EXPECT_FALSE(journal->append(std::vector<Append>(1, Append{"t", "", "v", {}}), done));
}

TEST(Journal, AnOlderSchemaIsBroughtUpWithAllThatIsInIt) {
  const Folder folder;
  const std::string path = folder.path("journal.db");
  std::string id;
  {
    Database database = Database::open(path).value();
    ASSERT_TRUE(migrate(database, journal_steps().first(1), kJournalApplicationId));
    id = database.word("SELECT id FROM journal").value();
    const std::string first = std::to_string(std::int64_t{1} << kOffsetBits);
    for (const std::string& row : {
             std::string("INSERT INTO topic VALUES (1, 't', 1, 3, 4000000000000000050)"),
             "INSERT INTO event VALUES (" + first + " + 1, 4000000000000000040, 'k', 'one'), (" +
                 first + " + 2, 4000000000000000050, '', 'two')",
             std::string("INSERT INTO mark VALUES (1, 3, 4000000000000000050)"),
             std::string("INSERT INTO position VALUES ('purge', 't', 2, 40, '") + id + "', 60)",
         }) {
      ASSERT_TRUE(database.run(row)) << row;
    }
  }
  OpenJournal journal(path);
  EXPECT_EQ(journal->id(), id) << "else positions would be those of another log";
  EXPECT_EQ(journal.append(1, {"t", "", "v", {}}).value(), std::vector<Offset>{Offset(3)});
  using Rows = std::vector<std::pair<Offset, std::string>>;
  EXPECT_EQ(read_topic(path, "t", Offset(1)),
            (Rows{{Offset(1), "one"}, {Offset(2), "two"}, {Offset(3), "v"}}));
  Database person = Database::open(path, {true, {}, 0}).value();
  EXPECT_EQ(person.number("PRAGMA user_version").value(), 2);
  EXPECT_EQ(person
                .word("SELECT group_concat(topic || ' ' || \"offset\" || ' ' || key || value, ';')"
                      " FROM events")
                .value(),
            "t 1 kone;t 2 two;t 3 v");
  EXPECT_EQ(person.word("SELECT \"offset\" || ' ' || event_time_ns FROM position").value(), "2 40");
}

TEST(Journal, AFileThatItCannotUseIsRefusedInWordsAndLeftAsItIs) {
  const Folder folder;
  const std::string newer = folder.path("newer.db");
  {
    Database database = Database::open(newer).value();
    ASSERT_TRUE(migrate(database, journal_steps(), kJournalApplicationId));
    ASSERT_TRUE(database.run("PRAGMA user_version=99"));
  }
  const std::string state = folder.path("state.db");
  ASSERT_TRUE(open_state(state).has_value());
  const std::string broken = folder.path("broken.db");
  store_test::write_bytes(broken, std::string(8192, 'x'));
  const std::vector<std::pair<std::string, std::string>> cases{
      {newer, "written by a newer release (schema version 99, this release knows up to 2)"},
      {state, "belongs to another program"},
      {broken, "file is not a database; copy the file"},
      {folder.path("no/such/folder.db"), "No such file or directory"},
  };
  for (const auto& [path, words] : cases) {
    const std::string before = store_test::read_bytes(path);
    EXPECT_THAT(refusal(path), HasSubstr(words));
    EXPECT_EQ(store_test::read_bytes(path), before) << path;
  }
}

TEST(Journal, ALockedFileRefusesAndTheJournalGoesOnByItself) {
  const Folder folder;
  const std::string path = folder.path("journal.db");
  OpenJournal journal(path);
  ASSERT_TRUE(journal.append(1, {"t", "", "before", {}}));
  {
    Database person = Database::open(path).value();
    ASSERT_TRUE(person.run("BEGIN IMMEDIATE"));
    EXPECT_THAT(refusal(path), HasSubstr("another program (sqlite3, a backup) holds the file"));
    const auto answer = journal.append(1, {"t", "", "lost", {}});
    ASSERT_FALSE(answer.has_value());
    EXPECT_THAT(answer.error().detail, HasSubstr("locked"));
    EXPECT_THAT(journal->trouble(), HasSubstr("locked"));
    EXPECT_EQ(journal.append(1, {"t", "", "lost", {}}).error().code, Errc::refused);
  }
  journal.until([&] { return journal->trouble().empty(); });
  ASSERT_TRUE(journal.append(1, {"t", "", "after", {}}));
  const auto all = read_topic(path, "t", Offset(0));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].second, "after");
}

TEST(Journal, APersonsOpenTransactionRaisesTheAlarmOfTheLog) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.wal_limit = 1 << 20;
  const std::string path = folder.path("journal.db");
  OpenJournal journal(path, options);
  const Append event{"t", "", std::string(1000, 'v'), {}};
  ASSERT_TRUE(journal.append(10, event));
  {
    Database person = Database::open(path, {true, {}, 0}).value();
    ASSERT_TRUE(person.run("BEGIN; SELECT count(*) FROM event"));
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(journal.append(50, event));
    journal.until([&] { return !journal->pinned().empty(); });
    EXPECT_THAT(journal->pinned(), HasSubstr("holds an old state of the journal open"));
    EXPECT_EQ(journal->metrics().wal_pinned, 1);
    EXPECT_EQ(person.number("SELECT count(*) FROM event").value(), 10) << "its own old state";
  }
  // Also when nothing more is appended.
  journal.until([&] { return journal->pinned().empty(); });
  EXPECT_EQ(journal->metrics().wal_pinned, 0);
  ASSERT_TRUE(journal.append(1, event));
  EXPECT_EQ(journal->pinned(), "");
}

// Without a person a log under steady appends begins anew again and again.
TEST(Journal, TheLogStaysWithinItsBoundUnderReading) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.wal_limit = 2 << 20;
  const std::string path = folder.path("journal.db");
  OpenJournal journal(path, options);
  const Append event{"t", "", std::string(1000, 'v'), {}};
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(journal.append(100, event));
    EXPECT_EQ(journal->pinned(), "");
    static_cast<void>(read_topic(path, "t", Offset(i * 100)));
  }
}

TEST(Journal, EveryMetricIsSeenToChange) {
  const Folder folder;
  JournalOptions options = quick_options();
  options.max_size = 1 << 20;
  options.wal_limit = 256 << 10;
  const std::string path = folder.path("journal.db");
  std::map<std::string, std::set<std::string>> seen;
  const auto look = [&](const Journal& journal) {
    MetricsSnapshot snapshot;
    snapshot.journal = journal.metrics();
    std::istringstream text(render_metrics(snapshot, {}, {}, {}, MetricsCompat::off));
    for (std::string line; std::getline(text, line);) {
      const std::size_t space = line.rfind(' ');
      if (line[0] != '#') seen[line.substr(0, space)].insert(line.substr(space + 1));
    }
  };
  {
    store_test::HostClock clock;
    auto idle = Journal::open(path, clock, {}).value();
    look(*idle);
    EXPECT_TRUE(idle->append({{"t", "", "v", {}}}, [](const auto&) {}));
    look(*idle);
    idle->start();
  }
  OpenJournal journal(path, options);
  const Append event{"t", "", std::string(1000, 'v'), {}};
  {
    Database person = Database::open(path).value();
    ASSERT_TRUE(person.run("BEGIN; SELECT count(*) FROM event"));
    while (journal.append(20, event)) look(*journal);
    look(*journal);
    ASSERT_TRUE(person.run("ROLLBACK; BEGIN IMMEDIATE"));
    journal.until([&] { return journal->metrics().write_failures > 0; });
    look(*journal);
  }
  journal.until([&] { return journal.finish("t", 300).has_value(); });
  journal.until([&] { return journal->trouble().empty(); });
  look(*journal);
  for (const MetricRow& row : native_metrics()) {
    const std::string name = row.name;
    if (!name.starts_with("purgeline_journal_")) continue;
    const std::string sample = row.kind == MetricKind::histogram ? name + "_count" : name;
    EXPECT_GT(seen[sample].size(), 1u) << name << " never changed";
  }
}

}  // namespace
}  // namespace purgeline
