#include "coalesce/fences.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr MonoTime kNever = MonoTime::min();
constexpr int kSteps = 16;  // of the grid, in L + F
constexpr Duration kLeastStep = std::chrono::milliseconds(1);

// Calls tell(TargetId) for each target in the mask.
template <class Tell>
void for_each(TargetMask mask, Tell tell) {
  for (; mask != 0; mask &= mask - 1) {
    tell(TargetId{static_cast<std::uint16_t>(std::countr_zero(mask))});
  }
}

}  // namespace

Fences::Fences(std::uint32_t capacity, const FenceTimes& times, LayerPlans& plans,
               Coalescer& coalescer, Clock& clock, FenceWaiter& waiter)
    : times_(times),
      plans_(plans),
      coalescer_(coalescer),
      clock_(clock),
      waiter_(waiter),
      fences_(capacity),
      line_(capacity),
      steps_(clock.now()),
      first_steps_(clock.now()),
      least_byte_room_(coalescer.byte_room() / 2) {
  coalescer_.set_key_sink(*this);
}

// ---- events

// The first point of the key's grid that is not before `time`.
MonoTime Fences::on_grid(MonoTime time, std::uint32_t key) const {
  constexpr std::uint32_t kSpread = 2'654'435'761;  // 2^32 over the golden ratio
  const Duration step = this->step();
  const Duration shift = step / 1024 * ((key * kSpread) >> 22U);
  const Duration over = (time - shift).time_since_epoch() % step;
  if (over == Duration{0}) return time;
  return over > Duration{0} ? time + (step - over) : time - over;
}

Duration Fences::step() const {
  const Duration whole = times_.origin_lag + times_.fetch_time.value_or(std::chrono::seconds(10));
  return std::max(kLeastStep, whole / kSteps);
}

std::uint64_t Fences::room() const {
  return coalescer_.byte_room() > least_byte_room_ ? fences_.room() : 0;
}

void Fences::set_catching_up(bool catching_up, std::uint32_t min_share) {
  const std::uint64_t share = catching_up ? std::uint64_t{fences_.capacity()} * min_share / 100 : 0;
  reserved_ = share > backlog_ ? share - backlog_ : 0;
}

std::uint64_t Fences::backlog_places() const {
  const std::uint64_t most = fences_.capacity() / 2;
  return std::min(room(), most > backlog_ ? most - backlog_ : 0);
}

std::uint64_t Fences::backlog_room() const {
  if (!on()) return UINT64_MAX;
  return backlog_places() / (times_.rebounds.size() + (times_.fetch_time ? 1 : 0));
}

std::uint8_t Fences::first_layer(TargetMask targets) const {
  const std::uint8_t plan = plans_.current();
  std::uint8_t layer = 0;
  while ((plans_.mask(plan, layer) & targets) == 0) CHECK(++layer < plans_.layers(plan).size());
  return layer;
}

// Of the same due time and for the same targets, and nobody was passed over: what it has done so
// far is right for the event as well. Where it waits for peers it can wait for the event only while
// the first layer is not done, and only in one partition.
std::uint32_t Fences::find(const FenceInput& input, MonoTime due, bool rebound) const {
  for (std::uint32_t at = coalescer_.first_fence(input.key); at != kNone;) {
    const Fence& fence = fences_[at];
    const bool same = fence.first_due == due && fence.targets == input.targets &&
                      fence.plan == plans_.current() && fence.rebound == rebound;
    const bool waits =
        fence.peers == input.peers && (!input.passed_by_peers || fence.layer == 0) &&
        (!input.peers || (fence.layer == 0 && fence.origin.partition == input.origin.partition));
    if (same && waits && !fence.partly) return at;
    at = fence.next_of_key;
  }
  return kNone;
}

// A reading that leaves out the first layers is for targets that were away, and its versions are
// not before their return. The fences and rebounds that the others had then either come to them
// yet, or were answered on the layers before until then.
std::optional<FenceRef> Fences::owe(const FenceInput& input) {
  if (!on()) return FenceRef{};
  const std::uint8_t layer = first_layer(input.targets);
  // What other hosts do not wait for, and have no part in.
  FenceInput alone = input;
  alone.peers = alone.passed_by_peers = false;
  if (layer > 0) return owe_one(alone, layer, times_.hit_time, false);
  std::optional<FenceRef> fence{FenceRef{}};
  if (times_.fetch_time) {
    fence = owe_one(input, layer, times_.origin_lag + *times_.fetch_time, false);
  }
  for (const Duration after : times_.rebounds) {
    if (!owe_one(alone, layer, after, true)) fence.reset();
  }
  return fence;
}

std::optional<FenceRef> Fences::owe_one(const FenceInput& input, std::uint8_t layer, Duration after,
                                        bool rebound) {
  const auto count = [&counts = rebound ? counts_.rebounds : counts_.events](FenceHow how) {
    ++counts[static_cast<std::size_t>(how)];
  };
  const MonoTime due = on_grid(input.version + after, input.key);
  const bool live = input.priority == Priority::live;
  if (const std::uint32_t found = find(input, due, rebound); found != kNone) {
    count(FenceHow::shared);  // the step of the older arrival stays
    Fence& fence = fences_[found];
    fence.live = fence.live || live;
    if (fence.peers) fence.origin.offset = std::max(fence.origin.offset, input.origin.offset);
    if (input.passed_by_peers) fence.answered = std::max(fence.answered, clock_.now());
    return FenceRef{found, fence.generation};
  }
  if (live ? room() <= reserved_ : backlog_places() == 0) {
    count(FenceHow::unregistered);
    full_ = true;
    return std::nullopt;
  }
  count(FenceHow::registered);
  const std::uint32_t index = make(input, layer, due, rebound);
  // Purges that its event has yet to ask for may serve it, so it asks for none before turn().
  if (!look(index)) return FenceRef{};
  if (!fences_[index].idle()) wait(index);
  return FenceRef{index, fences_[index].generation};
}

std::uint32_t Fences::make(const FenceInput& input, std::uint8_t layer, MonoTime due,
                           bool rebound) {
  const std::uint32_t index = fences_.take();
  Fence& fence = fences_[index];
  const std::uint32_t generation = fence.generation;
  fence = Fence{};
  fence.generation = generation;
  fence.first_due = fence.due = due;
  fence.answered = input.passed_by_peers ? clock_.now() : kNever;
  fence.step = steps_.open();
  fence.origin = input.origin;
  fence.key = input.key;
  fence.targets = input.targets;
  fence.plan = plans_.current();
  fence.layer = layer;
  fence.live = input.priority == Priority::live;
  fence.backlog = !fence.live;
  fence.peers = input.peers;
  fence.rebound = rebound;
  CHECK(!fence.peers || fence.origin.known());
  if (layer == 0 && !rebound) {
    const OpenSteps::Number step = first_steps_.open();
    CHECK(step == fence.step);
  }
  std::uint32_t& first = coalescer_.first_fence(input.key);
  fence.next_of_key = std::exchange(first, index);
  coalescer_.share(input.key);
  plans_.use(fence.plan);
  ++open_;
  if (fence.backlog) ++backlog_;
  return index;
}

bool Fences::waits(FenceRef ref, std::size_t layer) const {
  if (ref.index == kNone || layer == 0) return false;
  const Fence& fence = fences_[ref.index];
  return fence.generation == ref.generation && fence.layer == layer && fence.timed &&
         fence.due > clock_.now();
}

std::uint32_t Fences::park(FenceRef ref, std::uint32_t event) {
  CHECK(waits(ref, fences_[ref.index].layer) && !fences_[ref.index].peers);
  return std::exchange(fences_[ref.index].parked, event);
}

// ---- from layer to layer

void Fences::wait(std::uint32_t index) {
  Fence& fence = fences_[index];
  CHECK(!fence.timed);
  fence.timed = true;
  line_.push(fence.due, index);
}

// Through the layers that are done, up to one that is not due or lacks a purge. False: there is
// none, and the fence has ended.
bool Fences::look(std::uint32_t index) {
  Fence& fence = fences_[index];
  for (;;) {
    if (fence.held) return true;
    if (fence.due > clock_.now()) {
      wait(index);
      return true;
    }
    fence.concerned = fence.pending = 0;
    for_each(plans_.mask(fence.plan, fence.layer) & fence.targets, [&](TargetId target) {
      if (coalescer_.left_out(target)) {
        fence.partly = true;
        return;
      }
      fence.concerned |= mask_of(target);
      const auto answered = coalescer_.good_since(target, fence.key, fence.due);
      if (answered)
        fence.answered = std::max(fence.answered, *answered);
      else
        fence.pending |= mask_of(target);
    });
    if (fence.pending != 0) return true;
    if (!next_layer(index)) return false;
  }
}

bool Fences::next_layer(std::uint32_t index) {
  Fence& fence = fences_[index];
  CHECK(!fence.idle() && fence.pending == 0);
  const bool first = fence.layer == 0;
  if (first && !fence.rebound) first_steps_.close(fence.step);
  count(FencePurge::served, static_cast<unsigned>(std::popcount(fence.concerned & ~fence.asked)));
  fence.due = std::max(fence.due, fence.answered) + times_.hit_time;
  fence.answered = kNever;
  fence.asked = 0;
  const std::size_t layers = plans_.layers(fence.plan).size();
  do {
    if (++fence.layer == layers) {
      end(index);
      return false;
    }
  } while ((plans_.mask(fence.plan, fence.layer) & fence.targets) == 0);
  if (first && fence.peers) hold(index);
  return true;
}

// Asks for the purges that are due and lacking.
void Fences::go_on(std::uint32_t index) {
  if (!look(index)) return;
  Fence& fence = fences_[index];
  if (fence.idle()) return;
  const Priority priority = fence.live ? Priority::live : Priority::catch_up;
  for_each(fence.pending, [&](TargetId target) {
    if (!coalescer_.want_since(target, fence.key, fence.due, priority)) return;
    fence.asked |= mask_of(target);
    count(FencePurge::sent, 1);
  });
}

// Events first: a purge that one of them asks for now serves the fence.
void Fences::turn() {
  full_ = full_ && tight();
  while (const auto index = line_.pop(clock_.now())) {
    Fence& fence = fences_[*index];
    fence.timed = false;
    const std::uint32_t parked = std::exchange(fence.parked, kNone);
    if (parked != kNone) waiter_.on_fence_due(parked);
    go_on(*index);
  }
}

void Fences::settle(std::uint32_t index, TargetId target) {
  Fence& fence = fences_[index];
  fence.pending &= ~mask_of(target);
  if (fence.pending == 0 && next_layer(index)) go_on(index);
}

void Fences::end(std::uint32_t index) {
  Fence& fence = fences_[index];
  CHECK(!fence.idle() && fence.parked == kNone);
  std::uint32_t* at = &coalescer_.first_fence(fence.key);
  while (*at != index) at = &fences_[*at].next_of_key;
  *at = fence.next_of_key;
  coalescer_.release(fence.key);
  plans_.release(fence.plan);
  steps_.close(fence.step);
  --open_;
  if (fence.backlog) --backlog_;
  ++fence.generation;
  fences_.give(index);
}

// ---- peers

void Fences::hold(std::uint32_t index) {
  Fence& fence = fences_[index];
  const std::size_t partition = fence.origin.partition.value();
  if (held_.size() <= partition) held_.resize(partition + 1);
  fence.held = true;
  fence.due = clock_.now();
  CHECK(fence.parked == kNone);
  Held& held = held_[partition];
  (held.first == kNone ? held.first : fences_[held.last].parked) = index;
  held.last = index;
  ++waiting_for_peers_;
}

std::optional<Fences::PeerWait> Fences::first_for_peers(PartitionId partition) const {
  const std::size_t number = partition.value();
  if (number >= held_.size() || held_[number].first == kNone) return std::nullopt;
  const Fence& fence = fences_[held_[number].first];
  return PeerWait{fence.origin.offset, fence.due};
}

// What a peer said of its fence came before this moment.
void Fences::pass_peers(PartitionId partition) {
  CHECK(first_for_peers(partition));
  const std::uint32_t index = held_[partition.value()].first;
  Fence& fence = fences_[index];
  held_[partition.value()].first = std::exchange(fence.parked, kNone);
  fence.held = false;
  --waiting_for_peers_;
  fence.due = clock_.now() + times_.hit_time;
  wait(index);
}

// Places that are free may be among them: nobody looks at what they say.
void Fences::forget_offsets(PartitionId partition) {
  while (first_for_peers(partition)) pass_peers(partition);
  for (std::uint32_t i = 0; fences_.made(i); ++i) {
    if (fences_[i].origin.partition == partition) fences_[i].peers = false;
  }
}

// ---- purges

void Fences::on_purged(std::uint32_t key, TargetId target, MonoTime started, bool dead) {
  for (std::uint32_t at = coalescer_.first_fence(key); at != kNone;) {
    Fence& fence = fences_[at];
    const std::uint32_t index = std::exchange(at, fence.next_of_key);
    if (fence.idle() || (fence.pending & mask_of(target)) == 0 || fence.due > started) continue;
    fence.answered = std::max(fence.answered, clock_.now());
    fence.partly = fence.partly || dead;
    settle(index, target);
  }
}

// The target is left out: what it is owed is somebody else's to remember.
void Fences::on_dropped(std::uint32_t key, TargetId target, MonoTime flying_since) {
  for (std::uint32_t at = coalescer_.first_fence(key); at != kNone;) {
    Fence& fence = fences_[at];
    const std::uint32_t index = std::exchange(at, fence.next_of_key);
    if (fence.idle() || (fence.pending & mask_of(target)) == 0) continue;
    if (fence.due <= flying_since) continue;  // what is in flight will serve it, or be dropped
    fence.partly = true;
    settle(index, target);
  }
}

std::optional<EventOrigin> Fences::origin_of(std::uint32_t key, TargetId target,
                                             MonoTime started) const {
  for (std::uint32_t at = coalescer_.first_fence(key); at != kNone;) {
    const Fence& fence = fences_[at];
    const bool serves =
        !fence.idle() && (fence.pending & mask_of(target)) != 0 && fence.due <= started;
    if (serves) return fence.origin;
    at = fence.next_of_key;
  }
  return std::nullopt;
}

// ---- the loop's side

// Longer than the grid's when rebounds are later than fences: so that few steps are open at once.
std::optional<OpenSteps::Number> Fences::end_step() {
  const Duration last = times_.rebounds.empty() ? Duration{0} : times_.rebounds.back();
  const auto ended = steps_.end(clock_.now(), std::max(step(), last / kSteps));
  // What is open on the first layer is open, so there is always room for one more here.
  if (!ended) return ended;
  const auto first = first_steps_.end(clock_.now(), Duration{0});
  CHECK(first == ended);
  return ended;
}

Duration Fences::oldest_age() const {
  if (!steps_.oldest()) return Duration{0};
  return clock_.now() - steps_.oldest_began();
}

}  // namespace purgeline
