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
  for (TargetSpec& spec : targets) add(std::move(spec));
}

void Dispatcher::set_listener(TargetListener* listener) {
  listener_ = listener;
  each([listener](Target& target) { target.set_listener(listener); });
}

void Dispatcher::add(TargetSpec spec) {
  const std::size_t number = spec.id.value();
  CHECK(number < kMaxTargets);
  if (targets_.size() <= number) targets_.resize(number + 1);
  CHECK(!targets_[number]);
  targets_[number] = std::make_unique<Target>(options_, std::move(spec), seams_);
  targets_[number]->set_listener(listener_);
}

void Dispatcher::alter(const TargetSpec& target) {
  at(target.id).alter(target);
}

void Dispatcher::remove(TargetId target, MonoTime until) {
  at(target).drain(until);
}

void Dispatcher::forget(TargetId target) {
  CHECK(idle(target));
  targets_[target.value()].reset();
}

// Names first, so that a connection can be opened in the turn in which its address became known.
void Dispatcher::turn() {
  seams_.resolver.poll();
  each([this](Target& target) { target.settle(seams_.clock.now()); });
  // Read anew: the start of a purge is then strictly after the answers it follows, and an event
  // that comes again can be seen to be covered by it.
  seams_.clock.refresh();
  each([this](Target& target) { target.work(seams_.clock.now()); });
}

// A few comparisons per connection, at most once per turn: no timer wheel is worth that.
MonoTime Dispatcher::next_due() const {
  const MonoTime now = seams_.clock.now();
  MonoTime due = MonoTime::max();
  each([&due, now](const Target& target) {
    due = std::min(due, target.next_due(now).value_or(due));
  });
  return due;
}

void Dispatcher::drain(MonoTime until) {
  each([until](Target& target) { target.drain(until); });
}

bool Dispatcher::idle() const {
  return std::all_of(targets_.begin(), targets_.end(),
                     [](const auto& target) { return !target || target->idle(); });
}

Target& Dispatcher::at(TargetId target) const {
  CHECK(target.value() < targets_.size() && targets_[target.value()]);
  return *targets_[target.value()];
}

TargetState Dispatcher::state(TargetId target) const {
  return at(target).state();
}

TargetMetrics Dispatcher::metrics(TargetId target) const {
  return at(target).metrics();
}

}  // namespace purgeline
