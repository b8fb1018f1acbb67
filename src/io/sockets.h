// What both transports do with sockets by plain system calls.
#pragma once

#include <sys/socket.h>

#include <utility>

#include "purgeline/result.h"
#include "purgeline/transport.h"

namespace purgeline {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_{-1};
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size{0};
};

// A path too long for a Unix socket gives Errc::invalid.
[[nodiscard]] Result<SocketAddress> socket_address(const Address& address);
// A stream socket for the family, close-on-exec, without Nagle's delay. By system call, never by
// the ring: the ring's own way would walk around the sandbox's address families.
[[nodiscard]] Result<Fd> stream_socket(const Address& address, bool nonblocking);

// The errno of a connect, send or receive, in our words.
[[nodiscard]] Errc socket_errc(int error);

[[nodiscard]] Fd make_eventfd();

}  // namespace purgeline
