// UringTransport: the Transport on io_uring.
//
// Place:  behind the Transport seam. Thread: the one that made it, and no other: the ring is its
// own.
//         wake_fd() may be written by any thread.
// Bound:  `max_links` links of one 64 KiB receive buffer each, at most one receive, one send and
// one
//         connect in flight per link; the rings are sized for them.
//
// The ring may do five things and nothing else (registered restrictions): send, receive, connect,
// cancel, and read its wake-up. Seccomp and the service manager's sandbox do not see what a ring
// does, so a ring that could open files or sockets would be a hole in both.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "io/links.h"
#include "io/sockets.h"
#include "purgeline/clock.h"
#include "purgeline/result.h"
#include "purgeline/transport.h"

namespace purgeline {

class UringTransport : public Transport {
 public:
  // An error's detail is the cause for a person: seccomp filter, sysctl, memlock, kernel.
  // `clock` is refreshed after every sleep, so that what handlers note as the time of an answer is
  // not the time before it.
  [[nodiscard]] static Result<std::unique_ptr<UringTransport>> make(std::size_t max_links,
                                                                    Clock& clock);
  UringTransport(std::size_t max_links, Clock& clock);  // only for make()
  ~UringTransport() override;
  UringTransport(const UringTransport&) = delete;
  UringTransport& operator=(const UringTransport&) = delete;

  LinkId open(const Address& address, LinkHandler& handler) override;
  void send(LinkId link, std::span<const std::byte> bytes) override;
  void close(LinkId link) override;
  void turn(MonoTime until, std::chrono::microseconds tick) override;
  [[nodiscard]] int wake_fd() const override { return wake_.get(); }

  // Self check: what the ring answers to an operation that is not on its list. -EACCES when the
  // restrictions hold. REQUIRES: no link in use.
  [[nodiscard]] int try_forbidden_operation();

 private:
  enum class Op : std::uint8_t { connect, receive, send, other };
  struct Link {
    std::uint32_t generation{0};
    LinkHandler* handler{nullptr};
    Fd fd;
    SocketAddress to;
    std::unique_ptr<std::byte[]> buffer;
    std::span<const std::byte> unsent;
    Errc why{Errc::none};  // with ending: what on_closed will say
    bool connecting{false};
    bool receiving{false};
    bool sending{false};
    bool ending{false};
    bool listed{false};  // in ended_
    [[nodiscard]] bool quiet() const { return !connecting && !receiving && !sending; }
  };
  struct Completion {
    std::uint64_t data;
    int result;
  };

  Status set_up();
  Status restrict_and_enable();
  [[nodiscard]] io_uring_sqe& entry();
  void ask_wake();
  void ask_receive(LinkId id, Link& link);
  void ask_receives();
  void submit();
  void ask_send(LinkId id, Link& link);
  void cancel(std::uint64_t data);
  void end(LinkId id, Link& link, Errc why);
  void run(const Completion& completion);
  void on_connected(LinkId id, Link& link, int result);
  void on_received(LinkId id, Link& link, int result);
  void on_sent(LinkId id, Link& link, int result);
  void tell_ended();
  void sleep(MonoTime until, std::chrono::microseconds tick);
  void harvest();

  static std::uint64_t pack(LinkId id, Op op);

  Clock& clock_;
  io_uring ring_{};
  bool made_{false};
  Fd wake_;
  std::uint64_t wake_count_{0};
  std::size_t max_links_;
  LinkSlots<Link> links_;
  std::vector<Completion> completions_;
  std::vector<LinkId> to_receive_;  // asked for in the next turn
  std::vector<LinkId> ended_;       // told in the next turn
  std::vector<LinkId> telling_;
};

}  // namespace purgeline
