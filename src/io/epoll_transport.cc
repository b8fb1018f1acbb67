#include "io/epoll_transport.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "purgeline/check.h"
#include "purgeline/eventfd.h"

namespace purgeline {
namespace {

constexpr std::uint64_t kWake = UINT64_MAX;

std::uint64_t pack(LinkId id) {
  return (std::uint64_t{id.generation} << 32) | id.slot;
}
LinkId unpack(std::uint64_t data) {
  return {static_cast<std::uint32_t>(data), static_cast<std::uint32_t>(data >> 32)};
}

}  // namespace

EpollTransport::EpollTransport(std::size_t max_links, Clock& clock)
    : clock_(clock),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(make_eventfd()),
      links_(max_links),
      buffer_(kReceiveBuffer) {
  CHECK(epoll_.valid());
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWake;
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
}

EpollTransport::~EpollTransport() = default;

void EpollTransport::watch(LinkId id, Link& link, bool write) {
  if (link.watches_write == write) return;
  epoll_event event{};
  event.events =
      static_cast<std::uint32_t>(EPOLLIN) | (write ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
  event.data.u64 = pack(id);
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, link.fd.get(), &event) == 0);
  link.watches_write = write;
}

LinkId EpollTransport::open(const Address& address, LinkHandler& handler) {
  const LinkId id = links_.take();
  Link& link = *links_.find(id);
  link.handler = &handler;
  link.unsent = {};
  link.connecting = true;
  link.sending = link.watches_write = link.ended = false;
  const auto to = socket_address(address);
  auto fd = stream_socket(address, true);
  if (!to || !fd) {
    end(id, !to ? to.error().code : fd.error().code);
    return id;
  }
  link.fd = std::move(*fd);
  const int result =
      ::connect(link.fd.get(), reinterpret_cast<const sockaddr*>(&to->storage), to->size);
  if (result != 0 && errno != EINPROGRESS) {
    end(id, socket_errc(errno));
    return id;
  }
  epoll_event event{};
  event.events = static_cast<std::uint32_t>(EPOLLOUT) | static_cast<std::uint32_t>(EPOLLIN);
  event.data.u64 = pack(id);
  link.watches_write = true;
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, link.fd.get(), &event) == 0);
  return id;
}

void EpollTransport::send(LinkId id, std::span<const std::byte> bytes) {
  Link* link = links_.find(id);
  CHECK(link != nullptr && !bytes.empty());
  if (link->ended) return;  // on_closed gives the span back
  CHECK(!link->connecting && !link->sending);
  link->sending = true;
  link->unsent = bytes;
  write_some(id, *link);
}

void EpollTransport::write_some(LinkId id, Link& link) {
  while (!link.unsent.empty()) {
    const ssize_t count =
        ::send(link.fd.get(), link.unsent.data(), link.unsent.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      watch(id, link, true);
      return;
    }
    if (count < 0) {
      end(id, socket_errc(errno));
      return;
    }
    link.unsent = link.unsent.subspan(static_cast<std::size_t>(count));
  }
  watch(id, link, false);
  sent_.push_back(id);
}

void EpollTransport::close(LinkId id) {
  if (links_.find(id) != nullptr) end(id, Errc::none);
}

// Noted, and told at the end of the next turn.
void EpollTransport::end(LinkId id, Errc why) {
  Link* link = links_.find(id);
  CHECK(link != nullptr);
  if (link->ended) return;
  link->ended = true;
  if (link->fd.valid()) ::shutdown(link->fd.get(), SHUT_RDWR);
  link->fd.reset();  // also leaves the epoll set
  ended_.push_back({id, why});
}

void EpollTransport::tell_ended() {
  telling_sent_.swap(sent_);
  for (const LinkId id : telling_sent_) {
    Link* link = links_.find(id);
    if (link == nullptr || link->ended) continue;
    link->sending = false;
    link->handler->on_sent();
  }
  telling_sent_.clear();
  for (const Ended& ended : telling_) {
    LinkHandler* handler = links_.find(ended.id)->handler;
    links_.give(ended.id);
    handler->on_closed(ended.why);
  }
  telling_.clear();
}

void EpollTransport::on_writable(LinkId id) {
  Link* link = links_.find(id);
  if (link == nullptr || link->ended) return;
  if (!link->connecting) {
    if (link->sending) write_some(id, *link);
    return;
  }
  int error = 0;
  socklen_t size = sizeof error;
  CHECK(::getsockopt(link->fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0);
  if (error != 0) {
    end(id, socket_errc(error));
    return;
  }
  link->connecting = false;
  watch(id, *link, false);
  link->handler->on_open();
}

void EpollTransport::on_readable(LinkId id) {
  Link* link = links_.find(id);
  if (link == nullptr || link->ended || link->connecting) return;
  const ssize_t count = ::recv(link->fd.get(), buffer_.data(), buffer_.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    end(id, count == 0 ? Errc::closed : socket_errc(errno));
    return;
  }
  link->handler->on_bytes({buffer_.data(), static_cast<std::size_t>(count)});
}

int EpollTransport::timeout_ms(MonoTime until) const {
  if (until <= clock_.now()) return 0;
  if (until == MonoTime::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.now()).count();
  return static_cast<int>(std::min<std::int64_t>(left, 60'000));
}

// Waits and runs what is there. Returns how many sockets had something.
int EpollTransport::wait(int timeout_ms) {
  std::array<epoll_event, 256> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
  CHECK(count >= 0 || errno == EINTR);
  if (count <= 0) return count;
  clock_.refresh();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kWake) {
      drain_eventfd(wake_.get());
      continue;
    }
    const LinkId id = unpack(event.data.u64);
    if ((event.events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) on_writable(id);
    if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) on_readable(id);
  }
  return count;
}

void EpollTransport::turn(MonoTime until, std::chrono::microseconds tick) {
  // What ends from here on is told in the next turn: a handler of this one may have ended it.
  telling_.swap(ended_);
  const bool told = !telling_.empty() || !sent_.empty();  // then it does not wait for more
  clock_.refresh();
  if (tick.count() > 0 && telling_.empty() && until > clock_.now()) {
    const Duration left = std::min<Duration>(until - clock_.now(), tick);
    const timespec pause{0, static_cast<long>(left.count())};
    ::nanosleep(&pause, nullptr);
    if (wait(0) > 0 || told) until = MonoTime::min();
    clock_.refresh();
    if (until > clock_.now()) wait(timeout_ms(until));
  } else {
    wait(told ? 0 : timeout_ms(until));
  }
  tell_ended();
}

}  // namespace purgeline
