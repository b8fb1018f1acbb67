// EpollTransport: the Transport for kernels and sandboxes that refuse io_uring.
//
// Place:  behind the Transport seam. Thread: the one that turns it; wake_fd() may be written by
// any. Bound:  `max_links` links with one receive buffer for all of them.
//
// Level-triggered, and with the same tick: what pays is collecting answers, not the ring.
#pragma once

#include <cstddef>
#include <vector>

#include "io/links.h"
#include "io/sockets.h"
#include "purgeline/clock.h"
#include "purgeline/transport.h"

namespace purgeline {

class EpollTransport : public Transport {
 public:
  // `clock` is refreshed after every sleep, so that what handlers note as the time of an answer is
  // not the time before it.
  EpollTransport(std::size_t max_links, Clock& clock);
  ~EpollTransport() override;

  LinkId open(const Address& address, LinkHandler& handler) override;
  void send(LinkId link, std::span<const std::byte> bytes) override;
  void close(LinkId link) override;
  void turn(MonoTime until, std::chrono::microseconds tick) override;
  [[nodiscard]] int wake_fd() const override { return wake_.get(); }

 private:
  struct Link {
    std::uint32_t generation{0};
    LinkHandler* handler{nullptr};
    Fd fd;
    std::span<const std::byte> unsent;
    bool connecting{false};
    bool sending{false};
    bool watches_write{false};
    bool ended{false};  // in ended_: on_closed is due
  };
  struct Ended {
    LinkId id;
    Errc why;
  };
  void watch(LinkId id, Link& link, bool write);
  void end(LinkId id, Errc why);
  void tell_ended();
  void on_writable(LinkId id);
  void on_readable(LinkId id);
  void write_some(LinkId id, Link& link);
  [[nodiscard]] int timeout_ms(MonoTime until) const;
  int wait(int timeout_ms);

  Clock& clock_;
  Fd epoll_;
  Fd wake_;
  LinkSlots<Link> links_;
  std::vector<std::byte> buffer_;
  std::vector<Ended> ended_;  // told in the next turn
  std::vector<Ended> telling_;
  std::vector<LinkId> sent_;  // on_sent is due: the kernel took everything at once
  std::vector<LinkId> telling_sent_;
};

}  // namespace purgeline
