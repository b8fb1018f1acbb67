#include "coalesce/journeys.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {

Journeys::Journeys(JourneyOptions options, Coalescer& coalescer, Clock& clock, JourneySink& sink)
    : options_(std::move(options)),
      coalescer_(coalescer),
      clock_(clock),
      sink_(sink),
      plans_(std::move(options_.layers)),
      fences_(options_.fences, options_.fence_times, plans_, coalescer, clock, *this),
      events_(options_.events) {
  coalescer_.set_sink(*this);
}

// ---- targets

void Journeys::remove(TargetId target) {
  if ((left_out_ & mask_of(target)) == 0) leave_out(target);
  removed_ |= mask_of(target);
}

void Journeys::forget(TargetId target) {
  CHECK((removed_ & mask_of(target)) != 0 && !refers(target));
  CHECK(pending_[target.value()] == 0);
  coalescer_.remove_target(target);
  left_out_ &= ~mask_of(target);
  removed_ &= ~mask_of(target);
}

// ---- events

std::uint64_t Journeys::room() const {
  return std::min<std::uint64_t>(
      {events_.room(), coalescer_.key_room(), coalescer_.join_room() / plans_.widest()});
}

bool Journeys::accept(const JourneyInput& input) {
  CHECK(room() > 0);
  CHECK(input.version <= clock_.now());
  const std::uint32_t index = events_.take();
  Event& event = events_[index];
  event = Event{};
  event.ticket = input.ticket;
  event.arrived = clock_.now();
  event.version = input.version;
  event.has_time = input.event_time.has_value();
  if (event.has_time) event.event_time = *input.event_time;
  event.targets = input.targets;
  event.priority = input.priority;
  CHECK(event.targets != 0);
  if (event.priority == Priority::catch_up) ++backlog_;
  event.plan = plans_.current();
  plans_.use(event.plan);
  event.key = coalescer_.hold(input.key, input.text);
  // Before its purge is written, also when it needs none.
  const auto fence =
      fences_.owe({event.key, event.version, event.targets, event.priority, input.origin,
                   input.fence_peers, input.among_peers && !input.fence_peers});
  if (fence && event.priority == Priority::catch_up) event.fence = *fence;
  if (input.peers) {
    event.peers = true;
    while (for_peers_.size() <= event.ticket.reading) for_peers_.emplace_back(events_);
    for_peers_[event.ticket.reading].push_back(index);
    ++waiting_for_peers_;
  }
  const bool first = (event.targets & plans_.mask(event.plan, 0)) != 0;
  event.after_peers = first && input.among_peers && !input.peers;
  enter_layers(index);
  return fence.has_value();
}

// False when the target has nothing to do with the event any more. That a target is left out is
// decided here and not when the event is read: one that is back when the event comes to its layer
// must be purged then, because what it is owed may have been purged there before this layer's turn.
bool Journeys::want(std::uint32_t index, TargetId target) {
  Event& event = events_[index];
  if ((event.targets & mask_of(target)) == 0) return false;
  if ((left_out_ & mask_of(target)) != 0) {
    event.left_out = event.left_out || (removed_ & mask_of(target)) == 0;
    sink_.on_target_done(event.ticket, target);
    return false;
  }
  const Coalescer::Want want =
      coalescer_.want(target, event.key, event.version, index, event.priority);
  if (want.how != CoalesceHow::covered) {
    ++pending_[target.value()];
    return true;
  }
  CHECK(want.answered > event.version);
  event.answered = std::max(event.answered, want.answered);
  sink_.on_target_done(event.ticket, target);
  return false;
}

// Goes on through the layers until one has to be waited for. A loop, not a call for each layer: an
// event that is covered everywhere ends here.
void Journeys::enter_layers(std::uint32_t index) {
  Event& event = events_[index];
  for (; event.layer < layers_of(event).size(); ++event.layer) {
    CHECK(!event.timed && event.pending == 0);
    if (fences_.waits(event.fence, event.layer)) {
      event.parked_before = fences_.park(event.fence, index);
      return;
    }
    event.answered = event.version;
    // The backends elsewhere may have answered later than what covers the event on those here.
    if (std::exchange(event.after_peers, false)) event.answered = event.arrived;
    event.ahead = 0;
    for (const TargetId target : layers_of(event)[event.layer]) {
      if (want(index, target)) ++event.pending;
    }
    if (event.pending > 0) {
      start_deadline(index);
      return;
    }
    if (event.peers) {
      wait_for_peers(index);
      return;
    }
    event.version = event.answered;
  }
  finish(index);
}

void Journeys::on_settled(std::uint32_t index, TargetId target, MonoTime answered, bool dead) {
  Event& event = events_[index];
  event.answered = std::max(event.answered, answered);
  event.dead = event.dead || dead;
  target_settled(index, target);
}

void Journeys::on_fence_due(std::uint32_t newest_event) {
  for (std::uint32_t at = newest_event; at != kNone;) {
    const std::uint32_t index = std::exchange(at, events_[at].parked_before);
    enter_layers(index);
  }
}

// The version goes on without this target's answer: when it is back, the layers after it are
// purged again as well.
void Journeys::on_left_out(std::uint32_t index, TargetId target) {
  CHECK((left_out_ & mask_of(target)) != 0);
  Event& event = events_[index];
  event.left_out = event.left_out || (removed_ & mask_of(target)) == 0;
  target_settled(index, target);
}

void Journeys::target_settled(std::uint32_t index, TargetId target) {
  Event& event = events_[index];
  CHECK(event.pending > 0 && pending_[target.value()] > 0);
  --pending_[target.value()];
  sink_.on_target_done(event.ticket, target);
  if (--event.pending > 0) return;
  if (event.peers)
    wait_for_peers(index);
  else
    layer_done(index);
}

void Journeys::layer_done(std::uint32_t index) {
  Event& event = events_[index];
  CHECK(event.pending == 0 && !event.peers);
  stop_deadline(index);
  event.version = event.answered;
  ++event.layer;
  enter_layers(index);
}

// This host's own targets of layer 1 have answered: what comes from them is fresh, so the next
// layer is purged at once, and once more when nothing old can come from elsewhere. Whatever was
// sent ahead before came too early for that.
void Journeys::wait_for_peers(std::uint32_t index) {
  Event& event = events_[index];
  CHECK(event.peers && event.layer == 0 && event.pending == 0);
  stop_deadline(index);
  event.ahead = 0;
  if (layers_of(event).size() == 1) return;
  for (const TargetId target : layers_of(event)[1]) {
    if ((event.targets & mask_of(target)) == 0) continue;
    if (coalescer_.want_ahead(target, event.key, event.answered, event.priority))
      ++sent_before_peers_;
  }
  event.ahead = 1;
  start_deadline(index);
}

std::optional<Journeys::PeerWait> Journeys::first_for_peers(std::uint32_t reading) const {
  if (reading >= for_peers_.size() || for_peers_[reading].first() == kNone) return std::nullopt;
  const Event& event = events_[for_peers_[reading].first()];
  return PeerWait{event.ticket, event.arrived};
}

// The purges of the peers came before this moment.
void Journeys::pass_peers(std::uint32_t reading) {
  const std::uint32_t index = for_peers_[reading].first();
  Event& event = events_[index];
  CHECK(event.peers && event.layer == 0 && event.ticket.reading == reading);
  for_peers_[reading].remove(index);
  --waiting_for_peers_;
  event.peers = false;
  event.answered = std::max(event.answered, clock_.now());
  if (event.pending == 0) layer_done(index);
}

void Journeys::leave_out(TargetId target) {
  left_out_ |= mask_of(target);
  coalescer_.leave_out(target);
}

void Journeys::take_in(TargetId target) {
  coalescer_.take_in(target);
  left_out_ &= ~mask_of(target);
}

void Journeys::finish(std::uint32_t index) {
  const Event& event = events_[index];
  FinishedEvent finished;
  CHECK(!event.peers);
  finished.ticket = event.ticket;
  finished.arrived = event.arrived;
  finished.priority = event.priority;
  finished.dead = event.dead;
  finished.left_out = event.left_out;
  if (event.priority == Priority::catch_up) --backlog_;
  if (event.has_time) finished.event_time = event.event_time;
  coalescer_.release(event.key);
  plans_.release(event.plan);
  events_.give(index);
  sink_.on_finished(finished);
}

// Every deadline is the same distance from its start, so the list is in order by itself, also when
// the distance changes.
void Journeys::start_deadline(std::uint32_t index) {
  Event& event = events_[index];
  if (std::size_t{event.layer} + event.ahead + 1 >= layers_of(event).size()) return;
  CHECK(!event.timed);
  event.waits_since = clock_.now();
  event.timed = true;
  deadlines_.push_back(index);
}

void Journeys::stop_deadline(std::uint32_t index) {
  Event& event = events_[index];
  if (!event.timed) return;
  deadlines_.remove(index);
  event.timed = false;
}

void Journeys::turn() {
  fences_.turn();
  for (std::uint32_t index = kNone; (index = deadlines_.first()) != kNone;) {
    if (events_[index].waits_since + options_.layer_deadline > clock_.now()) return;
    stop_deadline(index);
    send_ahead(index);
  }
}

void Journeys::send_ahead(std::uint32_t index) {
  Event& event = events_[index];
  ++event.ahead;
  const std::size_t layer = std::size_t{event.layer} + event.ahead;
  CHECK(layer < layers_of(event).size());
  for (const TargetId target : layers_of(event)[layer]) {
    if ((event.targets & mask_of(target)) == 0) continue;
    if (coalescer_.want_ahead(target, event.key, event.version, event.priority)) ++sent_ahead_;
  }
  start_deadline(index);
}

std::optional<MonoTime> Journeys::next_due() const {
  std::optional<MonoTime> due = fences_.next_due();
  if (deadlines_.first() == kNone) return due;
  const MonoTime ahead = events_[deadlines_.first()].waits_since + options_.layer_deadline;
  return due ? std::min(*due, ahead) : ahead;
}

}  // namespace purgeline
