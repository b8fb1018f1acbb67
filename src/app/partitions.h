// Partitions: where reading starts in each partition, how far it got, and what is committed.
//
// Place:  around the source and the ledgers; the Pipeline owns one and lends it the stages.
// Thread: the shard's.
// Bound:  one ledger of `ledger_capacity` offsets for each partition that the log has.
//
// A partition's life: found → both stores are asked for its position → the start policy asks for
// ends or times → reading. What is older than `catch_up_threshold` then is read beside the live
// end, not before it; so is what a live reading that does not keep up has not read. Any question
// that fails is asked again a second later.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ack/committer.h"
#include "app/readings.h"
#include "coalesce/versions.h"
#include "purgeline/clock.h"
#include "purgeline/config.h"
#include "purgeline/log.h"
#include "purgeline/metrics.h"
#include "purgeline/source.h"
#include "purgeline/stores.h"
#include "sources/start_position.h"

namespace purgeline {

struct PartitionOptions {
  StartAt start_at;
  Duration max_useful_age{0};
  Duration catch_up_threshold{0};
  Duration sample_spacing{0};  // of the partition's ends, for versions
};

class Partitions : public SourceListener {
 public:
  // `measuring`: it is known where to start, and asked how old what lies there is.
  // `left`: its topic is not configured any more.
  enum class State : std::uint8_t { loading, starting, measuring, reading, left };

  struct Partition {
    PartitionId id;
    PartitionName name;
    State state{State::loading};
    std::uint32_t topic{0};  // index in topics()
    // what the two stores say
    bool log_answered{false}, local_answered{false};
    std::optional<Position> log_position, local_position;
    std::optional<StartPosition> start;
    OpenAt chosen;
    Offset end;                 // the log's, when it was asked for
    std::uint64_t question{0};  // the one that is open; 0: none
    MonoTime ask_again{MonoTime::max()};
    bool offset_refused{false};  // the log does not have what was to be read next
    bool made_anew{false};       // the log is another one than before
    // A catch-up reading stands where the log has nothing any more.
    std::optional<CursorId> gap_cursor;
    std::uint64_t gap_question{0};
    MonoTime ask_gap{MonoTime::max()};
    // An end that the live reading had not reached yet when it was seen.
    Offset unreached;
    MonoTime unreached_since{};
    Versions versions;
    PartitionMetrics metrics;
  };

  Partitions(PartitionOptions options, Readings& readings, Source& source, OffsetStore& log_store,
             OffsetStore& local_store, Clock& clock, EventLog& log);

  // A changed configuration.
  void change(const PartitionOptions& options) { options_ = options; }

  // Other topics. What is in flight of those that are gone is purged still; their positions stay
  // in the stores, and reading goes on from there when they come back.
  void change_topics(const std::vector<std::string>& topics);

  void start();
  void poll();  // answers of source and stores
  void turn();  // questions to repeat, ends to sample, watermarks to commit
  [[nodiscard]] MonoTime next_due() const;

  [[nodiscard]] std::size_t size() const { return partitions_.size(); }
  [[nodiscard]] Partition& operator[](std::size_t index) { return *partitions_[index]; }
  [[nodiscard]] Partition& at(PartitionId id) { return *partitions_[id.value()]; }
  [[nodiscard]] const std::vector<std::string>& topics() const { return topics_; }

  void commit_now() { committer_.commit_now(); }
  void update_watermarks();
  [[nodiscard]] bool committed() const { return committer_.settled(); }
  // Offsets that catch-up readings still have to read.
  [[nodiscard]] std::uint64_t backlog() const;
  // How many of them have begun.
  [[nodiscard]] std::uint64_t catch_ups() const { return catch_ups_; }
  // Fills the gauges of each partition.
  void measure();

  // For readiness.
  // False also before the log was heard of at all; trouble() says which.
  [[nodiscard]] bool reachable() const { return reachable_.value_or(false); }
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] const std::map<std::string, bool>& missing_topics() const { return missing_; }
  [[nodiscard]] bool all_reading() const;
  [[nodiscard]] bool cold() const { return cold_; }
  [[nodiscard]] const std::string& cold_reason() const { return cold_reason_; }
  [[nodiscard]] std::uint64_t log_errors() const { return log_errors_; }
  [[nodiscard]] std::string commit_trouble() const;

  // SourceListener
  void on_partition(PartitionId partition, const PartitionName& name) override;
  void on_topic_missing(const std::string& topic) override;
  void on_topic_found(const std::string& topic) override;
  void on_found(PartitionId partition, std::uint64_t question, Result<Offset> offset) override;
  void on_ends(PartitionId partition, std::uint64_t question, Result<LogEnds> ends) override;
  void on_out_of_range(CursorId cursor, Offset wanted) override;
  void on_log_state(bool reachable, const std::string& why) override;
  void on_cluster(const std::string& cluster_id) override;

 private:
  // The two stores answer through one listener each, so that it is known which one did.
  class StoreAnswers : public OffsetStoreListener {
   public:
    StoreAnswers(Partitions& owner, bool log) : owner_(owner), log_(log) {}
    void on_loaded(PartitionId partition, Result<std::optional<Position>> position) override {
      owner_.loaded(partition, std::move(position), log_);
    }
    void on_committed(PartitionId partition, Offset offset, Status status) override {
      if (log_) owner_.committed(partition, offset, status);
    }

   private:
    Partitions& owner_;
    bool log_;
  };
  // Commits to both; the log's answer counts, the local copy is for the day when the log has
  // forgotten.
  class BothStores : public OffsetStore {
   public:
    BothStores(OffsetStore& log, OffsetStore& local) : log_(log), local_(local) {}
    void start(OffsetStoreListener&) override {}
    void load(PartitionId, const PartitionName&) override {}
    void poll() override {}
    void commit(std::span<const Commit> commits) override {
      log_.commit(commits);
      local_.commit(commits);
    }

   private:
    OffsetStore& log_;
    OffsetStore& local_;
  };

  void loaded(PartitionId id, Result<std::optional<Position>> position, bool log);
  void committed(PartitionId id, Offset offset, const Status& status);
  void load(Partition& partition);
  void begin_start(Partition& partition);
  void next_start_step(Partition& partition);
  void leave(std::unique_ptr<Partition>& partition);
  void measure_backlog(Partition& partition);
  void open(Partition& partition, bool backlog);
  void restart(Partition& partition, const Position& position);
  void ask_later(Partition& partition);
  void lose_place(Partition& partition);
  void look_anew(Partition& partition);
  void look_after_pause();
  void ask_gap(Partition& partition);
  void close_gap(Partition& partition, const LogEnds& ends);
  void lost(Partition& partition, const std::string& reason, std::int64_t offsets);
  void sample_ends();
  void keep_up(Partition& partition, Offset end);
  void repeat_questions();
  [[nodiscard]] std::uint32_t topic_index(const std::string& topic);

  PartitionOptions options_;
  Readings& readings_;
  Source& source_;
  OffsetStore& log_store_;
  OffsetStore& local_store_;
  Clock& clock_;
  EventLog& log_;
  StoreAnswers log_answers_{*this, true};
  StoreAnswers local_answers_{*this, false};
  BothStores both_;
  Committer committer_;
  std::vector<std::unique_ptr<Partition>> partitions_;  // by PartitionId
  std::vector<std::string> topics_;
  std::map<std::string, bool> missing_;  // configured topics that were ever missing; true while so
  std::optional<std::string> cluster_;
  std::uint64_t questions_{0};
  MonoTime next_sample_{};
  std::optional<MonoTime> last_turn_;  // none: events may have come since
  std::optional<MonoTime> unreachable_since_;
  std::optional<bool> reachable_;  // as last told
  std::string trouble_{"not yet: no broker has answered since the start"};
  bool cold_{false};
  std::string cold_reason_;
  std::uint64_t catch_ups_{0};
  std::uint64_t log_errors_{0};
};

}  // namespace purgeline
