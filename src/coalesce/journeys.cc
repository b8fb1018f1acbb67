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
      events_(options_.events) {
  CHECK(!options_.layers.empty() && options_.layers.size() < 256);
  for (const auto& layer : options_.layers) {
    CHECK(!layer.empty() && layer.size() <= kMaxTargets);
    widest_ = std::max(widest_, static_cast<std::uint32_t>(layer.size()));
  }
  coalescer_.set_sink(*this);
}

std::uint64_t Journeys::room() const {
  return std::min<std::uint64_t>(
      {events_.room(), coalescer_.key_room(), coalescer_.join_room() / widest_});
}

void Journeys::accept(const JourneyInput& input) {
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
  event.key = coalescer_.hold(input.key, input.text);
  enter_layers(index);
}

// Goes on through the layers until one has to be waited for. A loop, not a call for each layer: an
// event that is covered everywhere ends here.
void Journeys::enter_layers(std::uint32_t index) {
  Event& event = events_[index];
  for (;;) {
    CHECK(event.layer < options_.layers.size() && !event.timed);
    const auto& targets = options_.layers[event.layer];
    event.pending = static_cast<std::uint8_t>(targets.size());
    event.answered = event.version;
    event.ahead = 0;
    for (const TargetId target : targets) {
      const Coalescer::Want want = coalescer_.want(target, event.key, event.version, index);
      if (want.how != CoalesceHow::covered) continue;
      CHECK(want.answered > event.version);
      event.answered = std::max(event.answered, want.answered);
      --event.pending;
      sink_.on_target_done(event.ticket, target);
    }
    if (event.pending > 0) {
      start_deadline(index);
      return;
    }
    event.version = event.answered;
    if (++event.layer == options_.layers.size()) {
      finish(index);
      return;
    }
  }
}

void Journeys::on_settled(std::uint32_t index, TargetId target, MonoTime answered, bool dead) {
  Event& event = events_[index];
  CHECK(event.pending > 0);
  event.answered = std::max(event.answered, answered);
  event.dead = event.dead || dead;
  sink_.on_target_done(event.ticket, target);
  if (--event.pending > 0) return;
  stop_deadline(index);
  event.version = event.answered;
  if (++event.layer == options_.layers.size())
    finish(index);
  else
    enter_layers(index);
}

void Journeys::finish(std::uint32_t index) {
  const Event& event = events_[index];
  FinishedEvent finished{event.ticket, event.arrived, std::nullopt, event.dead};
  if (event.has_time) finished.event_time = event.event_time;
  coalescer_.release(event.key);
  events_.give(index);
  sink_.on_finished(finished);
}

// Every deadline is the same distance from its start, so the list is in order by itself.
void Journeys::start_deadline(std::uint32_t index) {
  Event& event = events_[index];
  if (std::size_t{event.layer} + event.ahead + 1 >= options_.layers.size()) return;
  CHECK(!event.timed);
  event.deadline = clock_.now() + options_.layer_deadline;
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
  for (std::uint32_t index = kNone; (index = deadlines_.first()) != kNone;) {
    if (events_[index].deadline > clock_.now()) return;
    stop_deadline(index);
    send_ahead(index);
  }
}

void Journeys::send_ahead(std::uint32_t index) {
  Event& event = events_[index];
  ++event.ahead;
  const std::size_t layer = std::size_t{event.layer} + event.ahead;
  CHECK(layer < options_.layers.size());
  for (const TargetId target : options_.layers[layer]) {
    if (coalescer_.want_ahead(target, event.key, event.version)) ++sent_ahead_;
  }
  start_deadline(index);
}

std::optional<MonoTime> Journeys::next_due() const {
  if (deadlines_.first() == kNone) return std::nullopt;
  return events_[deadlines_.first()].deadline;
}

}  // namespace purgeline
