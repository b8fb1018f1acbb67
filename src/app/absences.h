// Absences: which targets are behind: left out of live purging until they answer again.
//
// Place:  asked by the Pipeline once per turn; decides, and touches nothing.
// Thread: the shard's.
// Bound:  a few words per target.
//
// A target is left out when it has not answered well (or has denied every purge) for
// `behind_after`; or when the table of unfinished events runs full and it is the one that fills it:
// it does not answer, or it holds most of the table for some seconds while another target has far
// less to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "purgeline/delivery.h"
#include "purgeline/types.h"

namespace purgeline {

struct AbsenceFacts {
  TargetState state{TargetState::unknown};
  std::uint64_t pending{0};  // events whose layer waits for it
  bool idle{false};          // nothing waits for it, and all that it was asked it has answered
};

class Absences {
 public:
  Absences(Duration behind_after, std::size_t targets)
      : behind_after_(behind_after), targets_(targets) {}

  // A target that is new, and one that is gone.
  void add(TargetId target);
  void remove(TargetId target) { targets_[target.value()].here = false; }
  void set_behind_after(Duration behind_after) { behind_after_ = behind_after; }

  // What is to be done about a target now.
  enum class Move : std::uint8_t { none, leave_out, take_in };
  struct Verdict {
    Move move{Move::none};
    std::string why;
  };
  // `tight`: hardly any room is left for new events.
  Verdict judge(TargetId target, const std::vector<AbsenceFacts>& facts, bool tight, MonoTime now);

  [[nodiscard]] bool behind(TargetId target) const { return targets_[target.value()].behind; }
  // When judge() may say something else without anything having happened.
  [[nodiscard]] MonoTime next_due(MonoTime now) const;

 private:
  struct Target {
    bool here{true};
    bool behind{false};
    MonoTime since{MonoTime::min()};  // not well since; or behind since
    bool well{true};
    MonoTime slow_since{MonoTime::max()};  // fills the table since
  };
  [[nodiscard]] bool fills_alone(TargetId id, const std::vector<AbsenceFacts>& facts) const;

  Duration behind_after_;
  std::vector<Target> targets_;
};

}  // namespace purgeline
