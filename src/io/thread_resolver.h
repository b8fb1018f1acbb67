// ThreadResolver: getaddrinfo() on a thread of its own, because it can block for as long as it
// likes.
//
// Place:  behind the Resolver seam. Thread: all calls from the shard; the lookups on the helper.
// Bound:  one question per handler; a handler is a target, so as many as there are targets.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "purgeline/resolver.h"

namespace purgeline {

class ThreadResolver : public Resolver {
 public:
  // `wake_fd`: the eventfd of the shard's transport; written when poll() has something.
  explicit ThreadResolver(int wake_fd);
  ~ThreadResolver() override;
  ThreadResolver(const ThreadResolver&) = delete;
  ThreadResolver& operator=(const ThreadResolver&) = delete;

  void resolve(std::string host, std::uint16_t port, ResolveHandler& handler) override;
  void cancel(ResolveHandler& handler) override;
  void poll() override;

 private:
  struct Question {
    std::uint64_t number;
    std::string host;
    std::uint16_t port;
  };
  struct Answer {
    std::uint64_t number;
    Result<std::vector<Address>> addresses;
  };
  struct Asked {
    std::uint64_t number;
    ResolveHandler* handler;
  };
  void run();

  int wake_fd_;
  std::uint64_t next_{1};
  std::vector<Asked> asked_;  // the shard's
  std::mutex mutex_;          // guards what follows
  std::condition_variable more_;
  std::deque<Question> questions_;
  std::deque<Answer> answers_;
  bool stop_{false};
  std::thread thread_;
};

}  // namespace purgeline
