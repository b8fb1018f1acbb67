#include "audit/auditor.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline::audit {
namespace {

constexpr std::uint64_t kMillion = 1'000'000;
constexpr std::uint64_t kLookCost = 100;  // hundredths: of a purge the budget is a percentage
constexpr std::uint64_t kMostCredit = 64 * kLookCost;  // a burst, after a storm of purges
constexpr Duration kAlways = std::chrono::seconds(1);  // a look that is within any budget

}  // namespace

Auditor::Auditor(const AuditorOptions& options, Random& random)
    : options_(options), random_(random) {
  draw();
}

void Auditor::change(const AuditorOptions& options, MonoTime now) {
  remember_fetch_time(now);
  options_ = options;
  draw();
}

void Auditor::set_fetch_time(Duration fetch_time, MonoTime now) {
  CHECK(options_.fence.has_value());
  remember_fetch_time(now);
  options_.fence->fetch_time = fetch_time;
}

// A purge that is answered now may be for an event that came before.
void Auditor::remember_fetch_time(MonoTime now) {
  former_fetch_time_ = options_.fence ? options_.fence->fetch_time : Duration{0};
  fetch_time_since_ = now;
}

// The gaps are drawn around their mean, so that no rhythm of the events hides some of them.
void Auditor::draw() {
  if (options_.sample == 0) {
    until_next_ = UINT64_MAX;
    return;
  }
  CHECK(options_.sample <= kMillion && options_.budget <= 100);
  const std::uint64_t mean = kMillion / options_.sample;
  until_next_ = 1 + random_.below(2 * mean - 1);
}

void Auditor::add(const Purged& purged, MonoTime now) {
  CHECK(purged.target.value() < kMaxTargets);
  CHECK(purged.version <= now);
  ++sampled_;
  if (open_ == kMost) {
    ++passed_over_;
    return;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(samples_.size()));
    samples_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  Sample& sample = samples_[slot];
  CHECK(!sample.used);
  sample.host = purged.host;
  sample.path = purged.path;
  sample.target = purged.target;
  sample.layer = purged.layer;
  sample.attempts = purged.attempts;
  sample.stage = AuditStage::first;
  sample.version = purged.version;
  sample.purged = now;
  sample.fetch_time = Duration{0};
  if (options_.fence) {
    const bool former = purged.version <= fetch_time_since_;
    sample.fetch_time = std::max(options_.fence->fetch_time,
                                 former ? former_fetch_time_ : options_.fence->fetch_time);
    sample.without = fence_of(sample);
  }
  sample.due = due_of(sample, AuditStage::first);
  sample.before.clear();
  sample.used = true;
  sample.taken = false;
  lines_[purged.target.value()].slots.push_back(slot);
  ++open_;
}

void Auditor::grant(std::uint64_t purges) {
  credit_ = std::min(kMostCredit, credit_ + std::min(purges, kMostCredit) * options_.budget);
}

// Layer 1's fence is due L + F after v.
MonoTime Auditor::fence_of(const Sample& sample) const {
  return sample.version + options_.fence->origin_lag + sample.fetch_time;
}

// Each further layer's fence is due H after the one before.
MonoTime Auditor::due_of(const Sample& sample, AuditStage stage) const {
  const MonoTime first = sample.purged + kFirst;
  if (stage == AuditStage::first) return first;
  MonoTime fence = first;
  if (fenced(sample)) {
    const Duration step = (options_.fence->origin_lag + sample.fetch_time) / 16;
    fence = std::max(
        fence, fence_of(sample) + sample.layer * options_.fence->hit_time + step + kFenceSlack);
  }
  return stage == AuditStage::fence ? fence : std::max(fence, sample.purged + kLate);
}

MonoTime Auditor::bound_of(const Sample& sample) const {
  const bool after_fence = sample.stage != AuditStage::first && fenced(sample);
  return after_fence ? sample.version + options_.fence->origin_lag : sample.version;
}

// ---- looking

bool Auditor::affordable(const Line& line, MonoTime now) const {
  if (credit_ >= kLookCost) return true;
  return line.last == MonoTime::min() || now >= line.last + kAlways;
}

std::optional<Look> Auditor::take(TargetId target, MonoTime now) {
  Line& line = lines_[target.value()];
  if (line.slots.empty() || line.looking || !affordable(line, now)) return std::nullopt;
  const auto earliest = std::min_element(
      line.slots.begin(), line.slots.end(),
      [this](std::uint32_t a, std::uint32_t b) { return samples_[a].due < samples_[b].due; });
  Sample& sample = samples_[*earliest];
  if (sample.due > now) return std::nullopt;
  credit_ -= std::min(credit_, kLookCost);
  line.last = now;
  line.looking = sample.taken = true;
  return Look{*earliest, sample.host, sample.path};
}

Auditor::Seen Auditor::conclude(std::uint32_t slot, const std::optional<Head>& head, MonoTime now,
                                WallTime wall) {
  Sample& sample = samples_[slot];
  CHECK(sample.used && sample.taken);
  Seen seen;
  seen.layer = sample.layer;
  seen.stage = sample.stage;
  // The wall clock that the copy's Date is compared with is the one of now.
  const auto at_wall = [&](MonoTime when) {
    return wall - (now - when);
  };
  if (!head) {
    seen.verdict = AuditVerdict::failed;
  } else if (head->status == 504 && !head->age) {
    seen.verdict = AuditVerdict::absent;
  } else {
    seen.verdict = judge_copy(*head, wall, at_wall(bound_of(sample)), options_.clock_margin);
  }
  if (seen.verdict == AuditVerdict::stale) {
    AuditFinding& finding = seen.finding;
    finding.at = wall;
    finding.host = sample.host;
    finding.path = sample.path;
    finding.stage = sample.stage;
    finding.changed = at_wall(sample.version);
    finding.purged = at_wall(sample.purged);
    finding.attempts = sample.attempts;
    finding.date = *head->date;
    finding.age = *head->age;
    finding.before = sample.before;
    const WallTime made = std::max(finding.date, wall - finding.age);
    const bool by_fetch = sample.layer == 0 && sample.stage != AuditStage::first && fenced(sample);
    if (by_fetch) seen.fetch = at_wall(sample.without) - made;
  } else if (sample.stage == AuditStage::fence &&
             (seen.verdict == AuditVerdict::absent || seen.verdict == AuditVerdict::fresh)) {
    sample.without = now;
  }
  count(seen.verdict, now);
  sample.taken = lines_[sample.target.value()].looking = false;
  go_on(slot, seen.verdict);
  return seen;
}

void Auditor::put_back(std::uint32_t slot) {
  Sample& sample = samples_[slot];
  CHECK(sample.used && sample.taken);
  sample.taken = lines_[sample.target.value()].looking = false;
}

void Auditor::go_on(std::uint32_t slot, AuditVerdict verdict) {
  Sample& sample = samples_[slot];
  if (sample.stage == AuditStage::late) {
    release(slot);
    return;
  }
  sample.before.append(sample.before.empty() ? "" : ", ").append(audit_stage_name(sample.stage));
  sample.before.append(" ").append(audit_verdict_name(verdict));
  const bool fence = sample.stage == AuditStage::first && fenced(sample);
  sample.stage = fence ? AuditStage::fence : AuditStage::late;
  sample.due = due_of(sample, sample.stage);
}

void Auditor::release(std::uint32_t slot) {
  Sample& sample = samples_[slot];
  CHECK(sample.used && !sample.taken && open_ > 0);
  sample.used = false;
  std::erase(lines_[sample.target.value()].slots, slot);
  free_.push_back(slot);
  --open_;
}

std::vector<Auditor::Skipped> Auditor::skip_late(MonoTime now) {
  std::vector<Skipped> skipped;
  if (open_ == 0) return skipped;
  for (std::uint32_t slot = 0; slot < samples_.size(); ++slot) {
    Sample& sample = samples_[slot];
    if (!sample.used || sample.taken || now - sample.due < kTooLate) continue;
    skipped.push_back({sample.target, sample.stage});
    go_on(slot, AuditVerdict::skipped);
  }
  return skipped;
}

void Auditor::forget(TargetId target) {
  Line& line = lines_[target.value()];
  CHECK(!line.looking);
  while (!line.slots.empty()) release(line.slots.back());
  line = Line{};
}

MonoTime Auditor::next_due(TargetId target, MonoTime now) const {
  const Line& line = lines_[target.value()];
  if (line.looking || line.slots.empty()) return MonoTime::max();
  MonoTime due = MonoTime::max();
  for (const std::uint32_t slot : line.slots) due = std::min(due, samples_[slot].due);
  if (!affordable(line, std::max(due, now))) due = std::max(due, line.last + kAlways);
  return due;
}

// ---- the ratio

// In tenths of the window: what is older than nine of them and a part is forgotten.
void Auditor::roll(MonoTime now) {
  const Duration width = std::max<Duration>(options_.window / kBuckets, Duration(1));
  if (now - bucket_since_ >= options_.window + width) {
    buckets_ = {};
    bucket_since_ = now;
    return;
  }
  while (now - bucket_since_ >= width) {
    bucket_ = (bucket_ + 1) % kBuckets;
    buckets_[bucket_] = Bucket{};
    bucket_since_ += width;
  }
}

void Auditor::count(AuditVerdict verdict, MonoTime now) {
  roll(now);
  const bool known = verdict == AuditVerdict::absent || verdict == AuditVerdict::fresh ||
                     verdict == AuditVerdict::stale;
  if (!known) return;
  ++buckets_[bucket_].looks;
  if (verdict == AuditVerdict::stale) ++buckets_[bucket_].stale;
}

std::optional<double> Auditor::ratio(MonoTime now) {
  roll(now);
  Bucket sum;
  for (const Bucket& bucket : buckets_) {
    sum.looks += bucket.looks;
    sum.stale += bucket.stale;
  }
  if (sum.looks == 0) return std::nullopt;
  return 1 - static_cast<double>(sum.stale) / static_cast<double>(sum.looks);
}

}  // namespace purgeline::audit
