#include "control/supervisor.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace purgeline {

namespace {

std::optional<std::int64_t> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace

Supervisor::Supervisor(const char* notify_socket, const char* watchdog_usec,
                       const char* watchdog_pid) {
  if (notify_socket != nullptr) socket_ = notify_socket;
  const auto interval = number(watchdog_usec);
  const auto pid = number(watchdog_pid);
  const bool ours = !pid || *pid == getpid();
  if (interval && *interval > 0 && ours) watchdog_ = std::chrono::microseconds(*interval);
}

Supervisor Supervisor::from_environment() {
  return {std::getenv("NOTIFY_SOCKET"), std::getenv("WATCHDOG_USEC"), std::getenv("WATCHDOG_PID")};
}

bool Supervisor::notify(std::string_view state) const {
  sockaddr_un address{};
  // A path, or a name in the abstract space written with an @. Anything else is not ours to send
  // to.
  if (socket_.size() < 2 || socket_.size() >= sizeof address.sun_path) return false;
  if (socket_[0] != '/' && socket_[0] != '@') return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const auto sent = sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&address), length);
  close(fd);
  return sent == static_cast<ssize_t>(state.size());
}

}  // namespace purgeline
