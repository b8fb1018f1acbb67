#include "coalesce/coalescer.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr std::uint32_t kSlotChunk = 1024;  // keys
// Their numbers leave room for the probes' (app/target_probes.h).
constexpr std::uint32_t kMostKeys = 110'000'000;
static_assert(kMostKeys < (UINT32_MAX - 1024) / kMaxTargets);

}  // namespace

Coalescer::Coalescer(const CoalescerOptions& options, Clock& clock)
    : options_(options), clock_(clock), keys_(options.keys, options.bytes), joins_(options.joins) {
  CHECK(options.targets > 0 && options.targets <= kMaxTargets);
  CHECK(options.keys > 0 && options.joins > 0);
  CHECK(options.keys <= kMostKeys);
  for (std::uint16_t t = 0; t < options.targets; ++t) add_target(TargetId{t});
}

// ---- targets that come and go

Coalescer::Line& Coalescer::line(TargetId target) const {
  CHECK(target.value() < kMaxTargets && lines_[target.value()]);
  return *lines_[target.value()];
}

void Coalescer::add_target(TargetId target) {
  CHECK(target.value() < kMaxTargets && !lines_[target.value()]);
  lines_[target.value()] = std::make_unique<Line>(options_.keys);
}

bool Coalescer::idle(TargetId target) const {
  const Line& line = this->line(target);
  return line.waiting == 0 && line.in_flight == 0;
}

void Coalescer::remove_target(TargetId target) {
  CHECK(line(target).left_out && idle(target));
  lines_[target.value()].reset();
}

// ---- slots

std::uint32_t Coalescer::number(TargetId target, std::uint32_t key) const {
  CHECK(target.value() < kMaxTargets && key < options_.keys);
  return key * static_cast<std::uint32_t>(kMaxTargets) + target.value();
}

Coalescer::Slot* Coalescer::Line::find(std::uint32_t key) const {
  if (key / kSlotChunk >= slots.size()) return nullptr;
  const auto& chunk = slots[key / kSlotChunk];
  return chunk ? &chunk[key % kSlotChunk] : nullptr;
}

Coalescer::Slot& Coalescer::slot(std::uint32_t number) const {
  Slot* found = line(number).find(key_of(number));
  CHECK(found != nullptr);
  return *found;
}

// By chunks, so that a target that is added to a full table does not stop the loop to make slots
// for a million keys.
Coalescer::Slot& Coalescer::make_slot(std::uint32_t number) {
  Line& line = this->line(number);
  const std::size_t at = key_of(number) / kSlotChunk;
  if (line.slots.size() <= at) line.slots.resize(at + 1);
  if (!line.slots[at]) line.slots[at] = std::make_unique<Slot[]>(kSlotChunk);
  return line.slots[at][key_of(number) % kSlotChunk];
}

std::uint32_t Coalescer::hold(const Key& key, const KeyText& text) {
  const KeyTable::Held held = keys_.hold(key, text);
  if (!held.made) return held.index;
  for (const auto& line : lines_) {
    Slot* slot = line ? line->find(held.index) : nullptr;
    if (slot == nullptr) continue;
    CHECK(!slot->waiting && !slot->in_flight);
    const Slot former = *slot;
    *slot = Slot{};
    slot->generation = former.generation;  // late answers for the former key stay stale
    slot->in_live = former.in_live;
    slot->in_backlog = former.in_backlog;
  }
  return held.index;
}

Coalescer::Want Coalescer::want(TargetId target, std::uint32_t key, MonoTime version,
                                std::uint32_t event, Priority priority) {
  CHECK(keys_.held(key));
  CHECK(version <= clock_.now());
  CHECK(!line(target).left_out);
  const std::uint32_t at = number(target, key);
  Slot& slot = make_slot(at);
  if (slot.waiting) {
    join(slot.waiting_joins, event);
    if (priority == Priority::live) promote(at);
    count(CoalesceHow::joined_waiting);
    return {CoalesceHow::joined_waiting};
  }
  if (slot.in_flight && slot.started > version + options_.lag) {
    join(slot.flying_joins, event);
    slot.flew_live = slot.flew_live || priority == Priority::live;
    count(CoalesceHow::joined_in_flight);
    return {CoalesceHow::joined_in_flight};
  }
  if (slot.good_start > version + options_.lag) {
    count(CoalesceHow::covered);
    return {CoalesceHow::covered, slot.good_answer};
  }
  open(at, priority);
  join(slot.waiting_joins, event);
  count(CoalesceHow::opened);
  return {CoalesceHow::opened};
}

bool Coalescer::want_ahead(TargetId target, std::uint32_t key, MonoTime version,
                           Priority priority) {
  CHECK(keys_.held(key));
  if (line(target).left_out) return false;
  const std::uint32_t at = number(target, key);
  Slot& slot = make_slot(at);
  if (slot.waiting || (slot.in_flight && slot.started > version) || slot.good_start > version) {
    return false;
  }
  open(at, priority);
  return true;
}

bool Coalescer::want_since(TargetId target, std::uint32_t key, MonoTime due, Priority priority) {
  CHECK(keys_.held(key) && due <= clock_.now());
  if (line(target).left_out) return false;
  const std::uint32_t at = number(target, key);
  Slot& slot = make_slot(at);
  if (slot.waiting) {
    if (priority == Priority::live) promote(at);
    return false;
  }
  if ((slot.in_flight && slot.started >= due) || slot.good_start >= due) return false;
  open(at, priority);
  return true;
}

std::optional<MonoTime> Coalescer::good_since(TargetId target, std::uint32_t key,
                                              MonoTime due) const {
  const Slot* slot = line(target).find(key);
  if (slot == nullptr || slot->good_start == kNever || slot->good_start < due) return std::nullopt;
  return slot->good_answer;
}

void Coalescer::join(std::uint32_t& list, std::uint32_t event) {
  const std::uint32_t at = joins_.take();
  joins_[at] = Join{event, list};
  list = at;
}

// A delivery that waits or flies uses its key, so that the bytes outlive the events.
void Coalescer::open(std::uint32_t number, Priority priority) {
  Slot& slot = this->slot(number);
  CHECK(!slot.waiting && slot.waiting_joins == kNone);
  keys_.add_user(key_of(number));
  slot.waiting = true;
  slot.live = priority == Priority::live;
  slot.waiting_since = clock_.now();
  slot.not_before = slot.last_start == kNever ? clock_.now() : slot.last_start + options_.window;
  ++line(number).waiting;
  enqueue(number, false);
}

// A live event has joined a delivery of a backlog. One that is delayed or parked comes to the
// right ring by itself.
void Coalescer::promote(std::uint32_t number) {
  Slot& slot = this->slot(number);
  CHECK(slot.waiting);
  if (slot.live) return;
  slot.live = true;
  if (!slot.parked && !slot.delayed) enqueue(number, false);
}

void Coalescer::enqueue(std::uint32_t number, bool first) {
  Slot& slot = this->slot(number);
  CHECK(slot.waiting && !slot.parked && !slot.delayed);
  Line& line = this->line(number);
  if (slot.not_before > clock_.now()) {
    slot.delayed = true;
    line.delayed.push(slot.not_before, number);
    return;
  }
  if (slot.queued(slot.live)) return;  // an entry left behind will do
  slot.queued(slot.live) = true;
  if (first)
    line.ring(slot.live).push_front(number);
  else
    line.ring(slot.live).push_back(number);
}

// The attempt that a parked delivery waited for has ended.
void Coalescer::unpark(std::uint32_t number) {
  Slot& slot = this->slot(number);
  if (!slot.parked) return;
  slot.parked = false;
  if (line(number).left_out)
    drop(number);
  else
    enqueue(number, false);
}

std::uint32_t Coalescer::pop(Line& line, bool live) {
  const std::uint32_t number = line.ring(live).pop_front();
  slot(number).queued(live) = false;
  return number;
}

bool Coalescer::first_counts(Line& line, bool live) const {
  const Slot& slot = this->slot(line.ring(live)[0]);
  return slot.waiting && !slot.parked && !slot.delayed && slot.live == live;
}

void Coalescer::pass_over(Line& line, bool live) {
  while (!line.ring(live).empty() && !first_counts(line, live)) {
    static_cast<void>(pop(line, live));
  }
}

bool Coalescer::ready(TargetId target) const {
  const Line& line = this->line(target);
  if (line.left_out) return false;
  if (!line.live.empty() || !line.backlog.empty()) return true;
  const auto due = line.delayed.next_due();
  return due && *due <= clock_.now();
}

void Coalescer::due_now(Line& line, MonoTime now) {
  while (const auto number = line.delayed.pop(now)) {
    slot(*number).delayed = false;
    enqueue(*number, false);
  }
}

// Live first; of 100 purges a backlog gets `min_share`. Empty when nothing is due.
std::optional<bool> Coalescer::next_ring(Line& line) {
  pass_over(line, true);
  pass_over(line, false);
  if (line.live.empty() && line.backlog.empty()) return std::nullopt;
  if (line.backlog.empty()) return true;
  const std::uint64_t share = options_.min_share;
  const bool its_turn = line.live_takes * share >= 100 - share;
  return !line.live.empty() && !its_turn;
}

std::optional<Delivery> Coalescer::take(TargetId target) {
  Line& line = this->line(target);
  if (line.left_out) return std::nullopt;
  const MonoTime now = clock_.now();
  due_now(line, now);
  while (const auto live = next_ring(line)) {
    const std::uint32_t number = pop(line, *live);
    Slot& slot = this->slot(number);
    if (slot.in_flight) {  // one at a time
      slot.parked = true;
      continue;
    }
    if (slot.not_before > now) {  // a failure put it off after it had been queued
      enqueue(number, false);
      continue;
    }
    line.live_takes = *live ? line.live_takes + 1 : 0;
    fly(number, now);
    const KeyText text = keys_.text(key_of(number));
    Delivery delivery;
    delivery.id = {number, slot.generation};
    delivery.target = target;
    delivery.host = text.host;
    delivery.path = text.path;
    delivery.set_marks(slot);
    return delivery;
  }
  return std::nullopt;
}

void Coalescer::fly(std::uint32_t number, MonoTime now) {
  Slot& slot = this->slot(number);
  CHECK(slot.waiting && !slot.in_flight && slot.flying_joins == kNone);
  slot.waiting = false;
  --line(number).waiting;
  slot.in_flight = true;
  ++line(number).in_flight;
  slot.flew_live = slot.live;
  slot.started = slot.last_start = now;
  ++slot.generation;
  slot.flying_joins = slot.waiting_joins;
  slot.waiting_joins = kNone;
}

// ---- targets that are behind

void Coalescer::leave_out(TargetId target) {
  line(target).left_out = true;
}

bool Coalescer::drop_some(TargetId target, std::size_t most) {
  Line& line = this->line(target);
  CHECK(line.left_out);
  for (; most > 0; --most) {
    if (const auto number = line.delayed.pop(MonoTime::max())) {
      slot(*number).delayed = false;
      drop(*number);
    } else if (const auto live = next_ring(line)) {
      drop(pop(line, *live));
    } else {
      break;
    }
  }
  return most == 0;
}

void Coalescer::take_in(TargetId target) {
  Line& line = this->line(target);
  CHECK(line.left_out && line.waiting == 0);
  line.left_out = false;
}

template <class Tell>
void Coalescer::let_go(std::uint32_t& list, Tell tell) {
  CHECK(sink_ != nullptr);
  // Taken off first: whoever is told may want something of this very slot.
  for (std::uint32_t at = std::exchange(list, kNone); at != kNone;) {
    const Join join = joins_[at];
    joins_.give(at);
    at = join.next;
    tell(join.event);
  }
}

// Ends a waiting delivery that is in no queue. Those who shared it learn that it will not come.
void Coalescer::drop(std::uint32_t number) {
  Slot& slot = this->slot(number);
  CHECK(slot.waiting && !slot.parked && !slot.delayed);
  slot.waiting = false;
  --line(number).waiting;
  slot.forget_attempts();
  let_go(slot.waiting_joins,
         [&](std::uint32_t event) { sink_->on_left_out(event, target_of(number)); });
  if (keys_.first_fence(key_of(number)) != kNone) {
    key_sink_->on_dropped(key_of(number), target_of(number),
                          slot.in_flight ? slot.started : kNever);
  }
  keys_.release(key_of(number));
}

Coalescer::Slot* Coalescer::in_flight(DeliveryId id) {
  const auto& line = lines_[target_of(id.slot).value()];
  Slot* slot = line ? line->find(key_of(id.slot)) : nullptr;
  if (slot == nullptr || !slot->in_flight || slot->generation != id.generation) return nullptr;
  return slot;
}

std::optional<Coalescer::InFlight> Coalescer::find(DeliveryId id) {
  const Slot* slot = in_flight(id);
  if (slot == nullptr) return std::nullopt;
  const std::uint32_t event =
      slot->flying_joins == kNone ? kNone : joins_[slot->flying_joins].event;
  return InFlight{target_of(id.slot), keys_.text(key_of(id.slot)), event, key_of(id.slot),
                  slot->started};
}

bool Coalescer::complete(DeliveryId id, const Outcome& outcome) {
  Slot* slot = in_flight(id);
  if (slot == nullptr) return false;
  slot->in_flight = false;
  --line(id.slot).in_flight;
  if (!is_good(outcome.result) && !is_dead(outcome.result)) {
    wait_again(id.slot, outcome);
    return true;
  }
  const MonoTime now = clock_.now();
  if (is_good(outcome.result) && slot->started > slot->good_start) {
    slot->good_start = slot->started;
    slot->good_answer = now;
  }
  slot->forget_attempts();
  if (keys_.first_fence(key_of(id.slot)) != kNone) {
    key_sink_->on_purged(key_of(id.slot), target_of(id.slot), slot->started,
                         is_dead(outcome.result));
  }
  unpark(id.slot);
  let_go(slot->flying_joins, [&](std::uint32_t event) {
    sink_->on_settled(event, target_of(id.slot), now, is_dead(outcome.result));
  });
  keys_.release(key_of(id.slot));
  return true;
}

// The attempt failed: it covers nobody, and those who shared it wait for the next one.
void Coalescer::wait_again(std::uint32_t number, const Outcome& outcome) {
  Slot& slot = this->slot(number);
  slot.set_marks(outcome);
  const bool at_once = outcome.result == AttemptResult::unanswered;
  const MonoTime due = at_once ? clock_.now() : outcome.not_before;
  if (slot.waiting) {  // a newer event already waits: one purge will do for both
    while (slot.flying_joins != kNone) {
      const std::uint32_t moved = slot.flying_joins;
      slot.flying_joins = joins_[moved].next;
      joins_[moved].next = slot.waiting_joins;
      slot.waiting_joins = moved;
    }
    slot.not_before = std::max(slot.not_before, due);
    if (slot.flew_live) promote(number);
    unpark(number);
    keys_.release(key_of(number));
    return;
  }
  slot.waiting_joins = slot.flying_joins;
  slot.flying_joins = kNone;
  slot.waiting = true;
  ++line(number).waiting;
  slot.live = slot.flew_live;
  slot.waiting_since = slot.started;
  slot.not_before = due;
  if (line(number).left_out)
    drop(number);
  else
    enqueue(number, at_once);
}

std::optional<MonoTime> Coalescer::next_due() const {
  // What is due already waits for dispatch, which knows itself when it can take it.
  std::optional<MonoTime> earliest;
  for (const auto& line : lines_) {
    if (!line) continue;
    const auto due = line->delayed.next_due();
    if (due && *due > clock_.now() && (!earliest || *due < *earliest)) earliest = due;
  }
  return earliest;
}

std::uint64_t Coalescer::waiting(TargetId target) const {
  return line(target).waiting;
}

// Of those that are due: what is delayed is so on purpose.
std::optional<MonoTime> Coalescer::oldest_waiting(TargetId target) const {
  Line& line = this->line(target);
  std::optional<MonoTime> oldest;
  for (const bool live : {true, false}) {
    if (line.ring(live).empty() || !first_counts(line, live)) continue;
    const MonoTime since = slot(line.ring(live)[0]).waiting_since;
    if (!oldest || since < *oldest) oldest = since;
  }
  return oldest;
}

}  // namespace purgeline
