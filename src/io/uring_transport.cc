#include "io/uring_transport.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "io/uring_refusal.h"
#include "purgeline/check.h"

namespace purgeline {
namespace {

constexpr std::uint64_t kWake = UINT64_MAX;
constexpr std::uint64_t kIgnored = UINT64_MAX - 1;
constexpr std::uint64_t kForbidden = UINT64_MAX - 2;

// Debian's liburing.so does not export the wrappers for these two, so they are called directly.
int ring_register(int fd, unsigned what, const void* argument, unsigned count) {
  const long result = ::syscall(__NR_io_uring_register, fd, what, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace

std::uint64_t UringTransport::pack(LinkId id, Op op) {
  CHECK(id.slot < (1U << 22));
  return (std::uint64_t{id.generation} << 24) | (std::uint64_t{id.slot} << 2) |
         static_cast<std::uint64_t>(op);
}

UringTransport::UringTransport(std::size_t max_links, Clock& clock)
    : clock_(clock),
      // Blocking: the ring waits for it, and a ring's read of a non-blocking file gives up at once.
      wake_(::eventfd(0, EFD_CLOEXEC)),
      max_links_(max_links),
      links_(max_links) {
  CHECK(wake_.valid());
}

Result<std::unique_ptr<UringTransport>> UringTransport::make(std::size_t max_links, Clock& clock) {
  auto transport = std::make_unique<UringTransport>(max_links, clock);
  if (Status status = transport->set_up(); !status) return tl::unexpected(status.error());
  return transport;
}

Status UringTransport::set_up() {
  io_uring_params parameters{};
  const unsigned entries = 512;  // a full queue is submitted early, nothing is lost
  int result = 0;
  // Older kernels know fewer flags; each step down costs speed and nothing else.
  for (const unsigned flags : {unsigned{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
                               unsigned{IORING_SETUP_SINGLE_ISSUER}, 0U}) {
    std::memset(&parameters, 0, sizeof parameters);
    parameters.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
    parameters.cq_entries = static_cast<unsigned>(std::max<std::size_t>(1024, 4 * max_links_));
    result = io_uring_queue_init_params(entries, &ring_, &parameters);
    if (result != -EINVAL) break;
  }
  if (result < 0) return failure(Errc::unsupported, uring_refusal(-result));
  made_ = true;
  if ((parameters.features & IORING_FEAT_EXT_ARG) == 0) {
    return failure(Errc::unsupported, "io_uring of this kernel cannot wait with a time limit");
  }
  if (Status status = restrict_and_enable(); !status) return status;
  ask_wake();
  return {};
}

Status UringTransport::restrict_and_enable() {
  constexpr std::array<std::uint8_t, 5> allowed{IORING_OP_SEND, IORING_OP_RECV, IORING_OP_CONNECT,
                                                IORING_OP_ASYNC_CANCEL, IORING_OP_READ};
  std::array<io_uring_restriction, allowed.size()> restrictions{};
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
    restrictions[i].sqe_op = allowed[i];
  }
  int result = ring_register(ring_.ring_fd, IORING_REGISTER_RESTRICTIONS, restrictions.data(),
                             restrictions.size());
  if (result == 0) result = ring_register(ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (result < 0) {
    return failure(Errc::unsupported,
                   std::string("the ring's restrictions were refused: ") + std::strerror(-result));
  }
  return {};
}

UringTransport::~UringTransport() {
  if (made_) io_uring_queue_exit(&ring_);
}

io_uring_sqe& UringTransport::entry() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    submit();
    sqe = io_uring_get_sqe(&ring_);
  }
  return *sqe;
}

void UringTransport::submit() {
  const int result = io_uring_submit(&ring_);
  CHECK(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
}

void UringTransport::ask_wake() {
  io_uring_sqe& sqe = entry();
  io_uring_prep_read(&sqe, wake_.get(), &wake_count_, sizeof wake_count_, 0);
  io_uring_sqe_set_data64(&sqe, kWake);
}

LinkId UringTransport::open(const Address& address, LinkHandler& handler) {
  const LinkId id = links_.take();
  Link& link = *links_.find(id);
  CHECK(link.quiet());
  link.handler = &handler;
  link.unsent = {};
  link.ending = link.listed = false;
  const auto to = socket_address(address);
  auto fd = stream_socket(address, false);
  if (!to || !fd) {
    end(id, link, !to ? to.error().code : fd.error().code);
    return id;
  }
  link.fd = std::move(*fd);
  link.to = *to;
  link.connecting = true;
  io_uring_sqe& sqe = entry();
  io_uring_prep_connect(&sqe, link.fd.get(), reinterpret_cast<sockaddr*>(&link.to.storage),
                        link.to.size);
  io_uring_sqe_set_data64(&sqe, pack(id, Op::connect));
  return id;
}

void UringTransport::ask_receive(LinkId id, Link& link) {
  CHECK(!link.receiving && !link.ending);
  if (!link.buffer) link.buffer = std::make_unique_for_overwrite<std::byte[]>(kReceiveBuffer);
  link.receiving = true;
  io_uring_sqe& sqe = entry();
  io_uring_prep_recv(&sqe, link.fd.get(), link.buffer.get(), kReceiveBuffer, 0);
  io_uring_sqe_set_data64(&sqe, pack(id, Op::receive));
}

void UringTransport::ask_receives() {
  for (const LinkId id : to_receive_) {
    Link* link = links_.find(id);
    if (link != nullptr && !link->ending) ask_receive(id, *link);
  }
  to_receive_.clear();
}

void UringTransport::ask_send(LinkId id, Link& link) {
  io_uring_sqe& sqe = entry();
  io_uring_prep_send(&sqe, link.fd.get(), link.unsent.data(), link.unsent.size(),
                     MSG_NOSIGNAL | MSG_WAITALL);
  io_uring_sqe_set_data64(&sqe, pack(id, Op::send));
}

void UringTransport::send(LinkId id, std::span<const std::byte> bytes) {
  Link* link = links_.find(id);
  CHECK(link != nullptr && !bytes.empty());
  if (link->ending) return;  // on_closed gives the span back
  CHECK(!link->connecting && !link->sending);
  link->sending = true;
  link->unsent = bytes;
  ask_send(id, *link);
}

void UringTransport::close(LinkId id) {
  Link* link = links_.find(id);
  if (link != nullptr) end(id, *link, Errc::none);
}

void UringTransport::cancel(std::uint64_t data) {
  io_uring_sqe& sqe = entry();
  io_uring_prep_cancel64(&sqe, data, 0);
  io_uring_sqe_set_data64(&sqe, kIgnored);
}

// The kernel may still write into the link's buffer and read from the caller's span: the link goes
// when its last operation has come back, and its descriptor is not closed, and so not reused,
// before.
void UringTransport::end(LinkId id, Link& link, Errc why) {
  if (link.ending) return;
  link.ending = true;
  link.why = why;
  if (link.fd.valid()) ::shutdown(link.fd.get(), SHUT_RDWR);
  if (link.connecting) cancel(pack(id, Op::connect));
  if (link.receiving) cancel(pack(id, Op::receive));
  if (link.sending) cancel(pack(id, Op::send));
  if (!link.quiet()) return;
  link.listed = true;
  ended_.push_back(id);
}

void UringTransport::run(const Completion& completion) {
  if (completion.data == kWake) {
    ask_wake();
    return;
  }
  if (completion.data >= kForbidden) return;
  const LinkId id{static_cast<std::uint32_t>((completion.data >> 2) & ((1U << 22) - 1)),
                  static_cast<std::uint32_t>(completion.data >> 24)};
  Link* link = links_.find(id);
  CHECK(link != nullptr);  // a link lives until its operations have come back
  switch (static_cast<Op>(completion.data & 3)) {
    case Op::connect:
      on_connected(id, *link, completion.result);
      break;
    case Op::receive:
      on_received(id, *link, completion.result);
      break;
    case Op::send:
      on_sent(id, *link, completion.result);
      break;
    case Op::other:
      CHECK(false);
  }
  link = links_.find(id);
  CHECK(link != nullptr);
  if (link->ending && link->quiet() && !link->listed) {
    link->listed = true;
    ended_.push_back(id);
  }
}

void UringTransport::on_connected(LinkId id, Link& link, int result) {
  CHECK(link.connecting);
  link.connecting = false;
  if (link.ending) return;
  if (result < 0) {
    end(id, link, socket_errc(-result));
    return;
  }
  to_receive_.push_back(id);
  link.handler->on_open();
}

void UringTransport::on_received(LinkId id, Link& link, int result) {
  CHECK(link.receiving);
  link.receiving = false;
  if (link.ending) return;
  if (result == -EINTR || result == -EAGAIN) {
    to_receive_.push_back(id);
  } else if (result <= 0) {
    end(id, link, result == 0 ? Errc::closed : socket_errc(-result));
  } else {
    link.handler->on_bytes({link.buffer.get(), static_cast<std::size_t>(result)});
    to_receive_.push_back(id);
  }
}

void UringTransport::on_sent(LinkId id, Link& link, int result) {
  CHECK(link.sending);
  if (result == -EINTR || result == -EAGAIN) result = 0;
  if (link.ending || result < 0) {
    link.sending = false;
    if (!link.ending) end(id, link, socket_errc(-result));
    return;
  }
  CHECK(static_cast<std::size_t>(result) <= link.unsent.size());
  link.unsent = link.unsent.subspan(static_cast<std::size_t>(result));
  if (!link.unsent.empty()) {
    ask_send(id, link);
    return;
  }
  link.sending = false;
  link.handler->on_sent();
}

void UringTransport::tell_ended() {
  for (const LinkId id : telling_) {
    Link* link = links_.find(id);
    CHECK(link != nullptr && link->ending && link->quiet());
    link->fd.reset();
    LinkHandler* handler = link->handler;
    const Errc why = link->why;
    links_.give(id);
    handler->on_closed(why);
  }
  telling_.clear();
}

// A receive is asked for at the last moment, after the tick. One that was asked for before it would
// come back with the first answer, and leave those of the whole tick for the next turn.
void UringTransport::sleep(MonoTime until, std::chrono::microseconds tick) {
  clock_.refresh();
  if (tick.count() > 0 && until > clock_.now()) {
    submit();  // the caches work meanwhile
    const Duration left = std::min<Duration>(until - clock_.now(), tick);
    const timespec pause{0, static_cast<long>(left.count())};
    ::nanosleep(&pause, nullptr);
    ask_receives();
    static_cast<void>(io_uring_submit_and_get_events(&ring_));
    if (io_uring_cq_ready(&ring_) > 0) return;
    clock_.refresh();
  }
  ask_receives();
  if (until <= clock_.now()) {
    static_cast<void>(io_uring_submit_and_get_events(&ring_));
    return;
  }
  const Duration left = std::min<Duration>(until - clock_.now(), std::chrono::minutes(1));
  __kernel_timespec limit{};
  limit.tv_sec = left.count() / 1'000'000'000;
  limit.tv_nsec = left.count() % 1'000'000'000;
  io_uring_cqe* first = nullptr;
  const int result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
  CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
        result == -EAGAIN);
}

// Copied out first: handlers may ask for operations, and the queue must not move under the loop.
void UringTransport::harvest() {
  completions_.clear();
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  unsigned count = 0;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    completions_.push_back({cqe->user_data, cqe->res});
    ++count;
  }
  io_uring_cq_advance(&ring_, count);
}

void UringTransport::turn(MonoTime until, std::chrono::microseconds tick) {
  // What ends from here on is told in the next turn: a handler of this one may have ended it.
  telling_.swap(ended_);
  if (!telling_.empty()) until = MonoTime::min();
  sleep(until, tick);
  harvest();
  clock_.refresh();
  for (const Completion& completion : completions_) run(completion);
  tell_ended();
}

int UringTransport::try_forbidden_operation() {
  CHECK(links_.used() == 0);
  io_uring_sqe& sqe = entry();
  io_uring_prep_nop(&sqe);
  io_uring_sqe_set_data64(&sqe, kForbidden);
  for (;;) {
    static_cast<void>(io_uring_submit_and_wait(&ring_, 1));
    harvest();
    for (const Completion& completion : completions_) {
      if (completion.data == kForbidden) return completion.result;
      run(completion);
    }
  }
}

}  // namespace purgeline
