// DelayLine: deliveries that wait for a moment, earliest first.
//
// Place:  in front of a target's ready queue: the coalescing window, retries, and later fences.
// Thread: the shard's.
// Bound:  `capacity` entries; an entry leaves only when its moment has come.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "purgeline/check.h"
#include "purgeline/types.h"

namespace purgeline {

class DelayLine {
 public:
  explicit DelayLine(std::size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  [[nodiscard]] std::optional<MonoTime> next_due() const {
    if (heap_.empty()) return std::nullopt;
    return heap_.front().due;
  }
  void push(MonoTime due, std::uint32_t slot) {
    CHECK(heap_.size() < capacity_);
    heap_.push_back({due, sequence_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), Later{});
  }
  // The earliest entry whose moment has come.
  std::optional<std::uint32_t> pop(MonoTime now) {
    if (heap_.empty() || heap_.front().due > now) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), Later{});
    const std::uint32_t slot = heap_.back().slot;
    heap_.pop_back();
    return slot;
  }

 private:
  struct Entry {
    MonoTime due;
    std::uint64_t sequence;  // equal moments leave in the order in which they came
    std::uint32_t slot;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.due != b.due ? a.due > b.due : a.sequence > b.sequence;
    }
  };
  std::size_t capacity_;
  std::uint64_t sequence_{0};
  std::vector<Entry> heap_;
};

}  // namespace purgeline
