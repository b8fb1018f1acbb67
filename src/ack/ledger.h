// Ledger: which offsets of one partition are finished on which target, and how far may be
// committed.
//
// Place:  last stage. The pipeline note()s each offset, settle()s it per target, and the Committer
// reads
//         the watermark.
// Thread: the shard's.
// Bound:  `capacity` offsets between the oldest unfinished one and the newest. When full() the
// pipeline
//         reads no more of this partition; that is all the back-pressure there is.
//
// A ring, not a set of offsets: offsets have holes (compaction, transactions) but arrival numbers
// do not, so indexing by arrival is exact and O(1). Each target has a watermark of its own; what
// may be committed is the lowest.
#pragma once

#include <cstdint>
#include <optional>

#include "purgeline/ring.h"
#include "purgeline/types.h"

namespace purgeline {

class Ledger {
 public:
  struct Watermark {
    Offset offset;                 // everything below is finished
    std::optional<WallTime> time;  // of the last finished event; empty before the first
  };

  // Reading starts at `first`: everything below counts as finished.
  Ledger(Offset first, std::uint32_t targets, std::size_t capacity);

  [[nodiscard]] bool full() const { return entries_.full(); }
  [[nodiscard]] std::size_t room() const { return entries_.capacity() - entries_.size(); }
  [[nodiscard]] std::size_t unfinished_span() const { return entries_.size(); }

  // The event at `offset`, of `time`, ends after the targets in `mask` (bit per TargetId) have
  // settled it; an empty mask: it is finished already. Offsets arrive in increasing order. Returns
  // its number.
  std::uint64_t note(Offset offset, std::uint32_t mask, WallTime time);
  // The lowest offset that may be noted next.
  [[nodiscard]] Offset next() const { return next_; }
  // What lies before `offset` and was not noted is not this ledger's any more. REQUIRES: offset >=
  // next().
  void skip_to(Offset offset);
  // One target is done. Each exactly once.
  void settle(std::uint64_t sequence, TargetId target);

  // Never moves backwards.
  [[nodiscard]] Watermark watermark() const { return watermark_; }
  [[nodiscard]] Offset target_watermark(TargetId target) const;
  // Everything below is done on all targets of the mask. It goes on from where it was asked last,
  // so asking for one mask again and again costs each event once.
  [[nodiscard]] Offset mask_watermark(TargetMask mask);
  // The time of the oldest unfinished event.
  [[nodiscard]] std::optional<WallTime> oldest_unfinished() const;
  // The offset of the event with this number, while it is in the ring.
  [[nodiscard]] Offset offset_of(std::uint64_t sequence) const;

 private:
  struct Entry {
    Offset offset;
    WallTime time{};
    std::uint32_t mask{0};
  };
  void advance();

  std::uint32_t targets_;
  Ring<Entry> entries_;
  std::uint64_t first_sequence_{0};  // of entries_[0]
  TargetMask asked_{0};              // by mask_watermark(), and
  std::uint64_t asked_sequence_{0};  // how far that is done
  Offset next_;                      // one past the last noted offset
  Watermark watermark_;
};

}  // namespace purgeline
