// A raw client: bytes out, bytes in, nothing parsed for it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace purgeline::test {

class RawClient {
 public:
  // "127.0.0.1:port", "[::1]:port" or "unix:/path".
  explicit RawClient(const std::string& address) {
    sockaddr_storage to{};
    socklen_t length = 0;
    if (address.starts_with("unix:")) {
      auto& un = reinterpret_cast<sockaddr_un&>(to);
      un.sun_family = AF_UNIX;
      std::strncpy(un.sun_path, address.c_str() + 5, sizeof un.sun_path - 1);
      length = sizeof un;
    } else {
      const auto colon = address.rfind(':');
      const auto port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
      if (address[0] == '[') {
        auto& in = reinterpret_cast<sockaddr_in6&>(to);
        in.sin6_family = AF_INET6;
        in.sin6_port = port;
        inet_pton(AF_INET6, address.substr(1, colon - 2).c_str(), &in.sin6_addr);
        length = sizeof in;
      } else {
        auto& in = reinterpret_cast<sockaddr_in&>(to);
        in.sin_family = AF_INET;
        in.sin_port = port;
        inet_pton(AF_INET, address.substr(0, colon).c_str(), &in.sin_addr);
        length = sizeof in;
      }
    }
    fd_ = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // A test that waits for ever says less than one that fails; no test relies on this time.
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&to), length) == 0;
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(const std::string& bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Until the other side closes.
  [[nodiscard]] std::string read_all() {
    while (read_some()) {
    }
    return std::exchange(seen_, {});
  }
  // Until `end` has been seen; what follows it is kept for the next call.
  [[nodiscard]] std::string read_until(const std::string& end) {
    std::size_t at = seen_.find(end);
    while (at == std::string::npos && read_some()) at = seen_.find(end);
    if (at == std::string::npos) {
      ADD_FAILURE() << "no " << end << " in " << seen_;
      return std::exchange(seen_, {});
    }
    const std::string out = seen_.substr(0, at + end.size());
    seen_.erase(0, at + end.size());
    return out;
  }

 private:
  bool read_some() {
    char buffer[4096];
    const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
    if (got < 0) ADD_FAILURE() << "recv: " << std::strerror(errno);
    if (got > 0) seen_.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  }

  int fd_{-1};
  bool connected_{false};
  std::string seen_;
};

}  // namespace purgeline::test
