// HtcpIntake: HTCP packets into the journal. Nothing is ever answered.
//
// Place:  behind the HTCP sockets, before the journal.
// Thread: one, the sockets'. The journal's answers come back to it through `post`.
// Bound:  kMostWaiting events that are not durable yet; has_room() says when the sockets have to
//         wait, and then the kernel's buffer is what fills up and overflows.
//
// HTCP promises its senders nothing. What is promised here is that every packet that reached the
// socket is counted, with what became of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/ip.h"
#include "purgeline/journal.h"
#include "purgeline/metrics.h"

namespace purgeline {

struct HtcpIntakeOptions {
  std::string topic{"resource-purge"};
  std::vector<std::string> allow_sources;  // addresses and networks; empty: loopback
  std::uint64_t rate{0};                   // packets a second of one sender; 0: no limit
};

class HtcpIntake {
 public:
  static constexpr std::size_t kMostWaiting = 16384;
  using Post = std::function<void(std::function<void()>)>;

  HtcpIntake(HtcpIntakeOptions options, JournalWriter& journal, Clock& clock, Random& random,
             Post post);
  ~HtcpIntake();
  HtcpIntake(const HtcpIntake&) = delete;
  HtcpIntake& operator=(const HtcpIntake&) = delete;

  // `cut`: the datagram was longer than the buffer.
  void on_packet(const IpAddress& source, std::string_view datagram, bool cut);
  // The kernel dropped that many since it was last asked.
  void on_overflow(std::uint64_t packets);
  // Hands over what came since the last flush. When the journal has no room it stays, and the next
  // flush tries again.
  void flush();
  // Whether packets may be read.
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] const IntakeHtcpMetrics& metrics() const;
  [[nodiscard]] const std::vector<MetricsSnapshot::HtcpSource>& sources() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace purgeline
