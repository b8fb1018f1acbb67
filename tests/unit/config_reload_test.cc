// Which keys a SIGHUP changes, and which it names.
#include "control/config_reload.h"

#include <gtest/gtest.h>

namespace purgeline {
namespace {

TEST(ConfigReload, KeysThatNeedARestartAreNamedAndStayAsTheyWere) {
  Config running, wanted;
  running.io = IoKind::uring;
  wanted.io = IoKind::epoll;
  running.purge.coalesce.capacity = 1000;
  wanted.purge.coalesce.capacity = 2000;
  wanted.purge.coalesce.window = std::chrono::seconds(1);
  wanted.purge.layers.resize(2);
  wanted.logging.level = LogLevel::debug;
  const ConfigChange change = change_of(running, wanted);
  EXPECT_EQ(change.restart, (std::vector<std::string>{"io", "purge.coalesce.capacity"}));
  EXPECT_EQ(change.config.io, IoKind::uring);
  EXPECT_EQ(change.config.purge.coalesce.capacity, 1000u);
  EXPECT_EQ(change.config.purge.coalesce.window, std::chrono::seconds(1));
  EXPECT_EQ(change.config.purge.layers.size(), 2u);
  EXPECT_EQ(change.config.logging.level, LogLevel::debug);
}

TEST(ConfigReload, NothingIsNamedWhenNothingDiffers) {
  const Config same;
  EXPECT_TRUE(change_of(same, same).restart.empty());
}

}  // namespace
}  // namespace purgeline
