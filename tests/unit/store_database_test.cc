// Database, schema and the reading side of state.db.
#include <gmock/gmock.h>

#include <array>
#include <string>

#include "store/database.h"
#include "store/dead_letter_list.h"
#include "store/schema.h"
#include "store/state_tables.h"
#include "unit/store_support.h"

namespace purgeline {
namespace {

using store_test::Child;
using store_test::Folder;
using testing::HasSubstr;

Database must_open(const std::string& path, const DatabaseOptions& options = {}) {
  Result<Database> database = Database::open(path, options);
  EXPECT_TRUE(database) << database.error().detail;
  return std::move(database.value());
}

// A file as the daemon leaves it, with `letters` dead letters.
void make_state(const std::string& path, std::uint64_t letters) {
  Result<Database> database = open_state(path);
  ASSERT_TRUE(database) << database.error().detail;
  Result<StateTables> tables = StateTables::open(std::move(*database));
  ASSERT_TRUE(tables);
  Result<Transaction> transaction = tables->begin();
  ASSERT_TRUE(transaction);
  for (std::uint64_t i = 0; i < letters; ++i) ASSERT_TRUE(tables->add(store_test::letter(i)));
  ASSERT_TRUE(transaction->commit());
}

TEST(StoreSchema, ANewFileGetsTheSchemaOfThisReleaseAndIsDurable) {
  const Folder folder;
  Result<Database> database = open_state(folder.path("state.db"));
  ASSERT_TRUE(database) << database.error().detail;
  EXPECT_EQ(database->number("PRAGMA user_version").value(),
            static_cast<std::int64_t>(state_steps().size()));
  EXPECT_EQ(database->number("PRAGMA application_id").value(), kApplicationId);
  EXPECT_EQ(database->word("PRAGMA journal_mode").value(), "wal");
  EXPECT_EQ(database->number("PRAGMA synchronous").value(), 2);  // FULL
  EXPECT_EQ(database->number("SELECT count(*) FROM position").value(), 0);
  EXPECT_EQ(database->number("SELECT count(*) FROM dead_letter").value(), 0);
}

TEST(StoreSchema, AFileOfVersion0IsBroughtUpAndKeepsWhatItHas) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  {
    Database old = must_open(path);
    ASSERT_TRUE(old.run("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('kept')"));
    ASSERT_EQ(old.number("PRAGMA user_version").value(), 0);
  }
  Result<Database> database = open_state(path);
  ASSERT_TRUE(database) << database.error().detail;
  EXPECT_EQ(database->number("PRAGMA user_version").value(), 1);
  EXPECT_EQ(database->word("SELECT text FROM note").value(), "kept");
  EXPECT_TRUE(count_dead_letters(path).value().empty());
}

TEST(StoreSchema, OnlyMissingStepsAreApplied) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  make_state(path, 3);
  Database database = must_open(path);
  const std::array<const char*, 2> steps{
      state_steps()[0], "ALTER TABLE dead_letter ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"};
  ASSERT_TRUE(migrate(database, steps));
  EXPECT_EQ(database.number("PRAGMA user_version").value(), 2);
  EXPECT_EQ(database.number("SELECT count(*) FROM dead_letter WHERE note = 'none'").value(), 3);
  // The second time there is nothing to do.
  ASSERT_TRUE(migrate(database, steps));
}

TEST(StoreSchema, AFailedStepLeavesTheOldVersion) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  make_state(path, 1);
  Database database = must_open(path);
  const std::array<const char*, 3> steps{state_steps()[0], "CREATE TABLE extra (x)",
                                         "CREATE TABLE dead_letter (x)"};
  const Status status = migrate(database, steps);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().detail, HasSubstr("dead_letter already exists"));
  EXPECT_EQ(database.number("PRAGMA user_version").value(), 1);
  EXPECT_EQ(database.number("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").value(), 0);
  EXPECT_FALSE(database.in_transaction());
}

// The write-ahead log of a newer release may still lie beside the file after a crash.
TEST(StoreSchema, ANewerFileIsRefusedInWordsAndUntouched) {
  for (const bool with_log : {false, true}) {
    SCOPED_TRACE(with_log ? "with a log" : "without a log");
    const Folder folder;
    const std::string path = folder.path("state.db");
    make_state(path, 2);
    {
      Database newer = must_open(path);
      newer.keep_untouched(with_log);
      ASSERT_TRUE(newer.run("PRAGMA user_version=7"));
    }
    ASSERT_EQ(std::filesystem::exists(path + "-wal"), with_log);
    const std::string before = store_test::read_bytes(path);
    const std::string log_before = store_test::read_bytes(path + "-wal");
    const Result<Database> database = open_state(path);
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().code, Errc::unsupported);
    EXPECT_THAT(database.error().detail, HasSubstr(path));
    EXPECT_THAT(database.error().detail, HasSubstr("newer release (schema version 7"));
    EXPECT_EQ(store_test::read_bytes(path), before);
    EXPECT_EQ(store_test::read_bytes(path + "-wal"), log_before);
    const Result<std::vector<DeadLetter>> listed = list_dead_letters(path, 10);
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, Errc::unsupported);
    EXPECT_EQ(store_test::read_bytes(path), before);
  }
}

TEST(StoreSchema, AnotherProgramsDatabaseIsRefusedAndUntouched) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  {
    Database other = must_open(path);
    ASSERT_TRUE(other.run("PRAGMA application_id=42; CREATE TABLE theirs (x)"));
  }
  const std::string before = store_test::read_bytes(path);
  const Result<Database> database = open_state(path);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, Errc::exists);
  EXPECT_THAT(database.error().detail, HasSubstr("another program"));
  EXPECT_EQ(store_test::read_bytes(path), before);
}

TEST(StoreSchema, ADamagedFileIsNamedAsSuch) {
  const Folder folder;
  make_state(folder.path("good.db"), 50);
  const std::string good = store_test::read_bytes(folder.path("good.db"));
  ASSERT_GT(good.size(), 3 * 4096U);
  struct Row {
    const char* name;
    std::string bytes;
  };
  std::string schema_gone = good;
  schema_gone.replace(100, 3000, 3000, '\xff');
  const std::vector<Row> rows{
      {"text", std::string(5000, 'x')},
      {"header only", good.substr(0, 200)},
      {"schema overwritten", schema_gone},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const std::string path = folder.path("state.db");
    store_test::write_bytes(path, row.bytes);
    const Result<Database> database = open_state(path);
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().code, Errc::corrupt) << database.error().detail;
    EXPECT_THAT(database.error().detail, HasSubstr(path));
    EXPECT_THAT(database.error().detail, HasSubstr("move the file away"));
    EXPECT_EQ(store_test::read_bytes(path), row.bytes);
  }
}

TEST(StoreDatabase, ErrorsCarryTheirCodeAndThePath) {
  const Folder folder;
  {
    const Result<Database> missing = Database::open(folder.path("no/state.db"));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Errc::not_found);
    EXPECT_THAT(missing.error().detail,
                HasSubstr("no/state.db: unable to open database file (No "));
  }
  {
    const Result<std::vector<DeadLetter>> listed = list_dead_letters(folder.path("none.db"), 5);
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, Errc::not_found);
    EXPECT_FALSE(std::filesystem::exists(folder.path("none.db")));
  }
  Database database = must_open(folder.path("state.db"));
  ASSERT_TRUE(database.run("CREATE TABLE t (x)"));
  const Status wrong = database.run("SELEKT");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::internal);
  EXPECT_THAT(wrong.error().detail, HasSubstr("syntax error"));
}

TEST(StoreDatabase, AFullFileIsNoSpaceAndTheTransactionIsGone) {
  const Folder folder;
  DatabaseOptions options;
  options.max_pages = 4;
  Database database = must_open(folder.path("state.db"), options);
  ASSERT_TRUE(database.run("CREATE TABLE t (x)"));
  {
    Result<Transaction> transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.run("INSERT INTO t VALUES (1)"));
    const Status status = database.run("INSERT INTO t VALUES (zeroblob(100000))");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::no_space);
    EXPECT_THAT(status.error().detail, HasSubstr("full"));
  }
  EXPECT_FALSE(database.in_transaction());
  EXPECT_EQ(database.number("SELECT count(*) FROM t").value(), 0);
}

TEST(StoreDatabase, AFileLockedBySomebodyElseIsUnavailable) {
  const Folder folder;
  DatabaseOptions options;
  options.busy_timeout = Duration::zero();
  Database first = must_open(folder.path("state.db"), options);
  Database second = must_open(folder.path("state.db"), options);
  Result<Transaction> held = Transaction::begin(first);
  ASSERT_TRUE(held);
  const Result<Transaction> refused = Transaction::begin(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unavailable);
  ASSERT_TRUE(held->commit());
  EXPECT_TRUE(Transaction::begin(second));
}

TEST(StoreDatabase, AFileThatMayOnlyBeReadIsRefusedForWritingAndCanBeListed) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  make_state(path, 2);
  ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
  Child child([&path](int out) {
    store_test::become_nobody();
    const Result<Database> database = open_state(path);
    if (database) return store_test::say(out, "opened");
    store_test::say(out, errc_name(database.error().code) + (" " + database.error().detail));
  });
  EXPECT_THAT(child.line(), HasSubstr("permission " + path + ": the file may be read"));
  EXPECT_EQ(list_dead_letters(path, 5).value().size(), 2U);
}

TEST(StoreDatabase, ATransactionThatIsNotCommittedIsRolledBack) {
  const Folder folder;
  Database database = must_open(folder.path("state.db"));
  ASSERT_TRUE(database.run("CREATE TABLE t (x)"));
  {
    Result<Transaction> transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.run("INSERT INTO t VALUES (1)"));
  }
  EXPECT_EQ(database.number("SELECT count(*) FROM t").value(), 0);
}

TEST(StoreDeadLetters, EveryFieldAndEveryByteComesBack) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  DeadLetter odd = store_test::letter(7);
  odd.path = std::string("/a\0b\xff\xfe|\"';--", 12);
  odd.event_id = "";
  odd.status = 0;
  odd.attempts = UINT32_MAX;
  odd.at = store_test::wall(-1);
  odd.offset = Offset{INT64_MAX};
  {
    Result<StateTables> tables = StateTables::open(open_state(path).value());
    ASSERT_TRUE(tables);
    ASSERT_TRUE(tables->add(odd));
  }
  const std::vector<DeadLetter> read = list_dead_letters(path, 10).value();
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].id, 1U);
  EXPECT_EQ(read[0].at, odd.at);
  EXPECT_EQ(read[0].target, odd.target);
  EXPECT_EQ(read[0].layer, odd.layer);
  EXPECT_EQ(read[0].host, odd.host);
  EXPECT_EQ(read[0].path, odd.path);
  EXPECT_EQ(read[0].reason, odd.reason);
  EXPECT_EQ(read[0].status, odd.status);
  EXPECT_EQ(read[0].attempts, odd.attempts);
  EXPECT_EQ(read[0].partition, odd.partition);
  EXPECT_EQ(read[0].offset, odd.offset);
  EXPECT_EQ(read[0].event_id, odd.event_id);
}

TEST(StoreDeadLetters, AreListedNewestFirstInPagesAndCountedByReason) {
  const Folder folder;
  const std::string path = folder.path("state.db");
  make_state(path, 5);
  const auto ids = [&path](std::uint32_t limit, std::uint64_t skip) {
    std::vector<std::uint64_t> found;
    const std::vector<DeadLetter> read = list_dead_letters(path, limit, skip).value();
    for (const DeadLetter& letter : read) found.push_back(letter.id);
    return found;
  };
  EXPECT_THAT(ids(2, 0), testing::ElementsAre(5, 4));
  EXPECT_THAT(ids(2, 2), testing::ElementsAre(3, 2));
  EXPECT_THAT(ids(2, 4), testing::ElementsAre(1));
  EXPECT_THAT(ids(2, 5), testing::ElementsAre());
  EXPECT_THAT(ids(0, 0), testing::ElementsAre());
  const std::vector<ReasonCount> counts = count_dead_letters(path).value();
  ASSERT_EQ(counts.size(), 2U);
  EXPECT_EQ(counts[0].reason, "refused");
  EXPECT_EQ(counts[0].letters, 3U);
  EXPECT_EQ(counts[1].reason, "exhausted");
  EXPECT_EQ(counts[1].letters, 2U);
}

}  // namespace
}  // namespace purgeline
