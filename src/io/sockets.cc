#include "io/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "purgeline/check.h"

namespace purgeline {

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<SocketAddress> socket_address(const Address& address) {
  SocketAddress result;
  switch (address.family) {
    case Address::Family::inet4: {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(address.port);
      std::memcpy(&in.sin_addr, address.ip.data(), 4);
      std::memcpy(&result.storage, &in, sizeof in);
      result.size = sizeof in;
      return result;
    }
    case Address::Family::inet6: {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(address.port);
      std::memcpy(&in.sin6_addr, address.ip.data(), 16);
      std::memcpy(&result.storage, &in, sizeof in);
      result.size = sizeof in;
      return result;
    }
    case Address::Family::local: {
      sockaddr_un un{};
      if (address.path.empty() || address.path.size() >= sizeof un.sun_path) {
        return failure(Errc::invalid,
                       "the path of a Unix socket has 1 to 107 bytes: " + address.path);
      }
      un.sun_family = AF_UNIX;
      std::memcpy(un.sun_path, address.path.data(), address.path.size());
      std::memcpy(&result.storage, &un, sizeof un);
      result.size = sizeof un;
      return result;
    }
    case Address::Family::none:
      break;
  }
  return failure(Errc::invalid, "no address");
}

Result<Fd> stream_socket(const Address& address, bool nonblocking) {
  const int family = address.family == Address::Family::inet4   ? AF_INET
                     : address.family == Address::Family::inet6 ? AF_INET6
                                                                : AF_UNIX;
  const int flags = SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
  Fd fd(::socket(family, flags, 0));
  if (!fd.valid()) return failure(socket_errc(errno), std::strerror(errno));
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Errc socket_errc(int error) {
  // No such socket file: nothing listens there.
  return error == ENOENT ? Errc::refused : errno_errc(error);
}

Fd make_eventfd() {
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  CHECK(fd.valid());
  return fd;
}

}  // namespace purgeline
