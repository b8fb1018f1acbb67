#include "coalesce/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "coalesce/delay_line.h"
#include "coalesce/key_table.h"
#include "support/fake_clock.h"

namespace purgeline {
namespace {

TEST(Slab, BlocksKeepTheirBytesWhateverElseComesAndGoes) {
  test::FakeRandom random(7);
  Slab slab(16 << 20);
  struct Held {
    Slab::Block block;
    std::size_t size;
    char fill;
  };
  std::vector<Held> held;
  for (int step = 0; step < 20000; ++step) {
    if (slab.room() > 0 && random.below(5) < 3) {
      const std::size_t size = 1 + random.below(random.below(4) == 0 ? Slab::kLargest : 200);
      const char fill = static_cast<char>(random.next());
      const Slab::Block block = slab.take(size);
      std::memset(slab.bytes(block).data(), fill, size);
      held.push_back({block, size, fill});
    } else if (!held.empty()) {
      std::swap(held[random.below(held.size())], held.back());
      const auto bytes = slab.bytes(held.back().block);
      for (std::size_t i = 0; i < held.back().size; ++i) ASSERT_EQ(bytes[i], held.back().fill);
      slab.give(held.back().block);
      held.pop_back();
    }
    ASSERT_LE(slab.used_bytes(), 16u << 20);
  }
  for (const Held& one : held) slab.give(one.block);
  EXPECT_EQ(slab.used_bytes(), 0u);
}

TEST(Slab, RoomIsCertainForTheLargestBlocks) {
  Slab slab(4 << 20);
  const std::uint64_t room = slab.room();
  ASSERT_GT(room, 0u);
  for (std::uint64_t i = 0; i < room; ++i) static_cast<void>(slab.take(Slab::kLargest));
}

TEST(KeyTable, TheKeyThatWasIdleLongestIsForgottenFirst) {
  KeyTable table(3, 8 << 20);
  const KeyText text{"h", "/p", "id"};
  const auto a = table.hold(Key{0, 1}, text);
  const auto b = table.hold(Key{0, 2}, text);
  const auto c = table.hold(Key{0, 3}, text);
  EXPECT_EQ(table.room(), 0u);
  table.release(b.index);
  table.release(a.index);
  EXPECT_EQ(table.room(), 2u);
  const auto d = table.hold(Key{0, 4}, {"host", "/other", ""});
  EXPECT_EQ(d.index, b.index);
  EXPECT_TRUE(d.made);
  EXPECT_FALSE(table.hold(Key{0, 1}, text).made);  // still known
  EXPECT_EQ(table.text(d.index).path, "/other");
  EXPECT_EQ(table.text(c.index).event_id, "id");
}

TEST(DelayLine, EarliestFirstAndEqualMomentsInOrder) {
  DelayLine line(10);
  const MonoTime t{std::chrono::seconds(5)};
  line.push(t, 1);
  line.push(t - std::chrono::seconds(1), 2);
  line.push(t, 3);
  EXPECT_EQ(line.pop(t - std::chrono::seconds(2)), std::nullopt);
  EXPECT_EQ(line.pop(t), 2u);
  EXPECT_EQ(line.pop(t), 1u);
  EXPECT_EQ(line.pop(t), 3u);
  EXPECT_EQ(line.next_due(), std::nullopt);
}

}  // namespace
}  // namespace purgeline
