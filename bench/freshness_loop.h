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

// Somebody who has a descriptor in the loop. It lives as long as the loop runs.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_readable() = 0;
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

// "host:port" or "port" on loopback, as a listener or a connection; without blocking from then on.
int listen_on(const std::string& address);
int connect_to(const std::string& address);

// What is there, appended. False when the other side has closed.
bool read_into(int fd, std::string& buffer);
void write_all(int fd, const std::string& bytes);

}  // namespace purgeline::bench
