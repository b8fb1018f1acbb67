// Supervisor: tells the service manager how the daemon is (sd_notify's protocol, without
// libsystemd).
//
// Place:  the control thread sends; app/main makes it from the environment.
// Thread: any; each call opens a socket of its own, a few times a minute.
// Bound:  nothing is kept. Never blocks: a message that cannot be sent at once is lost.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "purgeline/types.h"

namespace purgeline {

class Supervisor {
 public:
  // Nobody is told anything.
  Supervisor() = default;
  // The values of $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID; null when unset. A watchdog
  // meant for another process is ignored.
  Supervisor(const char* notify_socket, const char* watchdog_usec, const char* watchdog_pid);
  [[nodiscard]] static Supervisor from_environment();

  // One or more assignments, separated by line ends: "READY=1", "STATUS=...". False when nobody
  // listens.
  bool notify(std::string_view state) const;
  bool ready() const { return notify("READY=1"); }
  bool reloading() const { return notify("RELOADING=1"); }
  bool stopping() const { return notify("STOPPING=1"); }
  bool watchdog() const { return notify("WATCHDOG=1"); }
  bool status(std::string_view line) const { return notify("STATUS=" + std::string(line)); }

  // How often the manager wants to hear watchdog() at least; empty when it does not.
  [[nodiscard]] std::optional<Duration> watchdog_interval() const { return watchdog_; }

 private:
  std::string socket_;
  std::optional<Duration> watchdog_;
};

}  // namespace purgeline
