#include "dispatch/dispatcher.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {

Dispatcher::Dispatcher(DispatchOptions options, std::vector<TargetSpec> targets,
                       Transport& transport, Resolver& resolver, Clock& clock, Random& random,
                       DeliveryQueue& queue, OutcomeSink& sink)
    : options_(std::move(options)), seams_{transport, resolver, clock, random, queue, sink} {
  CHECK(!targets.empty() && targets.size() <= kMaxTargets);
  for (TargetSpec& spec : targets) {
    CHECK(spec.id.value() == targets_.size());
    targets_.push_back(std::make_unique<Target>(options_, std::move(spec), seams_));
  }
}

void Dispatcher::set_listener(TargetListener* listener) {
  for (const auto& target : targets_) target->set_listener(listener);
}

// Names first, so that a connection can be opened in the turn in which its address became known.
void Dispatcher::turn() {
  seams_.resolver.poll();
  for (const auto& target : targets_) target->settle(seams_.clock.now());
  // Read anew: the start of a purge is then strictly after the answers it follows, and an event
  // that comes again can be seen to be covered by it.
  seams_.clock.refresh();
  for (const auto& target : targets_) target->work(seams_.clock.now());
}

// A few comparisons per connection, at most once per turn: no timer wheel is worth that.
MonoTime Dispatcher::next_due() const {
  const MonoTime now = seams_.clock.now();
  MonoTime due = MonoTime::max();
  for (const auto& target : targets_) due = std::min(due, target->next_due(now).value_or(due));
  return due;
}

void Dispatcher::drain(MonoTime until) {
  for (const auto& target : targets_) target->drain(until);
}

bool Dispatcher::idle() const {
  return std::all_of(targets_.begin(), targets_.end(),
                     [](const auto& target) { return target->idle(); });
}

const Target& Dispatcher::at(TargetId target) const {
  CHECK(target.value() < targets_.size());
  return *targets_[target.value()];
}

TargetState Dispatcher::state(TargetId target) const {
  return at(target).state();
}

TargetMetrics Dispatcher::metrics(TargetId target) const {
  return at(target).metrics();
}

}  // namespace purgeline
