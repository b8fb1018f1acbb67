#include "sources/kafka_helper.h"

#include <cstdint>
#include <utility>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"

namespace purgeline {
namespace {

// Ends of clients come on top of the capacity; there are a handful of clients at most.
constexpr std::size_t kSpare = 64;

}  // namespace

KafkaHelper::KafkaHelper(int wake_fd, std::size_t capacity)
    : wake_fd_(wake_fd),
      capacity_(capacity),
      jobs_(capacity + kSpare),
      ends_(capacity + kSpare),
      thread_([this] { run(); }) {}

KafkaHelper::~KafkaHelper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  thread_.join();
}

bool KafkaHelper::submit(Job job) {
  CHECK(job != nullptr);
  if (full()) return false;
  push(Item{std::move(job), nullptr});
  return true;
}

void KafkaHelper::retire(std::unique_ptr<KafkaClient> client) {
  CHECK(client != nullptr);
  push(Item{nullptr, std::move(client)});
}

void KafkaHelper::push(Item item) {
  ++outstanding_;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(item));
  }
  ready_.notify_one();
}

void KafkaHelper::poll() {
  if (outstanding_ == 0) return;
  // One at a time and outside the lock: an end may submit the next job.
  for (;;) {
    End end;
    {
      const std::lock_guard lock(mutex_);
      if (ends_.empty()) return;
      end = ends_.pop_front();
    }
    CHECK(outstanding_ > 0);
    --outstanding_;
    if (end) end();
  }
}

void KafkaHelper::run() {
  for (;;) {
    Item item;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      item = jobs_.pop_front();
      stopping = stopping_;
    }
    item.retired.reset();
    if (stopping) continue;
    End end;
    if (item.job) end = item.job();
    {
      const std::lock_guard lock(mutex_);
      ends_.push_back(std::move(end));
    }
    write_eventfd(wake_fd_);
  }
}

}  // namespace purgeline
