// HtcpSocket: a UDP socket that receives in batches, and says what the kernel had to drop.
//
// Place:  before the HTCP intake.
// Thread: one.
// Bound:  kBatch datagrams per call, each of the longest that HTCP needs; the kernel's buffer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "purgeline/config.h"
#include "purgeline/ip.h"
#include "purgeline/result.h"

namespace purgeline {

class HtcpSocket {
 public:
  static constexpr std::size_t kBatch = 64;
  using Sink = std::function<void(const IpAddress& source, std::string_view datagram, bool cut)>;

  // A multicast address is joined, on `interface` (empty: the kernel chooses by its routes); the
  // socket then receives what is sent to the group and nothing else. `buffer` is asked of the
  // kernel, which may give less: granted_buffer().
  [[nodiscard]] static Result<std::unique_ptr<HtcpSocket>> open(const Endpoint& address,
                                                                const std::string& interface,
                                                                std::uint64_t buffer);
  ~HtcpSocket();
  HtcpSocket(const HtcpSocket&) = delete;
  HtcpSocket& operator=(const HtcpSocket&) = delete;

  // What is there, at most kBatch datagrams; never waits. Returns how many there were.
  std::size_t receive(const Sink& sink);
  // What the kernel dropped since the last call, as far as the packets received since tell.
  [[nodiscard]] std::uint64_t take_overflow();

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::uint64_t granted_buffer() const { return granted_; }

 private:
  struct Batch;
  explicit HtcpSocket(int fd);

  int fd_;
  std::string address_;
  std::uint64_t granted_{0};
  std::uint32_t dropped_{0};  // as the kernel counts: from the socket's start, modulo 2^32
  std::uint64_t overflow_{0};
  std::unique_ptr<Batch> batch_;
};

}  // namespace purgeline
