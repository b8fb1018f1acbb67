#include "ack/ledger.h"

#include <algorithm>

#include "purgeline/check.h"

namespace purgeline {

Ledger::Ledger(Offset first, std::uint32_t targets, std::size_t capacity)
    : targets_(targets), entries_(capacity), next_(first), watermark_{first, std::nullopt} {
  CHECK(targets > 0 && targets <= kMaxTargets);
}

std::uint64_t Ledger::note(Offset offset, std::uint32_t mask, WallTime time) {
  CHECK(!full());
  CHECK(offset >= next_);
  CHECK(targets_ == kMaxTargets || mask >> targets_ == 0);
  next_ = offset.next();
  if (entries_.empty())
    watermark_.offset = offset;  // nothing is there below it that is not finished
  entries_.push_back(Entry{offset, time, mask});
  const std::uint64_t sequence = first_sequence_ + entries_.size() - 1;
  if (mask == 0) advance();
  return sequence;
}

void Ledger::skip_to(Offset offset) {
  CHECK(offset >= next_);
  next_ = offset;
  if (entries_.empty()) watermark_.offset = offset;
}

void Ledger::settle(std::uint64_t sequence, TargetId target) {
  CHECK(sequence >= first_sequence_ && sequence - first_sequence_ < entries_.size());
  CHECK(target.value() < targets_);
  Entry& entry = entries_[sequence - first_sequence_];
  const std::uint32_t bit = std::uint32_t{1} << target.value();
  CHECK((entry.mask & bit) != 0);
  entry.mask &= ~bit;
  if (sequence == first_sequence_ && entry.mask == 0) advance();
}

void Ledger::advance() {
  while (!entries_.empty() && entries_.front().mask == 0) {
    watermark_.time = entries_.front().time;
    static_cast<void>(entries_.pop_front());
    ++first_sequence_;
  }
  const Offset reached = entries_.empty() ? next_ : entries_.front().offset;
  CHECK(reached >= watermark_.offset);
  watermark_.offset = reached;
  if (entries_.empty()) entries_.shrink();
}

Offset Ledger::target_watermark(TargetId target) const {
  CHECK(target.value() < targets_);
  const std::uint32_t bit = std::uint32_t{1} << target.value();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if ((entries_[i].mask & bit) != 0) return entries_[i].offset;
  }
  return next_;
}

Offset Ledger::mask_watermark(TargetMask mask) {
  if (asked_ != mask) asked_sequence_ = 0;
  asked_ = mask;
  asked_sequence_ = std::max(asked_sequence_, first_sequence_);
  std::size_t at = asked_sequence_ - first_sequence_;
  while (at < entries_.size() && (entries_[at].mask & mask) == 0) ++at;
  asked_sequence_ = first_sequence_ + at;
  return at == entries_.size() ? next_ : entries_[at].offset;
}

std::optional<WallTime> Ledger::oldest_unfinished() const {
  if (entries_.empty()) return std::nullopt;
  return entries_[0].time;
}

Offset Ledger::offset_of(std::uint64_t sequence) const {
  CHECK(sequence >= first_sequence_ && sequence - first_sequence_ < entries_.size());
  return entries_[sequence - first_sequence_].offset;
}

}  // namespace purgeline
