// The HTCP socket on loopback: batches, both versions, groups, and what the kernel drops.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "intake/htcp_socket.h"
#include "unit/intake_htcp_packet.h"

namespace purgeline {
namespace {

using test::htcp_packet;
using testing::HasSubstr;

Endpoint endpoint(const std::string& host, std::uint16_t port = 0) {
  const bool six = host.find(':') != std::string::npos;
  return {(six ? "[" + host + "]" : host) + ":" + std::to_string(port), host, port, ""};
}

std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

// Sends to an address; multicast leaves by loopback.
class SendingSocket {
 public:
  SendingSocket(const std::string& host, std::uint16_t port) {
    const bool six = host.find(':') != std::string::npos;
    fd_ = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage to{};
    socklen_t size = sizeof(sockaddr_in);
    if (six) {
      auto& in = reinterpret_cast<sockaddr_in6&>(to);
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port);
      inet_pton(AF_INET6, host.c_str(), &in.sin6_addr);
      size = sizeof in;
    } else {
      auto& in = reinterpret_cast<sockaddr_in&>(to);
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      inet_pton(AF_INET, host.c_str(), &in.sin_addr);
      ip_mreqn loopback{};
      loopback.imr_ifindex = static_cast<int>(if_nametoindex("lo"));
      setsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback);
    }
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), size), 0) << std::strerror(errno);
  }
  ~SendingSocket() { close(fd_); }
  SendingSocket(const SendingSocket&) = delete;
  SendingSocket& operator=(const SendingSocket&) = delete;
  void send(const std::string& bytes) const {
    EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }

 private:
  int fd_{-1};
};

bool readable(int fd) {
  pollfd wanted{fd, POLLIN, 0};
  return poll(&wanted, 1, 20000) == 1;
}

struct Received {
  IpAddress source{};
  std::string bytes;
  bool cut{false};
};

std::vector<Received> receive(HtcpSocket& socket, std::size_t count) {
  std::vector<Received> out;
  while (out.size() < count && readable(socket.fd())) {
    socket.receive([&out](const IpAddress& source, std::string_view datagram, bool cut) {
      out.push_back({source, std::string(datagram), cut});
    });
  }
  return out;
}

TEST(HtcpSocket, ReceivesOnBothVersions) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    SCOPED_TRACE(host);
    auto socket = HtcpSocket::open(endpoint(host), "", 1 << 20);
    ASSERT_TRUE(socket) << socket.error().detail;
    const SendingSocket sender(host, port_of((*socket)->address()));
    for (std::uint32_t i = 0; i < 150; ++i) sender.send(htcp_packet("http://h/", i));
    const auto received = receive(**socket, 150);
    ASSERT_EQ(received.size(), 150U);
    for (std::uint32_t i = 0; i < 150; ++i) {
      EXPECT_EQ(received[i].bytes, htcp_packet("http://h/", i));
      EXPECT_EQ(received[i].source, *parse_ip(host));
      EXPECT_FALSE(received[i].cut);
    }
    EXPECT_EQ((*socket)->take_overflow(), 0U);
  }
}

TEST(HtcpSocket, ADatagramThatDoesNotFitIsCut) {
  auto socket = HtcpSocket::open(endpoint("127.0.0.1"), "", 1 << 20);
  ASSERT_TRUE(socket);
  const SendingSocket sender("127.0.0.1", port_of((*socket)->address()));
  sender.send(std::string(8705, 'x'));
  sender.send(std::string(8706, 'x'));
  const auto received = receive(**socket, 2);
  ASSERT_EQ(received.size(), 2U);
  EXPECT_FALSE(received[0].cut);
  EXPECT_EQ(received[0].bytes.size(), 8705U);
  EXPECT_TRUE(received[1].cut);
}

TEST(HtcpSocket, AGroupReceivesWhatIsSentToIt) {
  auto group = HtcpSocket::open(endpoint("239.255.48.27"), "lo", 1 << 20);
  ASSERT_TRUE(group) << group.error().detail;
  const std::uint16_t port = port_of((*group)->address());
  const SendingSocket to_host("127.0.0.1", port);
  to_host.send(htcp_packet("http://h/not-for-the-group", 1));
  const SendingSocket other("239.255.48.28", port);
  other.send(htcp_packet("http://h/another-group", 1));
  const SendingSocket sender("239.255.48.27", port);
  sender.send(htcp_packet("http://h/", 2));
  const auto received = receive(**group, 1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].bytes, htcp_packet("http://h/", 2));
}

TEST(HtcpSocket, AGroupOfALinkIsJoinedOnItsInterface) {
  auto group = HtcpSocket::open(endpoint("ff02::4827"), "lo", 1 << 20);
  ASSERT_TRUE(group) << group.error().detail;
  std::ifstream file("/proc/net/igmp6");
  std::string number, interface, joined, line;
  bool found = false;
  while (file >> number >> interface >> joined && std::getline(file, line)) {
    found = found || (interface == "lo" && joined == "ff020000000000000000000000004827");
  }
  EXPECT_TRUE(found);
  const auto nowhere = HtcpSocket::open(endpoint("ff02::4827"), "", 1 << 20);
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().detail, HasSubstr("needs intake.htcp.interface"));
}

TEST(HtcpSocket, SaysWhyNot) {
  auto first = HtcpSocket::open(endpoint("127.0.0.1"), "", 1 << 20);
  ASSERT_TRUE(first);
  const auto second =
      HtcpSocket::open(endpoint("127.0.0.1", port_of((*first)->address())), "", 1 << 20);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::exists);
  EXPECT_THAT(second.error().detail, HasSubstr("127.0.0.1:"));
  EXPECT_FALSE(HtcpSocket::open(endpoint("localhost"), "", 1 << 20));
  const auto interface = HtcpSocket::open(endpoint("239.255.48.27"), "nosuch0", 1 << 20);
  ASSERT_FALSE(interface);
  EXPECT_THAT(interface.error().detail, HasSubstr("no interface nosuch0"));
}

// What the child has seen, over a pipe.
struct Report {
  std::uint64_t received{0};
  std::uint64_t overflowed{0};
};

[[noreturn]] void run_receiver(HtcpSocket& socket, int out) {
  Report report;
  // The kernel's count comes with each of the last ones: it must not be added up.
  int ends = 0;
  while (ends < 3 && readable(socket.fd())) {
    socket.receive([&](const IpAddress&, std::string_view datagram, bool) {
      ++report.received;
      ends += datagram == "end" ? 1 : 0;
    });
    report.overflowed += socket.take_overflow();
  }
  const bool written = write(out, &report, sizeof report) == static_cast<ssize_t>(sizeof report);
  _exit(written && ends >= 3 ? 0 : 1);
}

// The receiver is stopped while more is sent than the kernel's buffer holds: what it then gets, and
// what the kernel says it dropped, are together what was sent.
TEST(HtcpSocket, ReceivedAndOverflowedAreWhatWasSent) {
  auto socket = HtcpSocket::open(endpoint("127.0.0.1"), "", 64 << 10);
  ASSERT_TRUE(socket);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) run_receiver(**socket, ends[1]);
  close(ends[1]);
  const SendingSocket sender("127.0.0.1", port_of((*socket)->address()));
  kill(child, SIGSTOP);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  std::uint64_t sent = 0;
  for (std::uint32_t i = 0; i < 5000; ++i, ++sent) sender.send(htcp_packet("http://h/page", i));
  kill(child, SIGCONT);
  // The count of what was dropped comes with the next packet that is kept, and that one may be
  // dropped too as long as the buffer is full: so until the receiver has seen the last one.
  pollfd answered{ends[0], POLLIN, 0};
  do {
    sender.send("end");
    ++sent;
  } while (poll(&answered, 1, 10) == 0 && sent < 50000);
  Report report;
  EXPECT_EQ(read(ends[0], &report, sizeof report), static_cast<ssize_t>(sizeof report));
  close(ends[0]);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  // What was sent after the one that ended the receiver is still in the socket.
  std::uint64_t left = 0;
  while (const std::size_t got =
             (*socket)->receive([](const IpAddress&, std::string_view, bool) {})) {
    left += got;
  }
  const std::uint64_t dropped_in_all = std::max((*socket)->take_overflow(), report.overflowed);
  EXPECT_GT(report.overflowed, 0U);
  EXPECT_GT(report.received, 1U);
  EXPECT_EQ(report.received + left + dropped_in_all, sent);
  RecordProperty("sent", std::to_string(sent));
  RecordProperty("overflowed", std::to_string(dropped_in_all));
}

}  // namespace
}  // namespace purgeline
