#include <gtest/gtest.h>

#include <set>

#include "ack/committer.h"
#include "ack/ledger.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using test::FakeClock;

constexpr TargetId kA{0};
constexpr TargetId kB{1};
constexpr WallTime kT{};

TEST(Ledger, CommitsNothingPastTheOldestUnfinished) {
  Ledger ledger(Offset{10}, 2, 100);
  EXPECT_EQ(ledger.watermark().offset, Offset{10});
  const auto first = ledger.note(Offset{12}, 0b11, kT + seconds(1));
  const auto second = ledger.note(Offset{13}, 0b11, kT + seconds(2));
  EXPECT_EQ(ledger.watermark().offset, Offset{12});  // 10 and 11 are holes
  ledger.settle(second, kA);
  ledger.settle(second, kB);
  ledger.settle(first, kA);
  EXPECT_EQ(ledger.watermark().offset, Offset{12});
  EXPECT_EQ(ledger.target_watermark(kA), Offset{14});
  EXPECT_EQ(ledger.target_watermark(kB), Offset{12});
  ledger.settle(first, kB);
  EXPECT_EQ(ledger.watermark().offset, Offset{14});
  EXPECT_EQ(ledger.watermark().time, kT + seconds(2));
}

TEST(Ledger, OfAMaskIsAskedAgainAndAgain) {
  Ledger ledger(Offset{10}, 2, 100);
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{10});
  std::vector<std::uint64_t> numbers;
  for (std::int64_t o = 10; o < 14; ++o) numbers.push_back(ledger.note(Offset{o}, 0b11, kT));
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{10});
  ledger.settle(numbers[0], kA);
  ledger.settle(numbers[2], kA);
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{11});
  ledger.settle(numbers[1], kA);
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{13});
  ledger.settle(numbers[0], kB);  // what is done on all is forgotten
  ledger.settle(numbers[1], kB);
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{13});
  EXPECT_EQ(ledger.mask_watermark(0b10), Offset{12});
  EXPECT_EQ(ledger.mask_watermark(0b11), Offset{12});
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{13});
  ledger.settle(numbers[3], kA);
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{14}) << "what comes next";
  ledger.note(Offset{20}, 0b10, kT);
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{21}) << "it is nothing to them";
  for (std::size_t i = 2; i < 4; ++i) ledger.settle(numbers[i], kB);
  EXPECT_EQ(ledger.watermark().offset, Offset{20});
  EXPECT_EQ(ledger.mask_watermark(0b01), Offset{21});
}

TEST(Ledger, FilteredEventsFinishInOrder) {
  Ledger ledger(Offset{0}, 1, 100);
  const auto open = ledger.note(Offset{0}, 1, kT);
  ledger.note(Offset{5}, 0, kT);
  EXPECT_EQ(ledger.watermark().offset, Offset{0});
  ledger.settle(open, kA);
  EXPECT_EQ(ledger.watermark().offset, Offset{6});
}

TEST(Ledger, AgainstASetOnRandomOrders) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    test::FakeRandom random(seed);
    Ledger ledger(Offset{0}, 2, 64);
    std::map<std::int64_t, std::pair<std::uint64_t, std::uint32_t>> open;  // offset: number, mask
    std::int64_t next = 0;
    for (int step = 0; step < 2000; ++step) {
      if (!ledger.full() && random.below(2) == 0) {
        next += static_cast<std::int64_t>(random.below(3));
        const auto mask = static_cast<std::uint32_t>(random.below(4));
        const auto number = ledger.note(Offset{next}, mask, kT);
        if (mask != 0) open[next] = {number, mask};
        ++next;
      } else if (!open.empty()) {
        auto it = open.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.below(open.size())));
        const TargetId target = (it->second.second & 1) != 0 ? kA : kB;
        ledger.settle(it->second.first, target);
        it->second.second &= ~(1u << target.value());
        if (it->second.second == 0) open.erase(it);
      }
      ASSERT_EQ(ledger.watermark().offset.value(), open.empty() ? next : open.begin()->first)
          << "seed " << seed;
    }
  }
}

struct FakeStore : OffsetStore {
  void start(OffsetStoreListener&) override {}
  void load(PartitionId, const PartitionName&) override {}
  void poll() override {}
  void commit(std::span<const Commit> commits) override {
    for (const Commit& commit : commits) {
      asked.push_back(commit.position.offset.value());
      times.push_back(commit.position.event_time);
    }
  }
  std::vector<std::int64_t> asked;
  std::vector<std::optional<WallTime>> times;
};

struct CommitterTest : testing::Test {
  CommitterTest() : committer({seconds(1), hours(1), seconds(30)}, store, clock) {
    committer.add(p, {"topic", 0}, std::nullopt);
  }
  void tick(Duration by = seconds(1)) {
    clock.advance(by);
    committer.turn();
  }
  FakeClock clock;
  FakeStore store;
  Committer committer;
  const PartitionId p{0};
};

TEST_F(CommitterTest, OncePerIntervalAndOnlyWhatMoved) {
  committer.update(p, Offset{5}, kT);
  tick();
  committer.on_committed(p, Offset{5}, {});
  EXPECT_TRUE(committer.settled());
  tick();
  tick();
  EXPECT_EQ(store.asked, std::vector<std::int64_t>{5});
  EXPECT_EQ(committer.state(p).commits, 1u);
}

TEST_F(CommitterTest, OneInFlightAndANewerWatermarkWaits) {
  committer.update(p, Offset{5}, kT);
  tick();
  committer.update(p, Offset{9}, kT);
  tick();
  EXPECT_EQ(store.asked.size(), 1u);
  committer.on_committed(p, Offset{5}, {});
  tick();
  EXPECT_EQ(store.asked, (std::vector<std::int64_t>{5, 9}));
}

TEST_F(CommitterTest, ARefusedCommitIsTriedAgain) {
  committer.update(p, Offset{5}, kT);
  tick();
  committer.on_committed(p, Offset{5}, failure(Errc::unavailable, "coordinator is loading"));
  EXPECT_EQ(committer.state(p).failures, 1u);
  EXPECT_EQ(committer.state(p).last_error, "coordinator is loading");
  EXPECT_FALSE(committer.settled());
  tick();
  EXPECT_EQ(store.asked, (std::vector<std::int64_t>{5, 5}));
}

TEST_F(CommitterTest, AnUnansweredCommitIsGivenUpAndItsLateAnswerIgnored) {
  committer.update(p, Offset{5}, kT);
  tick();
  tick(seconds(31));
  EXPECT_EQ(store.asked, (std::vector<std::int64_t>{5, 5}));
  committer.update(p, Offset{7}, kT);
  committer.on_committed(p, Offset{5}, {});
  tick();
  EXPECT_EQ(store.asked.back(), 7);
}

TEST_F(CommitterTest, AnUnchangedPositionIsRepeatedEveryHour) {
  committer.update(p, Offset{5}, kT);
  tick();
  committer.on_committed(p, Offset{5}, {});
  tick(std::chrono::minutes(59));
  EXPECT_EQ(store.asked.size(), 1u);
  tick(std::chrono::minutes(1));
  EXPECT_EQ(store.asked.size(), 2u);
}

TEST_F(CommitterTest, TheTimeOfTheLoadedPositionIsRepeatedWithIt) {
  committer.add(p, {"topic", 0}, Position{Offset{5}, kT, ""});
  committer.update(p, Offset{5}, std::nullopt);
  tick();
  EXPECT_TRUE(store.asked.empty()) << "the store holds it already";
  tick(hours(1));
  ASSERT_EQ(store.asked.size(), 1u);
  EXPECT_EQ(store.times.back(), std::optional<WallTime>(kT));
}

TEST_F(CommitterTest, WhatIsForgottenIsNotCommittedAndLateAnswersAreIgnored) {
  committer.update(p, Offset{5}, kT);
  tick();
  committer.forget(p);
  EXPECT_FALSE(committer.knows(p));
  committer.on_committed(p, Offset{5}, {});
  tick(seconds(40));
  EXPECT_EQ(store.asked.size(), 1u);
  EXPECT_TRUE(committer.settled());
  committer.add(p, {"topic", 0}, std::nullopt);
  committer.update(p, Offset{2}, kT);  // of another cluster: lower than before
  tick();
  EXPECT_EQ(store.asked.back(), 2);
}

TEST(Ledger, SkippedOffsetsAreNotItsOwn) {
  Ledger ledger(Offset{5}, 1, 10);
  ledger.skip_to(Offset{50});
  EXPECT_EQ(ledger.watermark().offset, Offset{50});
  const std::uint64_t sequence = ledger.note(Offset{50}, 1, kT);
  ledger.skip_to(Offset{90});
  EXPECT_EQ(ledger.watermark().offset, Offset{50});
  ledger.settle(sequence, TargetId{0});
  EXPECT_EQ(ledger.watermark().offset, Offset{90});
}

}  // namespace
}  // namespace purgeline
