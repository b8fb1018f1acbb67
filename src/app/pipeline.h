// Pipeline: the stages, wired. From records to purges to commits.
//
// Place:  the one place that sees every stage. The shard gives it the real seams; the simulator
// gives it
//         simulated ones, so that what is simulated is what runs.
// Thread: the shard's.
// Bound:  reads no more records than the journeys, the ledgers and the key table have room for; a
// full
//         table stops the reading and nothing else. A backlog gets at most half of the room.
//
// One turn: answers of the log and the stores, records, due deadlines, dispatch, commits. The
// caller then lets the transport sleep until next_due().
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "app/absences.h"
#include "app/audit.h"
#include "app/partitions.h"
#include "app/peers.h"
#include "app/readings.h"
#include "app/shard_watches.h"
#include "app/target_probes.h"
#include "app/target_table.h"
#include "coalesce/coalescer.h"
#include "coalesce/journeys.h"
#include "decode/rejects.h"
#include "decode/resource_change.h"
#include "dispatch/dispatcher.h"
#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"
#include "purgeline/resolver.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"
#include "purgeline/transport.h"
#include "route/route.h"

namespace purgeline {

struct PipelineSeams {
  Clock& clock;
  Random& random;
  Transport& transport;
  Resolver& resolver;
  Source& source;
  OffsetStore& log_store;    // positions in the log itself (Kafka's offsets topic)
  OffsetStore& local_store;  // positions in state.db
  DeadLetters& dead_letters;
  EventLog& log;
  ShardWatches* watches{nullptr};  // null: nobody ever waits for one event
  PeerLink* peers{nullptr};        // null: there are no other hosts
};

class Pipeline : public RecordSink,
                 public OutcomeSink,
                 public JourneySink,
                 public DeadLetterListener,
                 public TargetListener {
 public:
  // `config` was checked by control/config; `hosts` is made from config.hosts.
  Pipeline(const PurgeConfig& config, const LogConfig& log, HostMatcher hosts,
           const PipelineSeams& seams);

  void start();
  void turn();
  // When turn() has something to do without a wake-up.
  [[nodiscard]] MonoTime next_due();
  // Answers may be collected for this long after the first: 0 at low rates, up to 1 ms above.
  [[nodiscard]] std::chrono::microseconds tick() const { return tick_; }

  // Stop reading; purges in flight end until `until`. Then commit. drained(): nothing is left to
  // wait for.
  void drain(MonoTime until);
  [[nodiscard]] bool drained();

  // Takes a changed configuration over, whole, between two turns. What needs a restart has to be as
  // it is (coalesce.capacity and .bytes). `hosts` is made from config.hosts, and taken when
  // applied.
  enum class Reloaded : std::uint8_t {
    applied,
    later,       // too much of former changes is in flight: ask again
    impossible,  // more than kMaxTargets would be there while those that leave are not done
  };
  [[nodiscard]] Reloaded reload(const PurgeConfig& config, const LogConfig& log,
                                HostMatcher& hosts);

  void snapshot(MetricsSnapshot& out);
  [[nodiscard]] std::uint32_t unfinished() const { return journeys_.unfinished(); }

  // RecordSink
  void on_record(const Record& record) override;
  // OutcomeSink
  void on_outcome(DeliveryId id, const Outcome& outcome) override;
  // JourneySink
  void on_target_done(const EventTicket& ticket, TargetId target) override;
  void on_finished(const FinishedEvent& event) override;
  // DeadLetterListener
  void on_dead_letter_kept(std::uint64_t ticket) override;
  void on_dead_letter_trouble(const std::string& why) override;
  // TargetListener
  void on_target_state(TargetId target, TargetState from, TargetState to,
                       std::string_view why) override;
  void on_target_proof(TargetId target, bool unproven) override;

 private:
  using Target = TargetTable::Target;
  // Of an event that came by no reading, and has no place in a ledger.
  static constexpr std::uint32_t kNoReading = UINT32_MAX;
  struct Dying {  // a dead letter on its way to disk; its delivery stays in flight until then
    std::uint64_t ticket;
    DeliveryId id;
    Outcome outcome;
    WallTime at;
    EventOrigin origin;
    bool given{false};  // the store has it
  };

  void read();
  void read(std::uint32_t reading, std::uint64_t room, std::size_t batch);
  std::uint64_t note(const Record& record, TargetMask targets);
  void watch_targets();
  void leave_out(TargetId target, const std::string& why);
  void take_in(TargetId target);
  void change_targets(const TargetTable::Change& change);
  void see_off();
  void report_backlog();
  void tell_fences();
  void release_samples();
  void finish_unpurged(Partitions::Partition& partition, const Record& record, EventOutcome outcome,
                       std::string_view id = {});
  void accept(Partitions::Partition& partition, const Record& record, const PurgeEvent& event);
  void bury(DeliveryId id, const Outcome& outcome);
  [[nodiscard]] std::optional<EventOrigin> origin_of(const Coalescer::InFlight& purge) const;
  void give_dead_letters();
  [[nodiscard]] DeadLetter letter_of(const Dying& dying);
  void adapt_tick();
  void audit_purge(DeliveryId id, const Outcome& outcome);
  void turn_audit();
  void set_fence_times();
  void purge_again(const Audit::Again& stale);
  // Who waits for single events; null as nearly always.
  [[nodiscard]] ShardWatches* watches() const {
    return watches_ != nullptr && watches_->any() ? watches_ : nullptr;
  }
  void check_stalled(bool room);
  [[nodiscard]] std::vector<ReadyCheck> readiness();
  void check_layers(std::vector<ReadyCheck>& checks) const;
  [[nodiscard]] TopicMetrics& topic(const Partitions::Partition& partition);

  PurgeConfig config_;
  CatchUpConfig catch_up_;
  Clock& clock_;
  Source& source_;
  DeadLetters& dead_letters_;
  EventLog& log_;
  ShardWatches* watches_;
  TargetTable targets_;

  PurgeDecoder decoder_;
  RejectRing rejects_;
  Router router_;
  Coalescer coalescer_;
  Journeys journeys_;
  TargetProbes probes_;
  Dispatcher dispatcher_;
  Readings readings_;
  Partitions partitions_;
  std::optional<Peers> peers_;
  Absences absences_;
  Audit audit_;
  std::vector<AbsenceFacts> facts_;  // by TargetId, of this turn
  std::uint32_t reading_now_{0};     // whose records on_record() gets

  std::deque<Dying> dying_;  // in order of tickets; bounded by deliveries in flight
  std::uint64_t next_dying_{1};
  bool dead_letter_trouble_{false};
  std::string dead_letter_why_;

  ShardMetrics metrics_;
  std::vector<TopicMetrics> topics_;  // as partitions_.topics()
  std::size_t next_partition_{0};     // where reading begins in this turn
  bool more_to_read_{false};
  bool more_at_once_{false};  // and there is room for it
  bool more_to_drop_{false};
  bool held_back_{false};         // something was not read for want of room
  std::uint64_t room_of_all_{0};  // with nothing unfinished
  std::uint64_t held_room_{0};    // the room there was then
  bool stalled_{false};
  bool fences_full_{false};
  MonoTime backlog_at_{};  // when the backlog was looked at last, and told last
  MonoTime backlog_told_{};
  std::uint64_t backlog_left_{0};
  std::uint64_t backlogs_over_{0};
  double backlog_rate_{0};  // offsets per second
  bool draining_{false};
  std::uint64_t outcomes_{0};
  std::uint64_t outcomes_before_{0};
  MonoTime rate_since_{};
  std::chrono::microseconds tick_{0};
};

}  // namespace purgeline
