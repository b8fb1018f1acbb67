#include "null_sink.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "purgeline/check.h"

namespace purgeline::bench {
namespace {

int listen_on_loopback(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&in), sizeof in) == 0 && ::listen(fd, 64) == 0);
  socklen_t size = sizeof in;
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&in), &size) == 0);
  port = ntohs(in.sin_port);
  return fd;
}

struct Peer {
  int sink{0};
  std::string rest;  // of a request that has not come whole
};

void note_age(std::string_view line, SinkCounts& counts) {
  const std::size_t at = line.find("/At_");
  if (at == std::string_view::npos) return;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const double due = std::strtod(line.data() + at + 4, nullptr) * 1e-9;
  const double age =
      static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - due;
  const auto step = static_cast<std::size_t>(std::max(0.0, age / SinkCounts::kAgeStep));
  volatile std::uint64_t& count = counts.ages[std::min(step, SinkCounts::kAges - 1)];
  count = count + 1;
}

// Counts the requests in `text` and returns how many bytes were whole ones.
std::size_t count(std::string_view text, SinkCounts& counts, std::unordered_set<std::size_t>& seen,
                  std::string& answers) {
  std::size_t used = 0;
  for (std::size_t end = 0; (end = text.find("\r\n\r\n", used)) != std::string_view::npos;) {
    const std::string_view line = text.substr(used, text.find('\r', used) - used);
    counts.requests = counts.requests + 1;
    if (line.find("purgeline-probe") == std::string_view::npos) {
      seen.insert(std::hash<std::string_view>{}(line));
      note_age(line, counts);
    }
    answers += "HTTP/1.1 204 Purged\r\n\r\n";
    used = end + 4;
  }
  counts.distinct = seen.size();
  return used;
}

[[noreturn]] void serve(const int (&listeners)[2], SinkCounts* counts) {
  const int epoll = ::epoll_create1(0);
  const auto watch = [epoll](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    CHECK(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  };
  for (const int listener : listeners) watch(listener);
  std::unordered_map<int, Peer> peers;
  std::unordered_set<std::size_t> seen[2];
  std::string buffer(1 << 18, '\0');
  std::string answers;
  for (;;) {
    epoll_event events[64];
    const int ready = ::epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listeners[0] || fd == listeners[1]) {
        const int peer = ::accept(fd, nullptr, nullptr);
        peers[peer].sink = fd == listeners[0] ? 0 : 1;
        watch(peer);
        continue;
      }
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        ::close(fd);
        peers.erase(fd);
        continue;
      }
      Peer& peer = peers[fd];
      peer.rest.append(buffer.data(), static_cast<std::size_t>(got));
      answers.clear();
      peer.rest.erase(0, count(peer.rest, counts[peer.sink], seen[peer.sink], answers));
      if (!answers.empty()) ::send(fd, answers.data(), answers.size(), MSG_NOSIGNAL);
    }
  }
}

}  // namespace

double SinkCounts::age(double share) const {
  std::uint64_t total = 0;
  for (const auto& count : ages) total += count;
  const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total));
  std::uint64_t passed = 0;
  std::size_t step = 0;
  while (step < kAges - 1 && (passed += ages[step]) < wanted) ++step;
  return static_cast<double>(step + 1) * kAgeStep;
}

NullSink start_null_sink() {
  NullSink sink{};
  void* memory = ::mmap(nullptr, 2 * sizeof(SinkCounts), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  sink.counts = static_cast<SinkCounts*>(memory);
  int listeners[2];
  for (int i = 0; i < 2; ++i) listeners[i] = listen_on_loopback(sink.ports[i]);
  sink.process = ::fork();
  CHECK(sink.process >= 0);
  if (sink.process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(listeners, sink.counts);
  }
  for (const int listener : listeners) ::close(listener);
  return sink;
}

}  // namespace purgeline::bench
