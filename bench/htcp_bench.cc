// How many HTCP packets a thread takes from a socket into the journal, and what one costs; beside
// a receiver that asks the kernel for one packet at a time, as purged and vhtcpd do.
//
// A sender keeps at most kAhead packets under way, so none may be lost: each way shows what it can
// take, not what it drops. Usage: htcp_bench FOLDER [PACKETS]
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "intake/htcp_intake.h"
#include "intake/htcp_socket.h"
#include "io/system_clock.h"
#include "purgeline/check.h"
#include "store/journal.h"
#include "unit/intake_htcp_packet.h"

namespace purgeline {
namespace {

constexpr std::size_t kAhead = 8192;
constexpr std::size_t kUrls = 10000;
constexpr std::size_t kBurst = 64;

// Answers at once: what is measured is the way to the journal.
class NoJournal final : public JournalWriter {
 public:
  bool takes_topic(const std::string& /*topic*/) override { return true; }
  [[nodiscard]] bool append(std::vector<Append> batch, Done done) override {
    done(std::vector<Offset>(batch.size(), Offset(0)));
    return true;
  }
  [[nodiscard]] std::string trouble() const override { return {}; }
};

// What the journal's thread hands to the intake's.
class Posted {
 public:
  HtcpIntake::Post post() {
    return [this](std::function<void()> work) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(work));
    };
  }
  void run() {
    std::vector<std::function<void()>> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(waiting_);
    }
    for (const auto& work : now) work();
  }

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> waiting_;
};

class Sender {
 public:
  explicit Sender(const sockaddr_in& to) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    CHECK(fd_ >= 0);
    CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    for (std::size_t url = 0; url < kUrls; ++url) {
      packets_.push_back(test::htcp_packet(
          "https://en.example.org/wiki/Page_" + std::to_string(url), static_cast<unsigned>(url)));
    }
  }
  ~Sender() { ::close(fd_); }

  void send(std::uint64_t packets, const std::atomic<std::uint64_t>& received) {
    std::array<iovec, kBurst> bytes{};
    std::array<mmsghdr, kBurst> messages{};
    for (std::uint64_t sent = 0; sent < packets;) {
      if (sent + kBurst > received.load(std::memory_order_relaxed) + kAhead) {
        std::this_thread::yield();
        continue;
      }
      for (std::size_t at = 0; at < kBurst; ++at) {
        std::string& packet = packets_[(sent + at) % kUrls];
        bytes[at] = {packet.data(), packet.size()};
        messages[at].msg_hdr.msg_iov = &bytes[at];
        messages[at].msg_hdr.msg_iovlen = 1;
      }
      const int done = ::sendmmsg(fd_, messages.data(), kBurst, 0);
      CHECK(done > 0);
      sent += static_cast<std::uint64_t>(done);
    }
  }

 private:
  int fd_;
  std::vector<std::string> packets_;
};

double cpu_seconds() {
  timespec now{};
  CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

sockaddr_in address_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return address;
}

// One packet of one call, and handed on at once.
std::size_t receive_one(int fd, HtcpIntake& intake) {
  std::array<char, 16384> buffer;
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &size);
  if (got < 0) return 0;
  static const IpAddress kLoopback = parse_ip("127.0.0.1").value();
  intake.on_packet(kLoopback, {buffer.data(), static_cast<std::size_t>(got)}, false);
  intake.flush();
  return 1;
}

std::size_t receive_batch(HtcpSocket& socket, HtcpIntake& intake) {
  const std::size_t got =
      socket.receive([&intake](const IpAddress& source, std::string_view datagram, bool cut) {
        intake.on_packet(source, datagram, cut);
      });
  intake.flush();
  return got;
}

void measure(const char* what, bool batched, JournalWriter& journal, std::uint64_t packets) {
  SystemClock clock;
  SystemRandom random;
  Posted posted;
  auto socket = HtcpSocket::open(Endpoint{"127.0.0.1:0", "127.0.0.1", 0, ""}, "", 16 << 20).value();
  HtcpIntake intake({}, journal, clock, random, posted.post());
  std::atomic<std::uint64_t> received{0};
  Sender sender(address_of(socket->fd()));
  const auto begun = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  std::thread sending([&] { sender.send(packets, received); });
  std::uint64_t taken = 0;
  while (taken < packets || intake.metrics().waiting > 0) {
    posted.run();
    const std::size_t got = !intake.has_room() ? 0
                            : batched          ? receive_batch(*socket, intake)
                                               : receive_one(socket->fd(), intake);
    taken += got;
    received.store(taken, std::memory_order_relaxed);
    if (got == 0) {
      pollfd ready{socket->fd(), POLLIN, 0};
      ::poll(&ready, 1, 1);
    }
  }
  const double spent = cpu_seconds() - cpu;
  const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - begun;
  sending.join();
  CHECK(socket->take_overflow() == 0);
  std::printf("%-44s %9.0f packets/s %8.0f ns of CPU each\n", what,
              static_cast<double>(packets) / lasted.count(),
              1e9 * spent / static_cast<double>(packets));
  std::fflush(stdout);
}

int run(const std::string& folder, std::uint64_t packets) {
  packets -= packets % kBurst;
  NoJournal none;
  for (int round = 0; round < 3; ++round) {
    measure("one packet a call, no journal", false, none, packets);
    measure("batches, no journal", true, none, packets);
  }
  const std::string path = folder + "/htcp-bench.db";
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
  SystemClock clock;
  auto journal = Journal::open(path, clock).value();
  journal->start();
  measure("batches, on disk in the journal", true, *journal, packets);
  return 0;
}

}  // namespace
}  // namespace purgeline

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: htcp_bench FOLDER [PACKETS]\n");
    return 2;
  }
  return purgeline::run(argv[1], argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000);
}
