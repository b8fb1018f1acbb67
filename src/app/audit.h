// Audit: finished purges are looked at again, through the caches they were sent to.
//
// Place:  part of the Pipeline, which tells it of good answers and purges again what it finds. It
//         joins the Auditor, which knows what to look at when, and one AuditLink for each target.
// Thread: the shard's.
// Bound:  as the Auditor; one connection for each target; kMostAgain purges that wait to be sent.
//
// A cache that cannot be looked into is told once, and tried again after kBlind: until then nothing
// of it is sampled.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/audit_link.h"
#include "app/target_table.h"
#include "audit/auditor.h"
#include "audit/fetch_time.h"
#include "coalesce/journeys.h"
#include "dispatch/target_spec.h"
#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"

namespace purgeline {

// A version as an event's ticket carries it: in hundredths of a second, rounded down, of which 32
// bits last for more than a year.
[[nodiscard]] std::uint32_t version_stamp(MonoTime version);
// The latest moment up to `now` with this stamp.
[[nodiscard]] MonoTime stamped_version(std::uint32_t stamp, MonoTime now);

class Audit {
 public:
  static constexpr std::size_t kMostAgain = 64;
  static constexpr Duration kBlind = std::chrono::minutes(1);

  Audit(const PurgeConfig& config, const TargetTable& targets, Transport& transport,
        Resolver& resolver, Clock& clock, Random& random, EventLog& log);

  // ---- answers
  // Whether this outcome is one to look after: asked for each.
  [[nodiscard]] bool wants(const Outcome& outcome) {
    return is_good(outcome.result) && outcome.result != AttemptResult::filtered &&
           auditor_.wants(outcome.attempts);
  }
  // REQUIRES: wants() was true.
  void on_purged(TargetId target, const KeyText& text, MonoTime version, std::uint32_t attempts);

  // ---- the loop's side
  // turn() has nothing to do.
  [[nodiscard]] bool quiet() const { return !touched_ && again_.empty() && clock_.now() < next_; }
  // `purges`: so many were answered so far. `may_look`: the targets that are up and not left out.
  void turn(std::uint64_t purges, TargetMask may_look);
  [[nodiscard]] MonoTime next_due() const { return touched_ ? clock_.now() : next_; }
  // What is to be purged again, with v = now; each once.
  struct Again {
    std::string host;
    std::string path;
  };
  [[nodiscard]] std::optional<Again> take_again();

  // ---- how long a fetch may last
  // In force for new events; empty without fences.
  [[nodiscard]] std::optional<Duration> fetch_time() const { return fetch_time_.in_force(); }
  // Whether that has changed since this was asked.
  [[nodiscard]] bool take_fetch_time_change() { return std::exchange(fetch_time_changed_, false); }

  // ---- a changed configuration
  void change(const PurgeConfig& config);
  void add(const TargetSpec& target);
  void alter(const TargetSpec& target);
  void remove(TargetId target);

  void drain();
  [[nodiscard]] bool idle() const;
  void snapshot(MetricsSnapshot& out);

 private:
  struct Eye {  // what looks at one target
    std::unique_ptr<AuditLink> link;
    std::optional<std::uint32_t> look;  // of the Auditor, that the link is at
    std::string blind;
    MonoTime blind_until{MonoTime::min()};
  };
  using Stages = std::array<AuditStageMetrics, kAuditStages>;

  [[nodiscard]] audit::AuditorOptions options_of(const PurgeConfig& config) const;
  void learn(Duration fetch, const AuditFinding& finding, MonoTime now);
  void forget(MonoTime now);
  void set_fetch_time(MonoTime now);
  void go_on(TargetId target, Eye& eye, MonoTime now);
  // Nothing forbids that a look at the target begins; the Auditor says when one does.
  [[nodiscard]] bool may_start(TargetId target, TargetMask may_look, MonoTime now) const;
  void start(TargetId target, Eye& eye, MonoTime now);
  void conclude(TargetId target, Eye& eye, const std::optional<audit::Head>& head, MonoTime now);
  void report(TargetId target, AuditFinding finding);
  void turn_blind(TargetId target, Eye& eye, const std::string& why, MonoTime now);
  void set_next(TargetMask may_look, MonoTime now);
  [[nodiscard]] AuditStageMetrics& count(TargetId target, AuditStage stage);
  [[nodiscard]] bool blind(const Eye& eye, MonoTime now) const { return now < eye.blind_until; }

  const TargetTable& targets_;
  Transport& transport_;
  Resolver& resolver_;
  Clock& clock_;
  EventLog& log_;
  audit::FetchTime fetch_time_;
  bool fetch_time_changed_{false};
  audit::Auditor auditor_;
  bool on_;
  bool draining_{false};
  std::array<Eye, kMaxTargets> eyes_;                // by TargetId
  std::vector<std::unique_ptr<AuditLink>> leaving_;  // until they are closed
  bool touched_{false};
  MonoTime next_{MonoTime::max()};
  MonoTime late_at_{MonoTime::min()};  // when late looks are looked for again
  std::uint64_t granted_{0};
  std::deque<Again> again_;
  std::deque<AuditFinding> findings_;  // the newest last
  std::uint64_t findings_ever_{0};
  std::map<std::string, Stages> stages_;  // by layer
  AuditMetrics metrics_;
};

}  // namespace purgeline
