// Daemon: everything that runs, made and ended in the right order.
//
// Place:  made by run.cc, for one run.
// Thread: the process's first. The shard, the stores and the control thread have their own; the
//         intakes live on the control thread's io_context.
// Bound:  what the parts bound.
//
// A stop: the intakes answer 503, the shard stops reading, ends what is in flight and commits; then
// the outbox ends, the journal writes and answers what it has taken, and the control thread, which
// carries those answers, goes last.
#pragma once

#include <future>
#include <optional>
#include <string>

#include "app/intakes.h"
#include "app/reload.h"
#include "app/shard.h"
#include "app/shard_watches.h"
#include "app/stores.h"
#include "cli/exit_status.h"
#include "control/control_thread.h"
#include "control/log.h"
#include "control/shared_state.h"
#include "io/system_clock.h"
#include "purgeline/config.h"
#include "sources/kafka_outbox.h"
#include "store/journal_outbox.h"

namespace purgeline {

class Daemon {
 public:
  // `file`: where `config` comes from, to be read again on SIGHUP.
  Daemon(const std::string& file, const Config& config, const BuildInfo& build, LogOutput& log);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // From start to stop.
  [[nodiscard]] cli::ExitStatus run();
  // After run(): false while threads of the Kafka client wait for a broker yet.
  [[nodiscard]] bool log_closed() const { return log_closed_; }

 private:
  [[nodiscard]] std::optional<cli::ExitStatus> start();
  void make_control();
  void make_reloader();
  [[nodiscard]] Status start_intakes();
  [[nodiscard]] Status start_outbox();
  void add_to(MetricsSnapshot& snapshot) const;
  void on_stop();
  void stop();
  [[nodiscard]] cli::ExitStatus failed(const char* what, const Error& error);

  const std::string file_;
  const Config& config_;
  const BuildInfo& build_;
  LogOutput& log_;
  ReloadState reload_state_;
  SystemClock intake_clock_;  // the control thread's, as is the next
  SystemRandom intake_random_;
  SystemClock outbox_clock_;
  Stores stores_;
  std::optional<JournalOutbox> kept_;  // while the log is Kafka
  std::optional<KafkaOutbox> outbox_;
  ShardWatches watches_;
  SnapshotBoard board_;
  Heartbeat heartbeat_;
  std::promise<void> ended_;
  std::optional<Shard> shard_;
  std::optional<ControlThread> control_;
  std::optional<Intakes> intakes_;
  std::optional<Reloader> reloader_;
  bool log_closed_{true};
};

}  // namespace purgeline
