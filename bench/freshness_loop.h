// The event loop of freshness_bench: origin, editor, readers and purgers share one thread, so their
// moments are ordered and nothing is locked.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <vector>

namespace purgeline::bench {

using Moment = std::chrono::steady_clock::time_point;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using Micros = std::chrono::microseconds;

inline Moment now() {
  return std::chrono::steady_clock::now();
}

// Somebody who has a descriptor in the loop. It lives as long as the loop runs, and is told once
// when there is something to read or room to write again.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_ready() = 0;
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void watch(int fd, Watcher& watcher);
  void at(Moment when, std::function<void()> work);
  void run_until(Moment end);

 private:
  struct Timer {
    Moment when;
    std::uint64_t number;  // of two at one moment the one that was set first runs first
    std::function<void()> work;
    bool operator<(const Timer& other) const {
      return when != other.when ? when > other.when : number > other.number;
    }
  };

  int epoll_;
  std::uint64_t timers_set_{0};
  std::priority_queue<Timer> timers_;
};

// "host:port" on loopback, as a listener or a connection that may still be under way: nothing
// blocks.
int listen_on(const std::string& address);
int connect_to(const std::string& address);

// What is there, appended. False when the other side has closed.
bool read_into(int fd, std::string& buffer);

// Writes what there is room for and takes it off `bytes`.
void write_from(int fd, std::string& bytes);

}  // namespace purgeline::bench
