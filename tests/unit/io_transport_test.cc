// One suite on both transports, against peers on loopback in this process.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <thread>

#include "io/make_transport.h"
#include "io/sockets.h"
#include "io/system_clock.h"
#include "io/uring_transport.h"
#include "purgeline/eventfd.h"

namespace {

// What happens while a transport sleeps its tick; also how a test sees that it does.
std::function<void()>& during_tick() {
  static std::function<void()> what;
  return what;
}

}  // namespace

// Stands before the C library's: the tick is the only nanosleep() here, so no time has to pass.
extern "C" int nanosleep(const timespec*, timespec*) {
  if (during_tick()) during_tick()();
  return 0;
}

namespace purgeline {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

Address loopback(std::uint16_t port) {
  Address address;
  address.family = Address::Family::inet4;
  address.ip = {127, 0, 0, 1};
  address.port = port;
  return address;
}

// A listening socket and what it accepts, by plain blocking calls.
class Peer {
 public:
  Peer() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&in), sizeof in), 0);
    EXPECT_EQ(::listen(listener_.get(), 512), 0);
    socklen_t size = sizeof in;
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&in), &size), 0);
    address_ = loopback(ntohs(in.sin_port));
  }
  explicit Peer(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    address_.family = Address::Family::local;
    address_.path = path;
    const auto to = socket_address(address_);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&to->storage), to->size),
              0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
  }
  [[nodiscard]] const Address& address() const { return address_; }
  Fd accept() { return Fd(::accept(listener_.get(), nullptr, nullptr)); }

 private:
  Fd listener_;
  Address address_;
};

std::string read_exactly(int fd, std::size_t count) {
  std::string text(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const ssize_t got = ::read(fd, text.data() + have, count - have);
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

void write_all(int fd, const std::string& text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

struct Recorder : LinkHandler {
  void on_open() override { opened = true; }
  void on_bytes(std::span<const std::byte> bytes) override {
    EXPECT_FALSE(bytes.empty());
    received.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    ++batches;
    if (then) then();
  }
  void on_sent() override {
    ++sent;
    if (then_sent) then_sent();
  }
  void on_closed(Errc why) override {
    ++closed;
    error = why;
    if (then_closed) then_closed();
  }
  bool opened{false};
  std::string received;
  int batches{0};
  int sent{0};
  int closed{0};
  Errc error{Errc::internal};
  std::function<void()> then;
  std::function<void()> then_sent;
  std::function<void()> then_closed;
};

class TransportTest : public testing::TestWithParam<IoKind> {
 protected:
  void SetUp() override {
    auto made = make_transport(GetParam(), 512, clock_);
    ASSERT_TRUE(made.has_value()) << made.error().detail;
    EXPECT_EQ(made->backend, GetParam() == IoKind::uring ? "uring" : "epoll");
    transport_ = std::move(made->transport);
  }
  // Turns until the condition holds; the test's own time limit ends what never does.
  void until(const std::function<bool()>& condition) {
    while (!condition()) transport_->turn(clock_.now() + seconds(5), microseconds(0));
  }
  LinkId connect(const Address& address, Recorder& recorder) {
    const LinkId link = transport_->open(address, recorder);
    EXPECT_FALSE(recorder.opened);  // handlers run only inside turn()
    until([&recorder] { return recorder.opened || recorder.closed > 0; });
    return link;
  }
  static std::span<const std::byte> bytes(const std::string& text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
  }
  void close(LinkId link, Recorder& recorder) {
    transport_->close(link);
    until([&recorder] { return recorder.closed > 0; });
    EXPECT_EQ(recorder.closed, 1);
  }

  SystemClock clock_;
  std::unique_ptr<Transport> transport_;
};

TEST_P(TransportTest, SendsAndReceivesOverTcp) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  const Fd fd = peer.accept();
  const std::string text = "PURGE / HTTP/1.1\r\n\r\n";
  transport_->send(link, bytes(text));
  until([&recorder] { return recorder.sent == 1; });
  EXPECT_EQ(read_exactly(fd.get(), text.size()), text);
  write_all(fd.get(), "answer");
  until([&recorder] { return recorder.received == "answer"; });
  close(link, recorder);
  EXPECT_EQ(recorder.error, Errc::none);
  EXPECT_EQ(read_exactly(fd.get(), 1), "");  // the peer sees the end
}

TEST_P(TransportTest, SendsAndReceivesOverAUnixSocket) {
  char folder[] = "/tmp/purgeline-io-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/socket";
  {
    Peer peer(path);
    Recorder recorder;
    const LinkId link = connect(peer.address(), recorder);
    const Fd fd = peer.accept();
    const std::string text = "x";
    transport_->send(link, bytes(text));
    until([&recorder] { return recorder.sent == 1; });
    EXPECT_EQ(read_exactly(fd.get(), 1), "x");
    close(link, recorder);
  }
  ::unlink(path.c_str());
  ::rmdir(folder);
}

TEST_P(TransportTest, NothingListens) {
  Address address;
  {
    Peer peer;
    address = peer.address();
  }
  Recorder recorder;
  connect(address, recorder);
  EXPECT_EQ(recorder.closed, 1);
  EXPECT_EQ(recorder.error, Errc::refused);
  Address missing;
  missing.family = Address::Family::local;
  missing.path = "/nonexistent/purgeline";
  Recorder other;
  connect(missing, other);
  EXPECT_EQ(other.error, Errc::refused);
  missing.path = std::string(200, 'x');
  Recorder too_long;
  connect(missing, too_long);
  EXPECT_EQ(too_long.error, Errc::invalid);
}

TEST_P(TransportTest, ALargeSendToASlowReader) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  const Fd fd = peer.accept();
  std::string text(8 << 20, 'a');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
  transport_->send(link, bytes(text));
  for (int i = 0; i < 5; ++i) transport_->turn(clock_.now(), microseconds(0));
  EXPECT_EQ(recorder.sent, 0);
  std::string got;
  std::thread reader([&got, &fd, &text] { got = read_exactly(fd.get(), text.size()); });
  until([&recorder] { return recorder.sent == 1; });
  reader.join();
  EXPECT_TRUE(got == text);
  close(link, recorder);
}

TEST_P(TransportTest, ThePeerClosesInOrderOrResets) {
  Peer peer;
  for (const bool reset : {false, true}) {
    Recorder recorder;
    connect(peer.address(), recorder);
    {
      const Fd fd = peer.accept();
      if (reset) {
        const linger hard{1, 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      }
    }
    until([&recorder] { return recorder.closed > 0; });
    EXPECT_EQ(recorder.error, reset ? Errc::reset : Errc::closed);
  }
}

TEST_P(TransportTest, CloseWithASendAndAReceiveOutstanding) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  const Fd fd = peer.accept();
  const std::string text(8 << 20, 'a');
  transport_->send(link, bytes(text));
  transport_->turn(clock_.now(), microseconds(0));
  transport_->close(link);
  transport_->close(link);  // a second time is ignored
  EXPECT_EQ(recorder.closed, 0);
  until([&recorder] { return recorder.closed > 0; });
  EXPECT_EQ(recorder.error, Errc::none);
  EXPECT_EQ(recorder.sent, 0);
  transport_->close(link);  // and so is a stale one
}

TEST_P(TransportTest, CloseWhileConnecting) {
  Peer peer;
  Recorder recorder;
  transport_->close(transport_->open(peer.address(), recorder));
  until([&recorder] { return recorder.closed > 0; });
  EXPECT_FALSE(recorder.opened);
  EXPECT_EQ(recorder.closed, 1);
}

TEST_P(TransportTest, CloseFromWithinAHandler) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  recorder.then = [this, link] {
    transport_->close(link);
  };
  const Fd fd = peer.accept();
  write_all(fd.get(), "one");
  until([&recorder] { return recorder.closed > 0; });
  EXPECT_EQ(recorder.received, "one");
}

// A handler that closes, or opens what fails at once, still runs when it is told what came of it,
// unless that is told in a later turn.
TEST_P(TransportTest, WhatAHandlerEndsIsToldInALaterTurn) {
  Peer peer;
  Address missing;
  missing.family = Address::Family::local;
  missing.path = std::string(200, 'x');  // fails before the kernel is asked
  Recorder recorder;
  Recorder failing;
  Recorder again;
  const LinkId link = connect(peer.address(), recorder);
  int turn = 0;
  int ended_in = 0;
  int closed_in = 0;
  int failed_in = 0;
  recorder.then = [&] {
    transport_->close(link);
    transport_->open(missing, failing);
    ended_in = turn;
    EXPECT_EQ(recorder.closed + failing.closed, 0) << "within the handler's own stack";
  };
  recorder.then_closed = [&] {
    closed_in = turn;
  };
  failing.then_closed = [&] {
    failed_in = turn;
    transport_->open(missing, again);
  };
  again.then_closed = [&] {
    EXPECT_GT(turn, failed_in);
  };
  const Fd fd = peer.accept();
  write_all(fd.get(), "one");
  while (recorder.closed == 0 || again.closed == 0) {
    ++turn;
    transport_->turn(clock_.now() + seconds(5), microseconds(0));
  }
  EXPECT_GT(closed_in, ended_in);
  EXPECT_GT(failed_in, ended_in);
  EXPECT_EQ(recorder.closed + failing.closed + again.closed, 3);
}

TEST_P(TransportTest, WhatIsClosedWhileItIsToldAsSentIsToldInALaterTurn) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  int turn = 0;
  int sent_in = 0;
  int closed_in = 0;
  recorder.then_sent = [&] {
    sent_in = turn;
    transport_->close(link);
  };
  recorder.then_closed = [&] {
    closed_in = turn;
  };
  const std::string text = "x";
  transport_->send(link, bytes(text));
  while (recorder.closed == 0) {
    ++turn;
    transport_->turn(clock_.now() + seconds(5), microseconds(0));
  }
  EXPECT_GT(sent_in, 0);
  EXPECT_GT(closed_in, sent_in);
}

TEST_P(TransportTest, ASlotIsUsedAgainUnderANewName) {
  Peer peer;
  Recorder first;
  const LinkId one = connect(peer.address(), first);
  close(one, first);
  Recorder second;
  const LinkId two = connect(peer.address(), second);
  EXPECT_EQ(two.slot, one.slot);
  EXPECT_NE(two.generation, one.generation);
  transport_->close(one);  // stale: the new link is not touched
  static_cast<void>(peer.accept());
  const Fd fd = peer.accept();
  write_all(fd.get(), "still here");
  until([&second] { return second.received == "still here"; });
  close(two, second);
}

TEST_P(TransportTest, TwoHundredLinks) {
  Peer peer;
  std::vector<Recorder> recorders(200);
  std::vector<LinkId> links;
  std::vector<Fd> fds;
  for (Recorder& recorder : recorders) links.push_back(transport_->open(peer.address(), recorder));
  until([&recorders] {
    return std::all_of(recorders.begin(), recorders.end(), [](const auto& r) { return r.opened; });
  });
  for (std::size_t i = 0; i < recorders.size(); ++i) fds.push_back(peer.accept());
  for (const Fd& fd : fds) write_all(fd.get(), "hello");
  until([&recorders] {
    return std::all_of(recorders.begin(), recorders.end(),
                       [](const auto& r) { return r.received == "hello"; });
  });
  for (std::size_t i = 0; i < links.size(); ++i) transport_->close(links[i]);
  until([&recorders] {
    return std::all_of(recorders.begin(), recorders.end(),
                       [](const auto& r) { return r.closed == 1; });
  });
}

TEST_P(TransportTest, AnotherThreadEndsTheSleep) {
  std::thread waker([this] { write_eventfd(transport_->wake_fd()); });
  transport_->turn(MonoTime::max(), microseconds(0));  // hangs when the wake-up is lost
  waker.join();
  write_eventfd(transport_->wake_fd());  // and again: it is armed anew
  transport_->turn(MonoTime::max(), microseconds(0));
}

TEST_P(TransportTest, APastMomentDoesNotSleep) {
  for (int i = 0; i < 100; ++i) transport_->turn(clock_.now() - seconds(1), microseconds(0));
  for (int i = 0; i < 100; ++i) transport_->turn(MonoTime::min(), microseconds(500));
}

TEST_P(TransportTest, TheTimeOfAnAnswerIsNotTheTimeBeforeTheSleep) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  const Fd fd = peer.accept();
  clock_.refresh();
  SystemClock other;
  MonoTime wrote{};
  std::thread writer([&other, &wrote, &fd] {
    other.refresh();
    wrote = other.now();
    write_all(fd.get(), "x");
  });
  MonoTime seen{};
  recorder.then = [this, &seen] {
    seen = clock_.now();
  };
  until([&recorder] { return !recorder.received.empty(); });
  writer.join();
  EXPECT_GE(seen, wrote);
  close(link, recorder);
}

TEST_P(TransportTest, ATickCollectsWhatIsThere) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  const Fd fd = peer.accept();
  for (int i = 0; i < 10; ++i) write_all(fd.get(), "0123456789");
  while (recorder.received.size() < 100)
    transport_->turn(clock_.now() + seconds(5), microseconds(1000));
  EXPECT_LE(recorder.batches, 10);
  close(link, recorder);
}

TEST_P(TransportTest, ATickCollectsWhatComesDuringIt) {
  Peer peer;
  Recorder first;
  Recorder second;
  const LinkId one = connect(peer.address(), first);
  const Fd fd_one = peer.accept();
  const LinkId two = connect(peer.address(), second);
  const Fd fd_two = peer.accept();
  transport_->turn(clock_.now(), microseconds(0));  // both receives are asked for
  write_all(fd_one.get(), "early");
  int ticks = 0;
  during_tick() = [&ticks, &fd_two] {
    ++ticks;
    write_all(fd_two.get(), "late");
  };
  transport_->turn(MonoTime::max(), microseconds(500));
  during_tick() = nullptr;
  EXPECT_EQ(ticks, 1);
  EXPECT_EQ(first.received, "early");
  EXPECT_EQ(second.received, "late");  // in the same turn
  close(one, first);
  close(two, second);
}

TEST_P(TransportTest, ATickCollectsOneBatchFromAConnectionThatIsBusy) {
  Peer peer;
  Recorder recorder;
  const LinkId link = connect(peer.address(), recorder);
  const Fd fd = peer.accept();
  write_all(fd.get(), "before ");
  transport_->turn(MonoTime::max(), microseconds(0));
  write_all(fd.get(), "early ");  // there before the next turn begins
  during_tick() = [&fd] {
    write_all(fd.get(), "late");
  };
  transport_->turn(MonoTime::max(), microseconds(500));
  during_tick() = nullptr;
  EXPECT_EQ(recorder.received, "before early late");
  EXPECT_EQ(recorder.batches, 2);
  close(link, recorder);
}

INSTANTIATE_TEST_SUITE_P(Both, TransportTest, testing::Values(IoKind::uring, IoKind::epoll),
                         [](const auto& kind) {
                           return kind.param == IoKind::uring ? "uring" : "epoll";
                         });

TEST(Uring, OnlyWhatIsNeededIsAllowed) {
  SystemClock clock;
  auto transport = UringTransport::make(8, clock);
  ASSERT_TRUE(transport.has_value()) << transport.error().detail;
  EXPECT_EQ((*transport)->try_forbidden_operation(), -EACCES);
}

}  // namespace
}  // namespace purgeline
