#include "app/absences.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {
namespace {

// A target that is slow and answers all the same is not taken in again in the turn in which it was
// left out.
constexpr Duration kAwayAtLeast = std::chrono::seconds(1);

}  // namespace

Absences::Verdict Absences::judge(TargetId id, const std::vector<AbsenceFacts>& facts, bool tight,
                                  MonoTime now) {
  CHECK(id.value() < targets_.size() && facts.size() == targets_.size());
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

  Verdict verdict;
  if (!well && now - target.since >= behind_after_) {
    verdict = {Move::leave_out, std::string("is ") + target_state_name(fact.state) +
                                    " for longer than behind_after"};
  } else if (tight && fact.pending > 0 && failing) {
    verdict = {Move::leave_out, std::string("is ") + target_state_name(fact.state) +
                                    " and too many events wait for it"};
  } else if (tight) {
    std::uint64_t most = 0, least = UINT64_MAX;
    for (std::size_t i = 0; i < facts.size(); ++i) {
      if (targets_[i].behind) continue;
      most = std::max(most, facts[i].pending);
      least = std::min(least, facts[i].pending);
    }
    if (fact.pending == most && most > 0 && least < most / 4) {
      verdict = {Move::leave_out, "is so slow that too many events wait for it"};
    }
  }
  if (verdict.move == Move::leave_out) {
    target.behind = true;
    target.since = now;
  }
  return verdict;
}

MonoTime Absences::next_due(MonoTime now) const {
  MonoTime due = MonoTime::max();
  for (const Target& target : targets_) {
    if (target.behind) {
      if (target.since + kAwayAtLeast > now) due = std::min(due, target.since + kAwayAtLeast);
    } else if (!target.well) {
      due = std::min(due, target.since + behind_after_);
    }
  }
  return due;
}

}  // namespace purgeline
