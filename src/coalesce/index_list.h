// IndexList: a list through slots of a Pool, in the order in which they joined.
//
// Place:  deadlines of events, idle keys. Thread: the shard's. Bound: the pool's.
#pragma once

#include <cstdint>

#include "coalesce/pool.h"
#include "purgeline/check.h"

namespace purgeline {

// A slot's place in a list. Part of the slot, so that joining allocates nothing.
struct ListPlace {
  std::uint32_t before{kNone};
  std::uint32_t after{kNone};
};

template <class T, ListPlace T::*kPlace>
class IndexList {
 public:
  explicit IndexList(Pool<T>& pool) : pool_(pool) {}

  // kNone when there is none.
  [[nodiscard]] std::uint32_t first() const { return first_; }
  [[nodiscard]] std::uint32_t size() const { return size_; }

  // REQUIRES: not in the list.
  void push_back(std::uint32_t index) {
    place(index) = ListPlace{last_, kNone};
    (last_ == kNone ? first_ : place(last_).after) = index;
    last_ = index;
    ++size_;
  }
  // REQUIRES: in the list.
  void remove(std::uint32_t index) {
    CHECK(size_ > 0);
    const ListPlace at = place(index);
    (at.before == kNone ? first_ : place(at.before).after) = at.after;
    (at.after == kNone ? last_ : place(at.after).before) = at.before;
    place(index) = ListPlace{};
    --size_;
  }

 private:
  [[nodiscard]] ListPlace& place(std::uint32_t index) { return pool_[index].*kPlace; }

  Pool<T>& pool_;
  std::uint32_t first_{kNone};
  std::uint32_t last_{kNone};
  std::uint32_t size_{0};
};

}  // namespace purgeline
