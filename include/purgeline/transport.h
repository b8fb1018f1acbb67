// Transport: bytes to and from caches. io_uring, epoll and the simulator implement it.
//
// Completion-shaped: an operation is asked for, and a LinkHandler is told when it has happened.
// Calls are per batch of bytes, never per byte.
//
// Handlers run only inside turn(), and nothing that is called from one calls one: what a handler
// closes, or opens in vain, is told with on_closed in a later turn. So a handler may end its own
// link and use what it owns until it returns, and the loop looks after everything else before the
// end is told.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "purgeline/result.h"
#include "purgeline/types.h"

namespace purgeline {

// Where to connect, already resolved: never a host name. A value: copies freely.
struct Address {
  enum class Family : std::uint8_t { none, inet4, inet6, local };
  Family family{Family::none};
  std::uint16_t port{0};              // host byte order; 0 for local
  std::array<std::uint8_t, 16> ip{};  // network order; the first four bytes for inet4
  std::string path;                   // for local: the socket's file
  friend bool operator==(const Address&, const Address&) = default;
};

// Slot and generation of one connection: a stale LinkId never names a newer connection.
struct LinkId {
  std::uint32_t slot{UINT32_MAX};
  std::uint32_t generation{0};
  [[nodiscard]] bool valid() const { return slot != UINT32_MAX; }
  friend bool operator==(const LinkId&, const LinkId&) = default;
};

// Implemented by dispatch's connection. Lives until on_closed has returned.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual void on_open() = 0;
  // Borrowed until return, split anywhere, never empty.
  virtual void on_bytes(std::span<const std::byte> bytes) = 0;
  // All bytes of the last send() were taken by the kernel; the span is the caller's again.
  virtual void on_sent() = 0;
  // Exactly once, and last, also for a connect that failed. The span of an unfinished send() is the
  // caller's again. Errc::none: close() was called. closed: the peer ended the stream in order.
  virtual void on_closed(Errc why) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Starts to connect. Never calls the handler before the next turn(), also when it fails at once:
  // then on_closed comes in a later turn than the one whose handler asked.
  virtual LinkId open(const Address& address, LinkHandler& handler) = 0;
  // At most one in flight per link; only between on_open and close/on_closed. Not empty.
  virtual void send(LinkId link, std::span<const std::byte> bytes) = 0;
  // Drains the link's operations, then on_closed in a later turn, never in the one whose handler
  // closed. No on_bytes after it. A stale or already closing link is ignored.
  virtual void close(LinkId link) = 0;
  // Submits what was asked for, sleeps until something happened, wake_fd() became readable, or
  // `until` has come (a time already past: does not sleep). With tick > 0 it first sleeps `tick`,
  // whatever happens meanwhile, and then harvests everything at once: many answers per wake-up.
  // Only when nothing has happened by then does it go on to sleep.
  virtual void turn(MonoTime until, std::chrono::microseconds tick) = 0;
  // An eventfd: any thread ends the sleep by writing to it. turn() drains it.
  [[nodiscard]] virtual int wake_fd() const = 0;
};

}  // namespace purgeline
