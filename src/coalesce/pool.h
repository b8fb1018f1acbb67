// Pool<T>: numbered slots that are used again, in chunks that are made when first needed.
//
// Place:  under the coalescer's tables, which refer to each other by number instead of by pointer:
// half
//         the size, and a number can be checked.
// Thread: the shard's.
// Bound:  `capacity` slots. A chunk once made is kept: the next burst finds it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "purgeline/check.h"

namespace purgeline {

inline constexpr std::uint32_t kNone = UINT32_MAX;

template <class T>
class Pool {
 public:
  explicit Pool(std::uint32_t capacity) : capacity_(capacity) { CHECK(capacity < kNone); }

  [[nodiscard]] std::uint32_t used() const { return used_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint32_t room() const { return capacity_ - used_; }

  // The slot comes as its last user left it; REQUIRES: room() > 0.
  std::uint32_t take() {
    CHECK(used_ < capacity_);
    ++used_;
    if (!free_.empty()) {
      const std::uint32_t index = free_.back();
      free_.pop_back();
      return index;
    }
    if (made_ == chunks_.size() * kChunk) {
      chunks_.push_back(std::make_unique<T[]>(kChunk));
      free_.reserve(chunks_.size() * kChunk);
    }
    return made_++;
  }
  void give(std::uint32_t index) {
    CHECK(index < made_ && used_ > 0);
    --used_;
    free_.push_back(index);
  }
  [[nodiscard]] T& operator[](std::uint32_t index) {
    CHECK(index < made_);
    return chunks_[index / kChunk][index % kChunk];
  }
  [[nodiscard]] const T& operator[](std::uint32_t index) const {
    CHECK(index < made_);
    return chunks_[index / kChunk][index % kChunk];
  }
  // Whether the slot was ever handed out: for numbers that come from outside the stage.
  [[nodiscard]] bool made(std::uint32_t index) const { return index < made_; }

 private:
  static constexpr std::uint32_t kChunk =
      1024;  // large enough to be rare, small for an idle process

  std::uint32_t capacity_;
  std::uint32_t used_{0};
  std::uint32_t made_{0};
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<std::uint32_t> free_;
};

}  // namespace purgeline
