#include "control/control_thread.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "control/thread_stack.h"
#include "purgeline/check.h"

namespace purgeline {

namespace asio = boost::asio;
using boost::system::error_code;

struct ControlThread::Impl {
  Impl(ControlOptions options_in, const SnapshotBoard& board_in, const Heartbeat& heartbeat_in,
       EventLog& log_in, const ClockFactory& make_clock, ControlCallbacks callbacks_in)
      : options(std::move(options_in)),
        board(board_in),
        heartbeat(heartbeat_in),
        callbacks(std::move(callbacks_in)),
        clock(make_clock()),
        log(log_in, *clock),
        compat(options.compat),
        server(context, [this](const AdminRequest& request) { return answer(request); }),
        signals(context),
        timer(context) {}

  template <class Use>
  auto with_view(Use use) {
    clock->refresh();
    MetricsSnapshot snapshot = board.copy();
    if (callbacks.intakes) callbacks.intakes(snapshot);
    const ProcessMetrics process = callbacks.process ? callbacks.process() : ProcessMetrics{};
    return use(AdminView{snapshot, process, options.build, compat.load(), heartbeat.started(),
                         heartbeat.overdue(clock->now()), options.blocked_after});
  }

  AdminResponse answer(const AdminRequest& request) {
    return with_view([&](const AdminView& view) { return admin_page(request, view); });
  }

  void wait_for_signal() {
    signals.async_wait([this](const error_code& error, int signal) {
      if (error) return;
      on_signal(signal);
      wait_for_signal();
    });
  }

  void on_signal(int signal) {
    clock->refresh();
    if (signal == SIGHUP) {
      log.info("reload asked for", {{"by", "SIGHUP"}});
      options.supervisor.reloading();
      if (callbacks.on_reload) callbacks.on_reload();
      if (!stopping) options.supervisor.ready();
      return;
    }
    log.info("stop asked for", {{"by", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
    options.supervisor.stopping();
    stopping = true;
    if (callbacks.on_stop) callbacks.on_stop(signal);
  }

  // Once a second, or oftener when the watchdog wants it: three chances for each of its intervals.
  std::chrono::nanoseconds period() const {
    const Duration second = std::chrono::seconds(1);
    const auto watchdog = options.supervisor.watchdog_interval();
    return watchdog ? std::min(second, *watchdog / 3) : second;
  }

  void tick() {
    with_view([this](const AdminView& view) { tell_supervisor(view); });
    log.poll();
    timer.expires_after(period());
    timer.async_wait([this](const error_code& error) {
      if (!error) tick();
    });
  }

  void tell_supervisor(const AdminView& view) {
    const ReadyCheck loop = check_loop(view);
    // Not "the brokers are there": a service that waits for Kafka has started, and says so in
    // STATUS.
    if (view.started && !told_ready && !stopping) told_ready = options.supervisor.ready();
    // The shard's turns keep the watchdog quiet, this timer only carries the word.
    if (loop.ok && options.supervisor.watchdog_interval()) options.supervisor.watchdog();
    watch(loop);
    std::string line = status_line(view);
    if (line == told_status) return;
    options.supervisor.status(line);
    told_status = std::move(line);
  }

  void watch(const ReadyCheck& loop) {
    if (loop.ok) {
      if (!loop_ok) log.info("loop turns again", {{"detail", loop.detail}});
      loop_ok = true;
      return;
    }
    const MonoTime now = clock->now();
    if (loop_ok) {
      loop_ok = false;
      blocked_seen = Duration::zero();
      log.error("loop blocked",
                {{"detail", loop.detail}, {"doing", heartbeat.stage()}, {"stack", stack()}});
    } else {
      // Not more than a timer's period at a time: this thread may have stood still as well.
      blocked_seen += std::min<Duration>(now - watched_at, 2 * period());
    }
    watched_at = now;
    if (blocked_seen >= options.abort_after) abort_process(loop);
  }

  std::string stack() const {
    std::string text = stack_of_thread(heartbeat.thread(), std::chrono::milliseconds(200));
    return text.empty() ? "none: the thread does not answer" : text;
  }

  [[noreturn]] void abort_process(const ReadyCheck& loop) {
    log.error("aborting", {{"why", loop.detail},
                           {"doing", heartbeat.stage()},
                           {"stack", stack()},
                           {"effect", "what is not committed is purged again after the start"}});
    if (callbacks.on_hopeless) callbacks.on_hopeless();
    std::abort();
  }

  ControlOptions options;
  const SnapshotBoard& board;
  const Heartbeat& heartbeat;
  ControlCallbacks callbacks;
  std::unique_ptr<Clock> clock;
  FoldingLog log;
  std::atomic<MetricsCompat> compat;
  asio::io_context context{1};
  AdminServer server;
  asio::signal_set signals;
  asio::steady_timer timer;
  bool told_ready{false};
  bool stopping{false};
  bool loop_ok{true};
  MonoTime watched_at{};    // has a meaning only while the loop is not ok
  Duration blocked_seen{};  // likewise
  std::string told_status;
  std::thread thread;
};

ControlThread::ControlThread(ControlOptions options, const SnapshotBoard& board,
                             const Heartbeat& heartbeat, EventLog& log,
                             const ClockFactory& make_clock, ControlCallbacks callbacks)
    : impl_(std::make_unique<Impl>(std::move(options), board, heartbeat, log, make_clock,
                                   std::move(callbacks))) {}

ControlThread::~ControlThread() {
  stop();
}

Status ControlThread::start() {
  CHECK(!impl_->thread.joinable());
  if (impl_->options.listen) {
    if (Status status = impl_->server.listen(*impl_->options.listen); !status) return status;
    impl_->log.info("admin address", {{"listen", impl_->server.address()}});
  }
  if (impl_->options.signals) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      error_code error;
      impl_->signals.add(signal, error);
      if (error) return failure(Errc::internal, "cannot take signals: " + error.message());
    }
    impl_->wait_for_signal();
  }
  // Everything above happened before the thread exists, so nothing is shared with it yet.
  impl_->thread = std::thread([impl = impl_.get()] {
    impl->tick();
    impl->context.run();
  });
  return {};
}

void ControlThread::stop() {
  if (!impl_->thread.joinable()) return;
  CHECK(impl_->thread.get_id() != std::this_thread::get_id());
  asio::post(impl_->context, [impl = impl_.get()] {
    if (impl->callbacks.on_close) impl->callbacks.on_close();
    impl->server.stop();
    impl->timer.cancel();
    error_code ignored;
    impl->signals.clear(ignored);
    impl->signals.cancel(ignored);
    impl->context.stop();
  });
  impl_->thread.join();
  impl_->log.flush();
}

asio::io_context& ControlThread::context() {
  return impl_->context;
}

std::string ControlThread::address() const {
  return impl_->server.address();
}

void ControlThread::set_compat(MetricsCompat compat) {
  impl_->compat = compat;
}

}  // namespace purgeline
