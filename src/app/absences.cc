#include "app/absences.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {
namespace {

// A target that is slow and answers all the same is not taken in again in the turn in which it was
// left out.
constexpr Duration kAwayAtLeast = std::chrono::seconds(1);
// A burst fills the table for a moment with a target that does well.
constexpr Duration kSlowFor = std::chrono::seconds(5);

}  // namespace

void Absences::add(TargetId target) {
  if (targets_.size() <= target.value()) {
    Target none;
    none.here = false;
    targets_.resize(target.value() + 1U, none);
  }
  CHECK(!targets_[target.value()].here);
  targets_[target.value()] = Target{};
}

Absences::Verdict Absences::judge(TargetId id, const std::vector<AbsenceFacts>& facts, bool tight,
                                  MonoTime now) {
  CHECK(id.value() < targets_.size() && facts.size() >= targets_.size());
  CHECK(targets_[id.value()].here);
  Target& target = targets_[id.value()];
  const AbsenceFacts& fact = facts[id.value()];
  const bool well = fact.state == TargetState::up;
  const bool failing = fact.state == TargetState::down || fact.state == TargetState::denied;
  if (target.behind) {
    if (!well || !fact.idle || now - target.since < kAwayAtLeast) return {};
    target.behind = false;
    target.well = true;
    return {Move::take_in, "answers well"};
  }
  if (target.well && !well) target.since = now;
  target.well = well;

  const bool slow = tight && well && fills_alone(id, facts);
  target.slow_since = slow ? std::min(target.slow_since, now) : MonoTime::max();

  Verdict verdict;
  const auto is = [&fact] {
    return std::string("is ") + target_state_name(fact.state);
  };
  if (!well && now - target.since >= behind_after_) {
    verdict = {Move::leave_out, is() + " for longer than behind_after"};
  } else if (tight && fact.pending > 0 && failing) {
    verdict = {Move::leave_out, is() + " and too many events wait for it"};
  } else if (slow && now - target.slow_since >= kSlowFor) {
    verdict = {Move::leave_out, "is so slow that too many events wait for it"};
  }
  if (verdict.move == Move::leave_out) {
    target.behind = true;
    target.since = now;
  }
  return verdict;
}

// It has most to do, and some other target far less.
bool Absences::fills_alone(TargetId id, const std::vector<AbsenceFacts>& facts) const {
  std::uint64_t most = 0, least = UINT64_MAX;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (!targets_[i].here || targets_[i].behind) continue;
    most = std::max(most, facts[i].pending);
    least = std::min(least, facts[i].pending);
  }
  return most > 0 && facts[id.value()].pending == most && least < most / 4;
}

MonoTime Absences::next_due(MonoTime now) const {
  MonoTime due = MonoTime::max();
  for (const Target& target : targets_) {
    if (!target.here) continue;
    if (target.behind) {
      if (target.since + kAwayAtLeast > now) due = std::min(due, target.since + kAwayAtLeast);
    } else if (!target.well) {
      due = std::min(due, target.since + behind_after_);
    } else if (target.slow_since != MonoTime::max()) {
      due = std::min(due, target.slow_since + kSlowFor);
    }
  }
  return due;
}

}  // namespace purgeline
