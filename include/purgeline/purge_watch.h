// PurgeWatch: the seam by which an intake learns what became of one event.
//
// Place:  between the HTTP intake, which waits when it was asked to (`Prefer: wait`), and the
// shard,
//         which knows the outcomes.
#pragma once

#include <functional>
#include <string>

#include "purgeline/types.h"

namespace purgeline {

struct PurgeOutcome {
  bool finished{false};  // every target has answered for good; false: the wait was over before
  std::string targets;   // a JSON array with one object per target, as far as it is known
};

// Thread: the intake's. The implementation carries the question to the shard.
class PurgeWatch {
 public:
  using Told = std::function<void(PurgeOutcome)>;
  virtual ~PurgeWatch() = default;
  // From now until `wait` has passed, what becomes of the event with this meta.id. `told` is called
  // once, on any thread, when every target has finished or the wait is over; never from inside
  // this call. False: there is no room, and it will not be called.
  [[nodiscard]] virtual bool watch(const std::string& id, Duration wait, Told told) = 0;
  // Nobody waits for it any more. What was not told yet may still be.
  virtual void forget(const std::string& id) = 0;
};

}  // namespace purgeline
