#include "intake/htcp_socket.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "decode/htcp.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

// One more than is read: a datagram that fills it was longer than any that is taken.
constexpr std::size_t kRoom = kMaxHtcp + 1;
constexpr std::size_t kControl = CMSG_SPACE(sizeof(std::uint32_t));

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size{0};
};

// `interface`: of a group that is the interface's or the link's own; 0 for other addresses.
SocketAddress socket_address(const IpAddress& ip, std::uint16_t port, unsigned interface) {
  SocketAddress out;
  if (is_ipv4(ip)) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.data() + 12, 4);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, ip.data(), ip.size());
    in.sin6_scope_id = interface;
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  }
  return out;
}

std::pair<IpAddress, std::uint16_t> ip_of(const sockaddr_storage& storage) {
  IpAddress ip{};
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    ip[10] = ip[11] = 0xFF;
    std::memcpy(ip.data() + 12, &in.sin_addr, 4);
    return {ip, ntohs(in.sin_port)};
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &storage, sizeof in);
  std::memcpy(ip.data(), &in.sin6_addr, ip.size());
  return {ip, ntohs(in.sin6_port)};
}

bool set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

bool join(int fd, const IpAddress& group, unsigned interface) {
  if (!is_ipv4(group)) {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, group.data(), group.size());
    request.ipv6mr_interface = interface;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request) == 0;
  }
  ip_mreqn request{};
  std::memcpy(&request.imr_multiaddr, group.data() + 12, 4);
  request.imr_ifindex = static_cast<int>(interface);
  // Without it a group that another program of this host joined would be received too.
  return set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) &&
         setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) == 0;
}

tl::unexpected<Error> cannot(const std::string& what, const std::string& address, int error) {
  const Errc code = error == EADDRINUSE                         ? Errc::exists
                    : error == EACCES || error == EPERM         ? Errc::permission
                    : error == EADDRNOTAVAIL || error == ENODEV ? Errc::not_found
                                                                : Errc::internal;
  return failure(code, "cannot " + what + " " + address + ": " + std::strerror(error));
}

// Asks for a buffer beyond net.core.rmem_max where that is allowed, else for what is.
std::uint64_t ask_for_buffer(int fd, std::uint64_t buffer) {
  const int wanted = static_cast<int>(std::min<std::uint64_t>(buffer, 1U << 30));
  if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, wanted)) set(fd, SOL_SOCKET, SO_RCVBUF, wanted);
  int granted = 0;
  socklen_t size = sizeof granted;
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size);
  // The kernel doubles what was asked, for what it keeps around each packet.
  return static_cast<std::uint64_t>(granted) / 2;
}

}  // namespace

struct HtcpSocket::Batch {
  std::array<mmsghdr, kBatch> messages{};
  std::array<iovec, kBatch> pieces{};
  std::array<sockaddr_storage, kBatch> from{};
  std::array<std::array<char, kRoom>, kBatch> bytes{};
  struct alignas(cmsghdr) Control {
    std::array<char, kControl> bytes{};
  };
  std::array<Control, kBatch> control{};

  // The kernel writes the lengths, so they are set anew for each call.
  void prepare() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      pieces[i] = {bytes[i].data(), bytes[i].size()};
      msghdr& header = messages[i].msg_hdr;
      header = {};
      header.msg_name = &from[i];
      header.msg_namelen = sizeof from[i];
      header.msg_iov = &pieces[i];
      header.msg_iovlen = 1;
      header.msg_control = control[i].bytes.data();
      header.msg_controllen = control[i].bytes.size();
    }
  }

  static std::uint32_t dropped(msghdr& header, std::uint32_t before) {
    for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
      if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SO_RXQ_OVFL) continue;
      std::memcpy(&before, CMSG_DATA(at), sizeof before);
    }
    return before;
  }
};

HtcpSocket::HtcpSocket(int fd) : fd_(fd), batch_(std::make_unique<Batch>()) {}

HtcpSocket::~HtcpSocket() {
  close(fd_);
}

Result<std::unique_ptr<HtcpSocket>> HtcpSocket::open(const Endpoint& address,
                                                     const std::string& interface,
                                                     std::uint64_t buffer) {
  const auto ip = parse_ip(address.host);
  if (!ip) return failure(Errc::invalid, "cannot listen on " + address.text + ": not an address");
  const bool group = is_multicast(*ip);
  const unsigned index = interface.empty() ? 0 : if_nametoindex(interface.c_str());
  if (!interface.empty() && index == 0) {
    return failure(Errc::not_found, "cannot join " + address.text + ": no interface " + interface);
  }
  if (is_group_of_interface(*ip) && index == 0) {
    return failure(Errc::invalid,
                   "cannot join " + address.text + ": such a group needs intake.htcp.interface");
  }
  const SocketAddress local =
      socket_address(*ip, address.port, is_group_of_interface(*ip) ? index : 0);
  const int fd =
      socket(local.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0) return cannot("open a socket for", address.text, errno);
  // From here on the socket closes it.
  auto out = std::unique_ptr<HtcpSocket>(new HtcpSocket(fd));
  if (local.storage.ss_family == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  // Several programs of a host may listen to one group; an address of our own is ours alone.
  if (group) set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&local.storage), local.size) != 0) {
    return cannot("listen on", address.text, errno);
  }
  if (group && !join(fd, *ip, index)) return cannot("join", address.text, errno);
  if (!set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1)) {
    return cannot("count what is dropped on", address.text, errno);
  }
  out->granted_ = ask_for_buffer(fd, buffer);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  const std::string text = ip_text(*ip);
  out->address_ =
      (is_ipv4(*ip) ? text : "[" + text + "]") + ":" + std::to_string(ip_of(bound).second);
  return out;
}

std::size_t HtcpSocket::receive(const Sink& sink) {
  batch_->prepare();
  const int got = recvmmsg(fd_, batch_->messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (got <= 0) return 0;  // nothing there; an error of a UDP socket is about one packet
  const auto count = static_cast<std::size_t>(got);
  for (std::size_t i = 0; i < count; ++i) {
    mmsghdr& message = batch_->messages[i];
    const std::uint32_t dropped = Batch::dropped(message.msg_hdr, dropped_);
    overflow_ += static_cast<std::uint32_t>(dropped - dropped_);
    dropped_ = dropped;
    CHECK(message.msg_len <= kRoom);
    const bool cut = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
    sink(ip_of(batch_->from[i]).first, {batch_->bytes[i].data(), message.msg_len}, cut);
  }
  return count;
}

std::uint64_t HtcpSocket::take_overflow() {
  return std::exchange(overflow_, 0);
}

}  // namespace purgeline
