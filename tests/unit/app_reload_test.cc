// Targets and layers of a changed configuration: who stays who, and who is owed what.
#include <gtest/gtest.h>

#include <map>

#include "app/readings.h"
#include "app/target_table.h"

namespace purgeline {
namespace {

using std::chrono::seconds;

LayerConfig layer(const std::string& name, const std::vector<std::string>& targets) {
  LayerConfig config;
  config.name = name;
  for (const std::string& target : targets) config.targets.push_back({target, target, 80, ""});
  config.connections = config.depth = config.max_attempts = 1;
  return config;
}

// ---- TargetTable

TEST(TargetTable, ATargetThatStaysKeepsItsNumber) {
  TargetTable table({layer("back", {"a", "b"}), layer("front", {"c"})});
  const auto change = table.plan({layer("back", {"b"}), layer("front", {"d", "c"})});
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->removed, std::vector<TargetId>{TargetId{0}});
  ASSERT_EQ(change->added.size(), 1u);
  EXPECT_EQ(change->added[0].id, TargetId{3});
  const std::vector<std::vector<TargetId>> layers{{TargetId{1}}, {TargetId{3}, TargetId{2}}};
  EXPECT_EQ(change->layers, layers);
  EXPECT_FALSE(change->reordered);
}

// Until nobody speaks of it any more.
TEST(TargetTable, ANumberIsFreeOnlyWhenItIsForgotten) {
  TargetTable table({layer("back", {"a"})});
  table.apply(*table.plan({layer("back", {"b"})}));
  EXPECT_EQ(table[TargetId{0}].name, "a");
  EXPECT_EQ(table.plan({layer("back", {"b", "a"})})->added[0].id, TargetId{2});
  table.forget(TargetId{0});
  EXPECT_EQ(table.plan({layer("back", {"b", "a"})})->added[0].id, TargetId{0});
}

TEST(TargetTable, MoreThanThereAreNumbersIsNoPlan) {
  std::vector<std::string> many, others;
  for (int i = 0; i < 20; ++i) many.push_back("a" + std::to_string(i));
  for (int i = 0; i < 13; ++i) others.push_back("b" + std::to_string(i));
  TargetTable table({layer("back", many)});
  EXPECT_FALSE(table.plan({layer("back", others)}).has_value());
  others.pop_back();
  EXPECT_TRUE(table.plan({layer("back", others)}).has_value());
}

TEST(TargetTable, WhatCountsAsAnotherOrder) {
  const auto reordered = [](const std::vector<std::string>& names) {
    const TargetTable table({layer("a", {"1"}), layer("b", {"2"}), layer("c", {"3"})});
    std::vector<LayerConfig> layers;
    for (const std::string& name : names) layers.push_back(layer(name, {"t" + name}));
    return table.plan(layers)->reordered;
  };
  EXPECT_FALSE(reordered({"a", "b", "c"}));
  EXPECT_FALSE(reordered({"a", "c"}));
  EXPECT_FALSE(reordered({"a", "b", "c", "new"}));
  EXPECT_TRUE(reordered({"a", "new", "b", "c"}));
  EXPECT_TRUE(reordered({"new", "a"}));
  EXPECT_TRUE(reordered({"b", "a", "c"}));
}

// ---- Readings

constexpr TargetId kBack{0}, kFront{1}, kNew{2};
constexpr PartitionId kP{0};

struct Cursors : Source {
  void start(SourceListener&) override {}
  void poll() override {}
  [[nodiscard]] bool partition_is_new(PartitionId) const override { return false; }
  CursorId open(PartitionId, Range range, std::uint32_t, Priority) override {
    at[CursorId(next)] = range.from;
    return CursorId(next++);
  }
  void reposition(CursorId cursor, Offset from) override { at.at(cursor) = from; }
  void close(CursorId cursor) override { at.erase(cursor); }
  std::size_t read(CursorId, std::size_t, RecordSink&) override { return 0; }
  [[nodiscard]] Offset position(CursorId cursor) const override { return at.at(cursor); }
  [[nodiscard]] std::optional<LogEnds> ends(PartitionId) const override { return std::nullopt; }
  void ask_ends(PartitionId, std::uint64_t) override {}
  void find(PartitionId, WallTime, std::uint64_t) override {}
  void stop() override {}
  std::uint32_t next{0};
  std::map<CursorId, Offset> at;
};

struct Reloaded : testing::Test {
  Reading& live() { return readings[*readings.live(kP)]; }
  std::int64_t needed() { return readings.needed(kP).offset.value(); }
  std::uint64_t read(std::int64_t offset) {
    return live().ledger->note(Offset{offset}, live().targets, WallTime{seconds(offset)});
  }
  void finish(std::uint64_t sequence, TargetMask targets) {
    for (const TargetId id : {kBack, kFront, kNew}) {
      if ((targets & mask_of(id)) != 0) live().ledger->settle(sequence, id);
    }
  }
  Cursors source;
  Readings readings{source, {{kBack}, {kFront}}, 1000};
};

TEST_F(Reloaded, WhatIsReadFromNowOnIsForThoseThatThereAre) {
  readings.open_live(kP, Offset{5}, {}, Offset{5});
  const std::uint64_t before = read(5);
  readings.change_layers({{kBack}, {kNew}});
  EXPECT_EQ(live().targets, mask_of(kBack) | mask_of(kNew));
  // What was read before is as it was: its place is held until the one that left lets it go.
  finish(before, mask_of(kBack));
  EXPECT_EQ(needed(), 5);
  finish(before, mask_of(kFront));
  EXPECT_EQ(needed(), 6);
  EXPECT_FALSE(readings.catch_up(kP).has_value());
}

// A frontend that is away holds the commit; removed, it does not.
TEST_F(Reloaded, ATargetThatIsRemovedReleasesItsPosition) {
  readings.open_live(kP, Offset{5}, {}, Offset{5});
  readings.leave_out(kFront);
  finish(read(5), mask_of(kBack) | mask_of(kFront));
  EXPECT_EQ(needed(), 5);
  EXPECT_EQ(readings.missed(kFront), 1u);
  readings.change_layers({{kBack}});
  EXPECT_EQ(needed(), 6);
  readings.turn();
  EXPECT_FALSE(readings.catch_up(kP).has_value());
}

// The frontend may have been filled again from the old copies of the backend that was away.
TEST_F(Reloaded, WhatLiesBehindOneThatIsRemovedGetsWhatThatMissed) {
  readings.open_live(kP, Offset{5}, {}, Offset{5});
  readings.leave_out(kBack);
  finish(read(5), mask_of(kBack) | mask_of(kFront));
  readings.change_layers({{kNew}, {kFront}});
  EXPECT_EQ(needed(), 5);
  readings.turn();
  ASSERT_TRUE(readings.catch_up(kP).has_value());
  EXPECT_EQ(readings[*readings.catch_up(kP)].targets, mask_of(kFront));
}

TEST_F(Reloaded, WhatNobodyHasReadIsForThoseThatAreNewAsWell) {
  readings.open_live(kP, Offset{50}, {}, Offset{10});  // a backlog, owed to all
  readings.change_layers({{kBack}, {kFront, kNew}});
  readings.turn();
  ASSERT_TRUE(readings.catch_up(kP).has_value());
  EXPECT_NE(readings[*readings.catch_up(kP)].targets & mask_of(kNew), 0u);
}

TEST_F(Reloaded, AnotherOrderOwesWhatIsNotFinishedToAllOnceMore) {
  readings.open_live(kP, Offset{5}, {}, Offset{5});
  const std::uint64_t first = read(5);
  finish(read(6), mask_of(kBack) | mask_of(kFront));
  readings.owe_all(MonoTime{seconds(50)});
  readings.change_layers({{kFront}, {kBack}});
  finish(first, mask_of(kBack) | mask_of(kFront));
  EXPECT_EQ(needed(), 5);
  readings.turn();
  const Reading& again = readings[*readings.catch_up(kP)];
  EXPECT_EQ(again.targets, mask_of(kBack) | mask_of(kFront));
  EXPECT_EQ(again.floor, MonoTime{seconds(50)});
  EXPECT_EQ(again.to, Offset{7});
}

// The frontend was purged while the backend was away, and lies before it from now on.
TEST_F(Reloaded, AnotherOrderOwesWhatLayBehindOneThatIsAway) {
  readings.open_live(kP, Offset{5}, {}, Offset{5});
  readings.leave_out(kBack);
  finish(read(5), mask_of(kBack) | mask_of(kFront));
  readings.owe_all(MonoTime{seconds(50)});
  readings.change_layers({{kFront}, {kBack}});
  readings.turn();
  ASSERT_TRUE(readings.catch_up(kP).has_value());
  EXPECT_NE(readings[*readings.catch_up(kP)].targets & mask_of(kFront), 0u);
}

}  // namespace
}  // namespace purgeline
