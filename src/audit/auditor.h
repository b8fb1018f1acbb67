// Auditor: looks again at finished purges. A sample of them, and those that needed a retry.
//
// Place:  beside the pipeline, which tells of good answers and purges again what is found stale;
//         app/audit asks the caches. Pure: no socket, no clock of its own.
// Thread: the shard's.
// Bound:  kMost purges are looked after at once, with their URLs; kMostFindings violations are
// kept.
//         What it asks is at most `budget` percent of the purges, and one look a second for each
//         target besides; one look at a time for each target.
//
// A purge is looked at in stages, each due at a time of its own. `first` compares a copy with the
// version v that the change has on this host. Behind the fence the origin has shown the change for
// certain, so `fence` and `late` compare with v + origin_lag.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/copy.h"
#include "purgeline/audit.h"
#include "purgeline/clock.h"
#include "purgeline/types.h"

namespace purgeline::audit {

// When the fence of a layer is over, and what is certain then; see purge.fence.
struct FenceTimes {
  Duration origin_lag{0};
  Duration fetch_time{0};
  Duration hit_time{0};
};

struct AuditorOptions {
  std::uint32_t sample{0};  // of a million purges; 0: none at all, retries neither
  std::uint32_t budget{1};  // percent of the purges
  Duration clock_margin{0};
  Duration window{0};  // of the ratio
  std::optional<FenceTimes> fence;
};

// A purge that was answered well.
struct Purged {
  TargetId target;
  std::uint8_t layer{0};  // from 0, in refill order
  std::string_view host;
  std::string_view path;
  MonoTime version{};
  std::uint32_t attempts{0};  // that failed before
};

// One look, to be asked of the cache and concluded.
struct Look {
  std::uint32_t slot{0};
  std::string_view host;  // live until the look is concluded
  std::string_view path;
};

class Auditor {
 public:
  static constexpr std::size_t kMost = 1024;
  static constexpr std::size_t kMostFindings = 64;
  // A look that could not be made for so long is left out.
  static constexpr Duration kTooLate = std::chrono::seconds(10);
  static constexpr Duration kFirst = std::chrono::seconds(1);
  static constexpr Duration kLate = std::chrono::seconds(60);
  // For the fence's own grid (a sixteenth of its time), its window and its round trip.
  static constexpr Duration kFenceSlack = std::chrono::seconds(1);

  Auditor(const AuditorOptions& options, Random& random);
  // Counts for what is sampled and due from now on.
  void change(const AuditorOptions& options, MonoTime now);
  // Counts for events from now on, as it does for their fences. REQUIRES: there are fences.
  void set_fetch_time(Duration fetch_time, MonoTime now);

  // ---- sampling
  // Whether this good answer is one to look after. A few instructions: asked for each.
  [[nodiscard]] bool wants(std::uint32_t failed_attempts) {
    if (failed_attempts > 0) return options_.sample > 0;
    if (--until_next_ != 0) return false;
    draw();
    return options_.sample > 0;
  }
  void add(const Purged& purged, MonoTime now);
  // So many purges more were asked of the caches: the budget grows.
  void grant(std::uint64_t purges);

  // ---- looking
  // The next look at the target that is due and within the budget. It has to be concluded.
  [[nodiscard]] std::optional<Look> take(TargetId target, MonoTime now);
  // What the cache said. Empty `head`: no answer, or none that says anything of a copy.
  struct Seen {
    AuditVerdict verdict{};
    AuditFinding finding;  // of a violation, without the names of target and layer
    std::uint8_t layer{0};
    AuditStage stage{};
    // Of a violation that shows that a fetch from the origin lasted for too long for its fence: for
    // so long at least.
    std::optional<Duration> fetch;
  };
  [[nodiscard]] Seen conclude(std::uint32_t slot, const std::optional<Head>& head, MonoTime now,
                              WallTime wall);
  // The look was not made: it is due again.
  void put_back(std::uint32_t slot);
  // Looks that were due for too long, of all targets; each told once.
  struct Skipped {
    TargetId target;
    AuditStage stage;
  };
  [[nodiscard]] std::vector<Skipped> skip_late(MonoTime now);
  // Nothing of this target is looked at any more. REQUIRES: no look is taken.
  void forget(TargetId target);
  // When the next look at the target is due and within the budget; MonoTime::max() for never.
  [[nodiscard]] MonoTime next_due(TargetId target, MonoTime now) const;

  // ---- what is known
  // Share of the looks of the last window that found nothing stale; empty when there was none.
  [[nodiscard]] std::optional<double> ratio(MonoTime now);
  [[nodiscard]] std::size_t open() const { return open_; }
  [[nodiscard]] std::uint64_t sampled() const { return sampled_; }
  // Not looked after: the table was full.
  [[nodiscard]] std::uint64_t passed_over() const { return passed_over_; }

 private:
  static constexpr std::size_t kBuckets = 10;

  struct Sample {
    std::string host;
    std::string path;
    TargetId target;
    std::uint8_t layer{0};
    std::uint32_t attempts{0};
    AuditStage stage{};
    MonoTime version{};
    MonoTime purged{};
    MonoTime due{};
    Duration fetch_time{0};  // of its fence
    MonoTime without{};      // behind the fence it was known to be without an old copy until then
    std::string before;
    bool used{false};
    bool taken{false};
  };
  struct Line {  // of one target: what is looked after, in no order
    std::vector<std::uint32_t> slots;
    MonoTime last{MonoTime::min()};  // look
    bool looking{false};
  };
  struct Bucket {
    std::uint64_t looks{0};
    std::uint64_t stale{0};
  };

  void draw();
  [[nodiscard]] MonoTime due_of(const Sample& sample, AuditStage stage) const;
  void remember_fetch_time(MonoTime now);
  // There was a fence for its event, and there are fences.
  [[nodiscard]] bool fenced(const Sample& sample) const {
    return options_.fence && sample.fetch_time > Duration{0};
  }
  [[nodiscard]] MonoTime fence_of(const Sample& sample) const;
  [[nodiscard]] MonoTime bound_of(const Sample& sample) const;
  // The stage after this one, or the end.
  void go_on(std::uint32_t slot, AuditVerdict verdict);
  void release(std::uint32_t slot);
  [[nodiscard]] bool affordable(const Line& line, MonoTime now) const;
  void count(AuditVerdict verdict, MonoTime now);
  void roll(MonoTime now);

  AuditorOptions options_;
  Duration former_fetch_time_{0};  // of the events with a version before fetch_time_since_
  MonoTime fetch_time_since_{MonoTime::min()};
  Random& random_;
  std::uint64_t until_next_{0};
  std::vector<Sample> samples_;
  std::vector<std::uint32_t> free_;
  std::array<Line, kMaxTargets> lines_;
  std::size_t open_{0};
  std::uint64_t credit_{0};  // hundredths of a look
  std::uint64_t sampled_{0};
  std::uint64_t passed_over_{0};
  std::array<Bucket, kBuckets> buckets_{};
  std::size_t bucket_{0};
  MonoTime bucket_since_{};
};

}  // namespace purgeline::audit
