// ControlThread: admin address, signals and the service manager, beside the shard.
//
// Place:  app/main makes one; it reads the shard's snapshot and heartbeat and calls back for stop
// and reload. Thread: its own, from start() to stop(). start(), stop() and set_compat() belong to
// whoever made it; the
//         callbacks run on the control thread and must not call stop().
// Bound:  the admin server's connections; one timer; one signal at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "control/admin_server.h"
#include "control/log.h"
#include "control/shared_state.h"
#include "control/supervisor.h"
#include "purgeline/clock.h"

namespace boost::asio {
class io_context;
}

namespace purgeline {

struct ControlOptions {
  std::optional<Endpoint> listen{};  // the admin address; empty: none
  MetricsCompat compat{MetricsCompat::purged};
  BuildInfo build{};
  Supervisor supervisor{};
  // From how long overdue the shard counts as blocked. Well above a page fault storm or a suspended
  // laptop's hiccup, well below what a watchdog is set to.
  Duration blocked_after{std::chrono::seconds(5)};
  // How much longer it may stay blocked before the process is aborted, so that a service manager
  // starts it anew. Counted in what this thread itself has seen: a process that was stopped and
  // goes on, or a machine that slept, is given the whole time.
  Duration abort_after{std::chrono::seconds(5)};
  bool signals{
      true};  // SIGTERM, SIGINT, SIGHUP; off where a test has several of these in one process
};

struct ControlCallbacks {
  std::function<void(int signal)> on_stop;  // SIGTERM or SIGINT, each time
  std::function<void()> on_reload;          // SIGHUP
  std::function<ProcessMetrics()> process;  // may be empty
  // The shard has been blocked for blocked_after and abort_after: to write out the log. The process
  // is aborted when it returns.
  std::function<void()> on_hopeless;  // may be empty
  std::function<void()> on_close;     // the last thing on the control thread; may be empty
  std::function<void(MetricsSnapshot&)> intakes;  // adds what the intakes counted; may be empty
};

class ControlThread {
 public:
  using ClockFactory = std::function<std::unique_ptr<Clock>()>;

  // `log` must allow writing from any thread (LogOutput); it is folded on the control thread.
  ControlThread(ControlOptions options, const SnapshotBoard& board, const Heartbeat& heartbeat,
                EventLog& log, const ClockFactory& make_clock, ControlCallbacks callbacks);
  ~ControlThread();
  ControlThread(const ControlThread&) = delete;
  ControlThread& operator=(const ControlThread&) = delete;

  // Listens and takes the signals, or says why not; then the thread runs.
  [[nodiscard]] Status start();
  // Closes the admin address and joins. Doing it twice is allowed.
  void stop();
  // For what else lives on this thread (intakes): set up before start(), or by posting to it.
  [[nodiscard]] boost::asio::io_context& context();
  // Where the pages are, after start(); empty without a listen address.
  [[nodiscard]] std::string address() const;
  // A reload of admin.compat.
  void set_compat(MetricsCompat compat);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace purgeline
