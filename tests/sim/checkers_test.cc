// The checkers can say no: each promise is broken once, by hand, and must be found.
#include <gtest/gtest.h>

#include "sim/checkers.h"

namespace purgeline::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const PartitionName kPartition{"topic", 0};
constexpr std::uint16_t kBack = 1000;
constexpr std::uint16_t kFront = 2000;

class Checkers : public ::testing::Test {
 protected:
  Checkers() {
    for (const std::uint16_t port : {kBack, kFront}) {
      SimTarget target;
      target.name = std::to_string(port);
      target.port = port;
      target.layer = port == kFront ? 1 : 0;
      transport_.add(target);
    }
    checker_.appended(kPartition, event());
    at(1);
    checker_.read(kPartition, Offset(0));
  }
  // One event: its page changed at 0 ms.
  [[nodiscard]] TrueEvent event() const {
    TrueEvent event;
    event.url = "h/p";
    event.changed = event.appended = start_;
    return event;
  }
  void at(int ms) { clock_.move_to(start_ + milliseconds(ms)); }
  PurgeSeen& purge(std::uint16_t port, int handed, int answered) {
    SimTarget& target = transport_.cache(port);
    target.by_url["h/p"].push_back(target.seen.size());
    PurgeSeen seen;
    seen.url = "h/p";
    seen.handed = start_ + milliseconds(handed);
    seen.received = seen.handed + milliseconds(1);
    seen.answered = start_ + milliseconds(answered);
    seen.good = true;
    target.seen.push_back(seen);
    return target.seen.back();
  }
  void letter(std::uint16_t port, int ms) {
    DeadLetter letter;
    letter.target = std::to_string(port);
    letter.host = "h";
    letter.path = "/p";
    disk_.letters.push_back({letter, start_ + milliseconds(ms)});
  }
  std::string commit(std::int64_t offset, const std::string& cluster = "c") {
    checker_.committing({PartitionId(0), kPartition, {Offset(offset), {}, cluster}}, true, "c",
                        false);
    return checker_.violation();
  }
  std::string end() {
    checker_.at_end();
    return checker_.violation();
  }

  SimClock clock_;
  const MonoTime start_{clock_.now()};
  test::FakeRandom random_{1};
  Agenda agenda_;
  Faults faults_{random_};
  Trace trace_{clock_};
  SimTransport transport_{clock_, agenda_, random_, faults_, trace_};
  LetterDisk disk_;
  Checker checker_{{{{kBack}, {kFront}},
                    seconds(1),
                    milliseconds(0),
                    true,
                    true,
                    false,
                    false,
                    true,
                    {milliseconds(100), milliseconds(300), milliseconds(50)}},
                   clock_,
                   transport_,
                   disk_};
};

// The same with fences: due at 400 ms, rounded up to at most 425, and 50 ms after their answer.
class FenceCheckers : public Checkers {
 protected:
  FenceCheckers() {
    checker_.set_fences(true, true);
    for (const std::uint16_t port : {kBack, kFront}) transport_.cache(port).faulty = false;
    purge(kBack, 2, 4);
    purge(kFront, 4, 6);
  }
  // Somebody gets the page as it was before the change.
  std::string read(std::uint16_t port, int ms) {
    PageRead read;
    read.at = start_ + milliseconds(ms);
    read.port = port;
    read.url = "h/p";
    read.latest = 1;
    at(ms);
    checker_.read_page(read);
    return checker_.violation();
  }
};

TEST_F(Checkers, AreContentWithWhatIsInOrder) {
  purge(kBack, 2, 4);
  purge(kFront, 4, 6);
  at(10);
  EXPECT_EQ(commit(1), "");
  EXPECT_EQ(end(), "");
}

TEST_F(Checkers, FindAnEventThatIsLost) {
  purge(kBack, 2, 4);
  at(10);
  EXPECT_NE(end().find("lost"), std::string::npos);
}

TEST_F(Checkers, FindAPurgeThatTookEffectBeforeTheChange) {
  purge(kBack, -5, 4);
  purge(kFront, 5, 6);
  at(10);
  EXPECT_NE(end().find("is not purged on 1000"), std::string::npos);
}

TEST_F(Checkers, FindALaterLayerThatWasNotPurgedAgain) {
  purge(kFront, 2, 3);
  purge(kBack, 2, 4);
  at(10);
  EXPECT_NE(end().find("is not purged on 2000"), std::string::npos);
}

TEST_F(Checkers, FindALaterLayerThatWasPurgedTooEarly) {
  purge(kFront, 2, 3);
  purge(kBack, 2, 4);
  purge(kFront, 5, 6);
  at(10);
  EXPECT_NE(end().find("before the layers in front of it"), std::string::npos);
}

TEST_F(Checkers, FindALayerThatWasHeldBackTooLong) {
  purge(kBack, 2, 4000);
  transport_.cache(kFront).faulty = false;
  purge(kFront, 4001, 4002);
  at(9000);
  EXPECT_NE(end().find("was held back from 2000"), std::string::npos);
}

TEST_F(Checkers, FindACommitPastUnfinishedWork) {
  purge(kBack, 2, 4);
  purge(kFront, 4, 20);
  at(10);
  EXPECT_NE(commit(1).find("is committed past offset 0"), std::string::npos);
}

TEST_F(Checkers, FindACommitBeforeTheDeadLetterIsOnDisk) {
  letter(kBack, 20);
  letter(kFront, 21);
  at(10);
  EXPECT_NE(commit(1).find("is committed past offset 0"), std::string::npos);
}

TEST_F(Checkers, TakeADeadLetterOnDiskForAnEnd) {
  letter(kBack, 5);
  letter(kFront, 6);
  at(10);
  EXPECT_EQ(commit(1), "");
  EXPECT_EQ(checker_.commits_with_letters(), 1u);
}

TEST_F(Checkers, FindADeadLetterOfACacheThatNeverFailed) {
  transport_.cache(kBack).faulty = false;
  purge(kBack, 2, 3);
  letter(kBack, 5);
  purge(kFront, 6, 7);
  at(10);
  EXPECT_NE(end().find("became a dead letter"), std::string::npos);
}

TEST_F(Checkers, FindACommitThatGoesBack) {
  checker_.trimmed(kPartition, Offset(1));
  EXPECT_EQ(commit(5), "");
  EXPECT_NE(commit(4).find("is committed after 5"), std::string::npos);
}

TEST_F(Checkers, FindACommitUnderAnotherClustersId) {
  EXPECT_NE(commit(0, "other").find("under cluster \"other\""), std::string::npos);
}

TEST_F(FenceCheckers, AreContentWithWhatIsInOrder) {
  EXPECT_EQ(read(kFront, 8), "");
  purge(kBack, 410, 414);
  purge(kFront, 464, 466);
  at(470);
  EXPECT_EQ(commit(1), "");
  EXPECT_EQ(read(kFront, 480), "");  // what was removed may take H to go
  at(9000);
  EXPECT_EQ(end(), "");
  EXPECT_EQ(checker_.stale_reads(), 2u);
}

TEST_F(FenceCheckers, FindACommitBeforeTheFence) {
  purge(kBack, 410, 414);
  at(420);
  EXPECT_NE(commit(1).find("has no fence on 2000"), std::string::npos);
}

TEST_F(FenceCheckers, FindAFenceThatCameTooEarly) {
  purge(kBack, 390, 414);
  purge(kFront, 464, 466);
  at(470);
  EXPECT_NE(commit(1).find("has no fence on 1000"), std::string::npos);
}

TEST_F(FenceCheckers, FindAFenceThatFailed) {
  purge(kBack, 410, 414).good = false;
  purge(kFront, 464, 466);
  at(470);
  EXPECT_NE(commit(1).find("has no fence on 1000"), std::string::npos);
}

TEST_F(FenceCheckers, FindALaterLayerFencedWithTheOneBefore) {
  purge(kBack, 410, 414);
  purge(kFront, 415, 466);
  at(470);
  EXPECT_NE(commit(1).find("has no fence on 2000"), std::string::npos);
}

TEST_F(FenceCheckers, FindAFenceThatIsPutOff) {
  purge(kBack, 5000, 5004);
  purge(kFront, 5060, 5061);
  at(9000);
  EXPECT_EQ(commit(1), "");
  EXPECT_NE(end().find("has its fence on 1000 at"), std::string::npos);
}

TEST_F(FenceCheckers, FindAFenceOfALaterLayerThatIsPutOff) {
  purge(kBack, 410, 414);
  purge(kFront, 5060, 5061);
  at(9000);
  EXPECT_EQ(commit(1), "");
  EXPECT_NE(end().find("has its fence on 2000 at"), std::string::npos);
}

TEST_F(FenceCheckers, FindAnOldPageAfterItsBound) {
  EXPECT_EQ(read(kBack, 900), "");  // 425, and 500 for round trips
  EXPECT_NE(read(kBack, 1000).find("it had to be fresh from"), std::string::npos);
}

TEST_F(FenceCheckers, FindAnOldPageOfALaterLayerAfterItsBound) {
  EXPECT_EQ(read(kFront, 1400), "");
  EXPECT_NE(read(kFront, 1600).find("it had to be fresh from"), std::string::npos);
}

TEST_F(FenceCheckers, FindAnOldPageAfterTheCommit) {
  transport_.cache(kBack).faulty = true;  // which has no time to keep
  purge(kBack, 410, 414);
  purge(kFront, 464, 466);
  at(470);
  EXPECT_EQ(commit(1), "");
  EXPECT_NE(read(kFront, 600).find("its event was committed"), std::string::npos);
}

TEST_F(FenceCheckers, WaitForACacheThatFails) {
  transport_.cache(kBack).faulty = true;
  EXPECT_EQ(read(kFront, 5000), "");
  purge(kBack, 5010, 5014);
  EXPECT_EQ(read(kFront, 5500), "");
  EXPECT_NE(read(kFront, 5700).find("it had to be fresh from"), std::string::npos);
}

TEST_F(FenceCheckers, TakeADeadLetterForAnEnd) {
  letter(kBack, 420);
  letter(kFront, 421);
  at(470);
  EXPECT_EQ(commit(1), "");
}

}  // namespace
}  // namespace purgeline::sim
