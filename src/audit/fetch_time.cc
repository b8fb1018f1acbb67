#include "audit/fetch_time.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline::audit {

void FetchTime::configure(std::optional<Duration> fetch_time, std::optional<Duration> most,
                          MonoTime now) {
  const Duration learnt = in_force_ > configured_ ? *in_force_ : Duration{0};
  configured_ = in_force_ = fetch_time;
  if (!fetch_time) return;
  most_ = most.value_or(*fetch_time);
  CHECK(most_ >= *fetch_time);
  in_force_ = std::clamp(learnt, *fetch_time, most_);
  if (learnt == Duration{0}) since_ = now;
}

bool FetchTime::raise(Duration at_least, MonoTime now) {
  if (!in_force_) return false;
  since_ = now;
  const Duration wanted = std::min(most_, at_least + at_least / 2);
  if (wanted <= *in_force_) return false;
  in_force_ = wanted;
  return true;
}

bool FetchTime::turn(MonoTime now) {
  if (now < next_due()) return false;
  since_ = now;
  const Duration excess = (*in_force_ - *configured_) / 2;
  in_force_ = *configured_ + (excess < *configured_ / 16 ? Duration{0} : excess);
  return true;
}

MonoTime FetchTime::next_due() const {
  return in_force_ > configured_ ? since_ + kCalm : MonoTime::max();
}

}  // namespace purgeline::audit
