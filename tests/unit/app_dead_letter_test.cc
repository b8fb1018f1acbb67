// The whole pipeline before a cache that refuses one URL: what is not on disk yet is not committed.
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "sim/lone_pipeline.h"

namespace purgeline {
namespace {

using sim::LonePipeline;
using std::chrono::seconds;

// Takes what it is given, and says that it is on disk when the test does.
class SlowDisk : public DeadLetters {
 public:
  void start(DeadLetterListener& listener) override { listener_ = &listener; }
  [[nodiscard]] bool put(std::uint64_t ticket, const DeadLetter& letter) override {
    if (full) return false;
    EXPECT_FALSE(ticket_.has_value()) << "only one URL is refused";
    ticket_ = ticket;
    given = letter;
    return true;
  }
  void poll() override {
    if (written && ticket_) listener_->on_dead_letter_kept(*std::exchange(ticket_, std::nullopt));
  }

  bool full{false};
  bool written{false};
  std::optional<DeadLetter> given;

 private:
  DeadLetterListener* listener_{nullptr};
  std::optional<std::uint64_t> ticket_;
};

struct Bench {
  Bench() { lone.start(); }
  void append(const std::string& path) { lone.append("h" + path); }
  void run(Duration duration) { lone.run(duration); }

  SlowDisk disk;
  LonePipeline lone{LonePipeline::config_of(
                        {LonePipeline::layer_of("backend", LonePipeline::kBackend, seconds(1))}),
                    disk};
};

TEST(DeadLetter, HoldsThePositionUntilItIsOnDisk) {
  Bench bench;
  bench.append("/good");
  bench.append("/refused");
  bench.append("/good/too");
  bench.run(seconds(30));
  ASSERT_TRUE(bench.disk.given.has_value());
  EXPECT_EQ(bench.disk.given->path, "/refused");
  EXPECT_EQ(bench.disk.given->offset, Offset(1));
  EXPECT_EQ(bench.lone.committed(), 1) << "up to the letter, which nobody has yet";

  bench.disk.written = true;
  bench.run(seconds(30));
  EXPECT_EQ(bench.lone.committed(), 3);
  EXPECT_EQ(bench.lone.pipeline->unfinished(), 0u);
}

TEST(DeadLetter, IsOfferedAgainWhenTheStoreHadNoRoom) {
  Bench bench;
  bench.disk.full = true;
  bench.disk.written = true;
  bench.append("/refused");
  bench.run(seconds(10));
  EXPECT_FALSE(bench.disk.given.has_value());
  EXPECT_EQ(bench.lone.committed(), 0);
  bench.disk.full = false;
  bench.run(seconds(30));
  EXPECT_TRUE(bench.disk.given.has_value());
  EXPECT_EQ(bench.lone.committed(), 1);
}

}  // namespace
}  // namespace purgeline
