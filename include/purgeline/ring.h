// Ring<T>: the only queue. First in, first out, with a capacity from the configuration.
//
// Thread: not shared. Bound: `capacity`; push() on a full ring is our bug. Memory grows with use up
// to the capacity (doubling), so that a large bound costs nothing while it is idle.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "purgeline/check.h"

namespace purgeline {

template <class T>
class Ring {
 public:
  explicit Ring(std::size_t capacity) : capacity_(capacity) { CHECK(capacity > 0); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ == capacity_; }

  void push_back(T value) {
    CHECK(!full());
    if (size_ == slots_.size()) grow();
    slots_[index(size_)] = std::move(value);
    ++size_;
  }
  void push_front(T value) {
    CHECK(!full());
    if (size_ == slots_.size()) grow();
    head_ = head_ == 0 ? slots_.size() - 1 : head_ - 1;
    slots_[head_] = std::move(value);
    ++size_;
  }
  [[nodiscard]] T& front() {
    CHECK(size_ > 0);
    return slots_[head_];
  }
  [[nodiscard]] T& back() {
    CHECK(size_ > 0);
    return slots_[index(size_ - 1)];
  }
  [[nodiscard]] T& operator[](std::size_t at) {
    CHECK(at < size_);
    return slots_[index(at)];
  }
  [[nodiscard]] const T& operator[](std::size_t at) const {
    CHECK(at < size_);
    return slots_[index(at)];
  }
  T pop_front() {
    CHECK(size_ > 0);
    T value = std::move(slots_[head_]);
    slots_[head_] = T{};
    head_ = head_ + 1 == slots_.size() ? 0 : head_ + 1;
    --size_;
    return value;
  }
  void clear() {
    while (!empty()) static_cast<void>(pop_front());
  }
  // Gives unused memory back; for a ring that was long once and is short now.
  void shrink() {
    if (slots_.size() <= kKeep || size_ * 4 > slots_.size()) return;
    resize(std::max(kKeep, size_ * 2));
  }

 private:
  // Less is not worth giving back: a ring that empties in every turn would be made anew in each.
  static constexpr std::size_t kKeep = 4096;

  [[nodiscard]] std::size_t index(std::size_t at) const {
    const std::size_t i = head_ + at;
    return i >= slots_.size() ? i - slots_.size() : i;
  }
  void grow() { resize(std::min(capacity_, std::max<std::size_t>(8, slots_.size() * 2))); }
  void resize(std::size_t length) {
    std::vector<T> larger(std::min(capacity_, length));
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move(slots_[index(i)]);
    slots_ = std::move(larger);
    head_ = 0;
  }

  std::size_t capacity_;
  std::vector<T> slots_;
  std::size_t head_{0};
  std::size_t size_{0};
};

}  // namespace purgeline
