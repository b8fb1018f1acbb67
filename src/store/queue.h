// Queue<T>: a bounded queue between the shard and the store's writer thread.
//
// Place:  private to the store, one in each direction.
// Thread: any; one mutex, held only to move elements. Neither side ever works or waits for a disk
// under it. Bound:  `capacity` elements; push() answers false beyond it.
//
// A mutex and not a lock-free ring: dead letters and commits are a few per second, and the reader
// has to sleep with a time limit.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "purgeline/check.h"
#include "purgeline/types.h"

namespace purgeline {

template <class T>
class Queue {
 public:
  explicit Queue(std::size_t capacity) : capacity_(capacity) { CHECK(capacity > 0); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // False when full or closed. `keep_free`: places left to others, whose push must not fail.
  [[nodiscard]] bool push(T element, std::size_t keep_free = 0) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || elements_.size() + keep_free >= capacity_) return false;
      elements_.push_back(std::move(element));
    }
    arrived_.notify_one();
    return true;
  }

  // Moves everything to `out`, which has to be empty. Never waits for an element.
  void drain(std::vector<T>& out) {
    CHECK(out.empty());
    const std::lock_guard lock(mutex_);
    elements_.swap(out);
  }

  // As drain(), after waiting for an element, for close(), or for `limit`. False once closed: then
  // nothing will ever come again.
  [[nodiscard]] bool wait(std::vector<T>& out, std::optional<Duration> limit) {
    CHECK(out.empty());
    std::unique_lock lock(mutex_);
    const auto ready = [this] {
      return closed_ || !elements_.empty();
    };
    if (limit) {
      arrived_.wait_for(lock, *limit, ready);
    } else {
      arrived_.wait(lock, ready);
    }
    elements_.swap(out);
    return !closed_;
  }

  // Refuses further elements; those inside are still handed out.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    arrived_.notify_one();
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<T>
      elements_;  // the two vectors of swap() keep their storage: no allocation when warm
  bool closed_{false};
};

}  // namespace purgeline
