// JournalQueue: what the journal's writer has been asked to do.
//
// Place:  private to the journal.
// Thread: any pushes; the writer waits. One mutex, held only to move elements.
// Bound:  so many events and bytes of appends, counted until release(): while they wait and while
// they are being written. Positions and trims are bounded by those who ask: they have credits.
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

struct JournalLoad {
  std::size_t events{0};
  std::size_t bytes{0};
};

template <class T>
class JournalQueue {
 public:
  explicit JournalQueue(JournalLoad bound) : bound_(bound) {}
  JournalQueue(const JournalQueue&) = delete;
  JournalQueue& operator=(const JournalQueue&) = delete;

  // False when full or closed.
  [[nodiscard]] bool push(T element, JournalLoad load) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || held_.events + load.events > bound_.events ||
          held_.bytes + load.bytes > bound_.bytes) {
        return false;
      }
      held_.events += load.events;
      held_.bytes += load.bytes;
      elements_.push_back(std::move(element));
    }
    arrived_.notify_one();
    return true;
  }

  void release(JournalLoad load) {
    const std::lock_guard lock(mutex_);
    CHECK(held_.events >= load.events && held_.bytes >= load.bytes);
    held_.events -= load.events;
    held_.bytes -= load.bytes;
  }

  // Moves everything to `out` after waiting for an element, close() or `limit`. False once closed.
  [[nodiscard]] bool wait(std::vector<T>& out, Duration limit) {
    CHECK(out.empty());
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, limit, [this] { return closed_ || !elements_.empty(); });
    elements_.swap(out);
    return !closed_;
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    arrived_.notify_one();
  }

  [[nodiscard]] JournalLoad held() const {
    const std::lock_guard lock(mutex_);
    return held_;
  }

 private:
  const JournalLoad bound_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<T> elements_;
  JournalLoad held_;
  bool closed_{false};
};

}  // namespace purgeline
