#include "coalesce/coalescer.h"

#include <algorithm>
#include <limits>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr std::uint32_t kSlotChunk = 1024;  // keys

}  // namespace

Coalescer::Coalescer(const CoalescerOptions& options, Clock& clock)
    : options_(options), clock_(clock), keys_(options.keys, options.bytes), joins_(options.joins) {
  CHECK(options.targets > 0 && options.targets <= kMaxTargets);
  CHECK(options.keys > 0 && options.joins > 0);
  CHECK(std::uint64_t{options.keys} * options.targets < std::numeric_limits<std::uint32_t>::max());
  for (std::uint32_t i = 0; i < options.targets; ++i) lines_.emplace_back(options.keys);
}

std::uint32_t Coalescer::number(TargetId target, std::uint32_t key) const {
  CHECK(target.value() < options_.targets && key < options_.keys);
  return key * options_.targets + target.value();
}

Coalescer::Slot& Coalescer::slot(std::uint32_t number) {
  const std::uint32_t in_chunk = kSlotChunk * options_.targets;
  CHECK(number / in_chunk < slots_.size());
  return slots_[number / in_chunk][number % in_chunk];
}

std::uint32_t Coalescer::hold(const Key& key, const KeyText& text) {
  const KeyTable::Held held = keys_.hold(key, text);
  while (held.index / kSlotChunk >= slots_.size()) {
    slots_.push_back(std::make_unique<Slot[]>(std::size_t{kSlotChunk} * options_.targets));
  }
  if (held.made) {
    for (std::uint16_t t = 0; t < options_.targets; ++t) {
      Slot& slot = this->slot(number(TargetId{t}, held.index));
      CHECK(!slot.waiting && !slot.in_flight);
      const std::uint32_t generation =
          slot.generation;  // late answers for the former key stay stale
      slot = Slot{};
      slot.generation = generation;
    }
  }
  return held.index;
}

Coalescer::Want Coalescer::want(TargetId target, std::uint32_t key, MonoTime version,
                                std::uint32_t event) {
  CHECK(keys_.held(key));
  CHECK(version <= clock_.now());
  const std::uint32_t at = number(target, key);
  Slot& slot = this->slot(at);
  if (slot.waiting) {
    join(slot.waiting_joins, event);
    count(CoalesceHow::joined_waiting);
    return {CoalesceHow::joined_waiting};
  }
  if (slot.in_flight && slot.started > version) {
    join(slot.flying_joins, event);
    count(CoalesceHow::joined_in_flight);
    return {CoalesceHow::joined_in_flight};
  }
  if (slot.good_start > version) {
    count(CoalesceHow::covered);
    return {CoalesceHow::covered, slot.good_answer};
  }
  open(at, slot.last_start == kNever ? clock_.now() : slot.last_start + options_.window);
  join(slot.waiting_joins, event);
  count(CoalesceHow::opened);
  return {CoalesceHow::opened};
}

bool Coalescer::want_ahead(TargetId target, std::uint32_t key, MonoTime version) {
  CHECK(keys_.held(key));
  const std::uint32_t at = number(target, key);
  Slot& slot = this->slot(at);
  if (slot.waiting || (slot.in_flight && slot.started > version) || slot.good_start > version) {
    return false;
  }
  open(at, slot.last_start == kNever ? clock_.now() : slot.last_start + options_.window);
  return true;
}

void Coalescer::join(std::uint32_t& list, std::uint32_t event) {
  const std::uint32_t at = joins_.take();
  joins_[at] = Join{event, list};
  list = at;
}

// A delivery that waits or flies uses its key, so that the bytes outlive the events.
void Coalescer::open(std::uint32_t number, MonoTime due) {
  Slot& slot = this->slot(number);
  CHECK(!slot.waiting && slot.waiting_joins == kNone);
  keys_.add_user(number / options_.targets);
  slot.waiting = true;
  slot.waiting_since = clock_.now();
  slot.not_before = due;
  enqueue(number);
}

void Coalescer::enqueue(std::uint32_t number) {
  const Slot& slot = this->slot(number);
  CHECK(slot.waiting && !slot.parked);
  Line& line = lines_[number % options_.targets];
  if (slot.not_before <= clock_.now())
    line.ready.push_back(number);
  else
    line.delayed.push(slot.not_before, number);
}

// The attempt that a parked delivery waited for has ended.
void Coalescer::unpark(std::uint32_t number) {
  Slot& slot = this->slot(number);
  if (!slot.parked) return;
  slot.parked = false;
  Line& line = lines_[number % options_.targets];
  CHECK(line.parked > 0);
  --line.parked;
  enqueue(number);
}

bool Coalescer::ready(TargetId target) const {
  CHECK(target.value() < lines_.size());
  const Line& line = lines_[target.value()];
  if (!line.ready.empty()) return true;
  const auto due = line.delayed.next_due();
  return due && *due <= clock_.now();
}

std::optional<Delivery> Coalescer::take(TargetId target) {
  CHECK(target.value() < lines_.size());
  Line& line = lines_[target.value()];
  const MonoTime now = clock_.now();
  while (const auto due = line.delayed.pop(now)) line.ready.push_back(*due);
  while (!line.ready.empty()) {
    const std::uint32_t number = line.ready.front();
    Slot& slot = this->slot(number);
    CHECK(slot.waiting);
    static_cast<void>(line.ready.pop_front());
    if (slot.in_flight) {  // one at a time
      slot.parked = true;
      ++line.parked;
      continue;
    }
    if (slot.not_before > now) {  // a failure put it off after it had been queued
      line.delayed.push(slot.not_before, number);
      continue;
    }
    slot.waiting = false;
    slot.in_flight = true;
    slot.started = slot.last_start = now;
    ++slot.generation;
    CHECK(slot.flying_joins == kNone);
    slot.flying_joins = slot.waiting_joins;
    slot.waiting_joins = kNone;
    const KeyText text = keys_.text(number / options_.targets);
    Delivery delivery;
    delivery.id = {number, slot.generation};
    delivery.target = target;
    delivery.host = text.host;
    delivery.path = text.path;
    delivery.attempts = slot.attempts;
    delivery.lonely = slot.lonely;
    delivery.alone = slot.alone;
    delivery.denials = slot.denials;
    delivery.good_then = slot.good_then;
    return delivery;
  }
  return std::nullopt;
}

Coalescer::Slot* Coalescer::in_flight(DeliveryId id) {
  const std::uint64_t made = std::uint64_t{slots_.size()} * kSlotChunk * options_.targets;
  if (id.slot >= made) return nullptr;
  Slot& slot = this->slot(id.slot);
  if (!slot.in_flight || slot.generation != id.generation) return nullptr;
  return &slot;
}

std::optional<Coalescer::InFlight> Coalescer::find(DeliveryId id) {
  const Slot* slot = in_flight(id);
  if (slot == nullptr) return std::nullopt;
  const std::uint32_t event =
      slot->flying_joins == kNone ? kNone : joins_[slot->flying_joins].event;
  return InFlight{TargetId{static_cast<std::uint16_t>(id.slot % options_.targets)},
                  keys_.text(id.slot / options_.targets), event};
}

bool Coalescer::complete(DeliveryId id, const Outcome& outcome) {
  Slot* slot = in_flight(id);
  if (slot == nullptr) return false;
  slot->in_flight = false;
  if (!is_good(outcome.result) && !is_dead(outcome.result)) {
    wait_again(id.slot, outcome);
    return true;
  }
  const MonoTime now = clock_.now();
  if (is_good(outcome.result) && slot->started > slot->good_start) {
    slot->good_start = slot->started;
    slot->good_answer = now;
  }
  slot->attempts = 0;
  slot->lonely = slot->denials = 0;
  slot->alone = false;
  unpark(id.slot);
  settle(id.slot, now, is_dead(outcome.result));
  keys_.release(id.slot / options_.targets);
  return true;
}

// The attempt failed: it covers nobody, and those who shared it wait for the next one.
void Coalescer::wait_again(std::uint32_t number, const Outcome& outcome) {
  Slot& slot = this->slot(number);
  slot.attempts = outcome.attempts;
  slot.lonely = outcome.lonely;
  slot.alone = outcome.alone;
  slot.denials = outcome.denials;
  slot.good_then = outcome.good_then;
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
    unpark(number);
    keys_.release(number / options_.targets);
    return;
  }
  slot.waiting_joins = slot.flying_joins;
  slot.flying_joins = kNone;
  slot.waiting = true;
  slot.waiting_since = slot.started;
  slot.not_before = due;
  Line& line = lines_[number % options_.targets];
  if (at_once)
    line.ready.push_front(number);
  else
    line.delayed.push(due, number);
}

void Coalescer::settle(std::uint32_t number, MonoTime answered, bool dead) {
  CHECK(sink_ != nullptr);
  const TargetId target{static_cast<std::uint16_t>(number % options_.targets)};
  // Taken off first: a settled event may want something of this very slot.
  std::uint32_t list = this->slot(number).flying_joins;
  this->slot(number).flying_joins = kNone;
  while (list != kNone) {
    const Join join = joins_[list];
    joins_.give(list);
    list = join.next;
    sink_->on_settled(join.event, target, answered, dead);
  }
}

std::optional<MonoTime> Coalescer::next_due() const {
  // What is due already waits for dispatch, which knows itself when it can take it.
  std::optional<MonoTime> earliest;
  for (const Line& line : lines_) {
    const auto due = line.delayed.next_due();
    if (due && *due > clock_.now() && (!earliest || *due < *earliest)) earliest = due;
  }
  return earliest;
}

std::uint64_t Coalescer::waiting(TargetId target) const {
  CHECK(target.value() < lines_.size());
  const Line& line = lines_[target.value()];
  return line.ready.size() + line.delayed.size() + line.parked;
}

std::optional<MonoTime> Coalescer::oldest_waiting(TargetId target) const {
  CHECK(target.value() < lines_.size());
  const Line& line = lines_[target.value()];
  if (line.ready.empty()) return std::nullopt;
  const std::uint32_t number = line.ready[0];
  const std::uint32_t in_chunk = kSlotChunk * options_.targets;
  return slots_[number / in_chunk][number % in_chunk].waiting_since;
}

}  // namespace purgeline
