// The state folder and its lock.
#include <gmock/gmock.h>

#include <string>

#include "store/state_dir.h"
#include "unit/store_support.h"

namespace purgeline {
namespace {

using store_test::Child;
using store_test::Folder;
using testing::HasSubstr;
using testing::StartsWith;

std::string outcome(const Result<StateDir>& opened) {
  if (opened) return "opened";
  return std::string(errc_name(opened.error().code)) + " " + opened.error().detail;
}

TEST(StoreStateDir, CreatesTheFolderAndItsParents) {
  const Folder folder;
  for (const char* name : {"state", "a/b/c", "slash/", "dots/../dots"}) {
    SCOPED_TRACE(name);
    const Result<StateDir> opened = StateDir::open(folder.path(name));
    ASSERT_TRUE(opened) << opened.error().detail;
    struct stat found {};
    ASSERT_EQ(::stat(opened->path().c_str(), &found), 0);
    EXPECT_TRUE(S_ISDIR(found.st_mode));
    EXPECT_EQ(found.st_mode & 0027U, 0U) << "others must not get in";
    EXPECT_EQ(opened->state_db(), opened->path() + "/state.db");
    EXPECT_EQ(store_test::read_bytes(opened->path() + "/purgeline.lock"),
              std::to_string(::getpid()) + "\n");
  }
}

TEST(StoreStateDir, ASecondInstanceIsToldThePidOfTheFirst) {
  const Folder folder;
  const Result<StateDir> first = StateDir::open(folder.path("state"));
  ASSERT_TRUE(first);
  Child second(
      [&folder](int out) { store_test::say(out, outcome(StateDir::open(folder.path("state")))); });
  const std::string said = second.line();
  EXPECT_THAT(said, StartsWith("exists "));
  EXPECT_THAT(said, HasSubstr("(PID " + std::to_string(::getpid()) + ")"));
  // The refusal must not have changed what the next one is told.
  EXPECT_EQ(outcome(StateDir::open(folder.path("state"))), said);
}

TEST(StoreStateDir, IsFreeAfterAnOrderlyEnd) {
  const Folder folder;
  for (int round = 0; round < 3; ++round) {
    Result<StateDir> opened = StateDir::open(folder.path("state"));
    ASSERT_TRUE(opened) << opened.error().detail;
    const StateDir moved(std::move(*opened));
    EXPECT_FALSE(StateDir::open(folder.path("state"))) << "moving must not let go of the lock";
  }
}

TEST(StoreStateDir, IsFreeAfterKill9) {
  const Folder folder;
  Child first([&folder](int out) {
    const Result<StateDir> opened = StateDir::open(folder.path("state"));
    store_test::say(out, outcome(opened));
    while (true) ::pause();
  });
  ASSERT_EQ(first.line(), "opened");
  EXPECT_THAT(outcome(StateDir::open(folder.path("state"))),
              HasSubstr("(PID " + std::to_string(first.pid()) + ")"));
  first.kill();
  EXPECT_EQ(outcome(StateDir::open(folder.path("state"))), "opened");
}

TEST(StoreStateDir, AHolderThatCouldNotWriteItsPidStillHolds) {
  const Folder folder;
  const Result<StateDir> first = StateDir::open(folder.path("state"));
  ASSERT_TRUE(first);
  ASSERT_EQ(::truncate(folder.path("state/purgeline.lock").c_str(), 0), 0);
  const std::string said = outcome(StateDir::open(folder.path("state")));
  EXPECT_THAT(said, StartsWith("exists "));
  EXPECT_THAT(said, HasSubstr("another purgeline is running"));
  EXPECT_THAT(said, testing::Not(HasSubstr("PID")));
}

TEST(StoreStateDir, WhatMayNotBeWrittenIsPermissionWithAHint) {
  const Folder folder;
  { ASSERT_TRUE(StateDir::open(folder.path("used"))); }
  ASSERT_EQ(::chmod(folder.path("used/purgeline.lock").c_str(), 0666), 0);
  ASSERT_EQ(::chmod(folder.path("used").c_str(), 0555), 0);
  ASSERT_EQ(::mkdir(folder.path("closed").c_str(), 0555), 0);
  for (const char* name : {"used", "closed", "closed/new"}) {
    SCOPED_TRACE(name);
    Child child([&folder, name](int out) {
      store_test::become_nobody();
      store_test::say(out, outcome(StateDir::open(folder.path(name))));
    });
    const std::string said = child.line();
    EXPECT_THAT(said, StartsWith("permission "));
    EXPECT_THAT(said, HasSubstr(folder.path(name)));
    EXPECT_THAT(said, HasSubstr("write permission"));
  }
  // So that the folder can be removed when the tests do not run as root.
  ASSERT_EQ(::chmod(folder.path("used").c_str(), 0755), 0);
}

TEST(StoreStateDir, WhatIsNoFolderIsInvalid) {
  const Folder folder;
  store_test::write_bytes(folder.path("file"), "x");
  EXPECT_THAT(outcome(StateDir::open(folder.path("file"))), HasSubstr("is not a folder"));
  EXPECT_THAT(outcome(StateDir::open(folder.path("file/below"))), StartsWith("invalid "));
  EXPECT_THAT(outcome(StateDir::open("")), StartsWith("invalid "));
}

}  // namespace
}  // namespace purgeline
