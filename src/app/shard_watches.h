// ShardWatches: what became of single events, for those who wait for it (`Prefer: wait`).
//
// Place:  between the HTTP intake and the pipeline. The intake registers an id before the event is
//         handed to the journal, so that the pipeline, which meets it later, cannot miss it.
// Thread: watch() and forget() are the intake's, close() is for whoever ends both; the rest is the
//         shard's. One mutex, held to move a question; one counter that tells the shard whether
//         anybody waits at all.
// Bound:  kMost watches, each with a URL and a row per target.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/absences.h"
#include "coalesce/journeys.h"
#include "purgeline/config.h"
#include "purgeline/delivery.h"
#include "purgeline/event.h"
#include "purgeline/purge_watch.h"

namespace purgeline {

class ShardWatches final : public PurgeWatch {
 public:
  static constexpr std::size_t kMost = 256;

  // `layers`: the names of the targets, as the pipeline numbers them.
  explicit ShardWatches(const std::vector<LayerConfig>& layers);

  // PurgeWatch
  [[nodiscard]] bool watch(const std::string& id, Duration wait, Told told) override;
  void forget(const std::string& id) override;
  // Tells everybody what is known; nobody is let in afterwards. The shard has ended.
  void close();

  // The shard's. Whether anybody waits: else nothing below has to be called.
  [[nodiscard]] bool any() const { return open_.load(std::memory_order_acquire) > 0; }
  // Before the journey of the event begins.
  void on_accepted(const PurgeEvent& event, const EventTicket& ticket, TargetMask targets);
  void on_unpurged(std::string_view id, EventOutcome outcome);
  // An attempt has ended; what it settles is told by on_done() before the next attempt ends.
  void on_attempt(TargetId target, const KeyText& url, const Outcome& outcome);
  void on_done(const EventTicket& ticket, TargetId target, bool left_out);
  void on_finished(const EventTicket& ticket);
  // Once per turn, after all of that.
  void turn(MonoTime now, const std::vector<AbsenceFacts>& facts);
  [[nodiscard]] MonoTime next_due() const;

 private:
  struct Question {
    std::string id;
    Duration wait;
    Told told;
  };
  struct Row {
    bool wanted{false};
    const char* done{nullptr};  // how, once it is
    std::optional<Outcome> last;
  };
  struct Watch {
    Duration wait;
    Told told;
    std::optional<MonoTime> deadline;  // set in the first turn
    bool accepted{false};
    EventTicket ticket;
    std::string host, path;
    std::vector<Row> rows;  // by TargetId
  };
  using Watches = std::map<std::string, Watch, std::less<>>;
  struct Name {
    std::string layer, target;
  };

  void take_questions();
  [[nodiscard]] Watch* find(const EventTicket& ticket);
  void tell(Watches::iterator watch, bool finished);
  [[nodiscard]] std::string rows(const Watch& watch) const;

  std::vector<Name> names_;  // by TargetId

  // Shared.
  std::atomic<std::uint32_t> open_{0};
  std::mutex mutex_;
  std::vector<Question> questions_;
  std::vector<std::string> forgotten_;
  bool closed_{false};

  // The shard's.
  Watches watches_;
  std::vector<Question> taking_;
  std::vector<std::string> forgetting_;
  std::optional<TargetId> settling_;  // whose attempt ended last
  std::vector<TargetState> states_;   // by TargetId, as of the last turn
};

}  // namespace purgeline
