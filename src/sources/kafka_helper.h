// KafkaHelper: the one thread on which librdkafka may block.
//
// Metadata, committed offsets, offsets for times, watermarks and the end of a client can block for
// their whole time-out and longer, so the shard hands them over as jobs and picks up their ends in
// poll().
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "purgeline/ring.h"
#include "sources/kafka_client.h"

namespace purgeline {

// Place: beside the Kafka source and offset store, which share it.
// Thread: all methods the shard's; jobs run on the helper's own thread, their ends on the shard's.
// Bound: `capacity` jobs that wait, run or have not been picked up yet.
//
// A mutex, unlike elsewhere: it is held for a push or a pop only, and the helper must be able to
// sleep.
class KafkaHelper {
 public:
  using End = std::function<void()>;
  using Job = std::function<End()>;

  // Writes 1 to `wake_fd` (an eventfd) whenever an end is ready.
  KafkaHelper(int wake_fd, std::size_t capacity);
  KafkaHelper(const KafkaHelper&) = delete;
  KafkaHelper& operator=(const KafkaHelper&) = delete;
  // Waits for the job that runs (bounded by its own time-out). Jobs that wait and ends are dropped;
  // the retired clients are ended.
  ~KafkaHelper();

  // False when full: the caller answers its own caller with "try again later".
  [[nodiscard]] bool submit(Job job);
  // Ends a client here, where it may block. Never refused: there are a handful of clients at most.
  void retire(std::unique_ptr<KafkaClient> client);
  // Runs the ends that are ready.
  void poll();

  [[nodiscard]] bool full() const { return outstanding_ >= capacity_; }

 private:
  void run();

  struct Item {
    Job job;
    std::unique_ptr<KafkaClient> retired;
  };
  void push(Item item);

  const int wake_fd_;
  const std::size_t capacity_;
  std::size_t outstanding_{0};  // the shard's own count: submitted, and not yet ended

  std::mutex mutex_;  // guards the four below
  std::condition_variable ready_;
  Ring<Item> jobs_;
  Ring<End> ends_;
  bool stopping_{false};

  std::thread thread_;
};

}  // namespace purgeline
