#include "freshness_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

sockaddr_in loopback(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const char* port = address.c_str() + (colon == std::string::npos ? 0 : colon + 1);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return in;
}

int nonblocking_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  CHECK(fd >= 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return fd;
}

}  // namespace

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_ >= 0);
}
Loop::~Loop() {
  ::close(epoll_);
}

void Loop::watch(int fd, Watcher& watcher) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.ptr = &watcher;
  CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Loop::at(Moment when, std::function<void()> work) {
  timers_.push({when, timers_set_++, std::move(work)});
}

void Loop::run_until(Moment end) {
  epoll_event events[256];
  for (Moment turn = now(); turn < end; turn = now()) {
    // What a timer sets for now runs in the next turn: descriptors get theirs in between.
    while (!timers_.empty() && timers_.top().when <= turn) {
      const std::function<void()> work = timers_.top().work;
      timers_.pop();
      work();
    }
    const Moment until = timers_.empty() ? end : std::min(end, timers_.top().when);
    const auto left = std::chrono::ceil<milliseconds>(until - now()).count();
    const int ready = ::epoll_wait(epoll_, events, 256, static_cast<int>(std::max(left, 0L)));
    CHECK(ready >= 0 || errno == EINTR);
    for (int i = 0; i < ready; ++i) static_cast<Watcher*>(events[i].data.ptr)->on_ready();
  }
}

int listen_on(const std::string& address) {
  const int fd = nonblocking_socket();
  const sockaddr_in in = loopback(address);
  CHECK(::bind(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in) == 0);
  CHECK(::listen(fd, 1024) == 0);
  return fd;
}

int connect_to(const std::string& address) {
  const int fd = nonblocking_socket();
  const sockaddr_in in = loopback(address);
  const int done = ::connect(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in);
  CHECK(done == 0 || errno == EINPROGRESS);
  return fd;
}

bool read_into(int fd, std::string& buffer) {
  char bytes[16384];
  for (;;) {
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got > 0) {
      buffer.append(bytes, static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      return got < 0 && errno == EAGAIN;
    }
  }
}

void write_from(int fd, std::string& bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put >= 0) {
      bytes.erase(0, static_cast<std::size_t>(put));
    } else if (errno != EINTR) {
      return;  // no room yet, or closed, which whoever reads learns
    }
  }
}

}  // namespace purgeline::bench
