// Journal: the embedded log. It owns journal.db on a writer thread of its own.
//
// Place:  beside the shard and the intakes. Who reads it has a JournalReader (a connection and a
//         thread of its own); the seams for the shard are in journal_source.h.
// Thread: open(), start() and stop() belong to the thread that builds the daemon; append(),
//         trouble(), the other questions and requests to any; everything below pass() to the
//         writer, which alone touches its connection.
// Bound:  JournalOptions: events and bytes that are not yet answered, the file's size, the size of
//         its write-ahead log before the alarm.
//
// Group commit: whatever has been asked when the writer turns to the queue goes into one
// transaction, and nothing is answered before its commit is synced. When a write fails nothing of
// it is answered with success, appends are refused at once from then on, and the writer tries every
// `retry` whether there is room again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "purgeline/clock.h"
#include "purgeline/journal.h"
#include "purgeline/metrics.h"
#include "purgeline/outbox.h"
#include "purgeline/result.h"
#include "purgeline/stores.h"
#include "store/journal_queue.h"
#include "store/journal_tables.h"

namespace purgeline {

struct JournalOptions {
  std::vector<std::string> topics;  // exist from the start; others with their first event
  std::size_t max_topics{1000};     // beyond which takes_topic() knows no other
  // When it is opened, what the reader `purge` has finished goes, whatever its age: the journal is
  // an outbox from now on, and has been the log.
  bool drop_finished{false};
  Duration retention{std::chrono::hours(24 * 7)};
  std::uint64_t max_size{std::uint64_t{4} << 30};
  std::uint64_t wal_limit{64 << 20};  // above it somebody pins the log: an alarm
  std::size_t queue_events{65536};
  std::size_t queue_bytes{64 << 20};
  Duration retry{std::chrono::seconds(1)};   // of a disk that refused
  Duration upkeep{std::chrono::seconds(1)};  // retention and folding while nothing is asked
  std::int64_t remove_rows{500};             // of retention in one transaction
  DatabaseOptions database{false, std::chrono::seconds(1), 0};
};

// A topic as of the last commit.
using JournalTopic = OutboxTopic;

class Journal final : public JournalWriter {
 public:
  // Opens the file (created or migrated) on the calling thread. `clock` is the writer thread's own
  // from start() on.
  [[nodiscard]] static Result<std::unique_ptr<Journal>> open(const std::string& path, Clock& clock,
                                                             const JournalOptions& options = {});
  ~Journal() override;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  void start();
  // Refuses what comes, writes and answers what was taken, ends the thread.
  void stop();

  [[nodiscard]] bool append(std::vector<Append> batch, Done done) override;
  [[nodiscard]] bool takes_topic(const std::string& topic) override;
  [[nodiscard]] std::string trouble() const override;
  // A reader cannot read on, because the file is damaged: nothing more is taken that it might not
  // get. The writer may go on for long without noticing. Empty `words`: it reads again.
  void report_damage(const std::string& reader, const std::string& words);
  [[nodiscard]] bool damaged() const;

  // Asked together with appends, answered on the writer thread. False: stopped.
  using Answer = std::function<void(Status)>;
  [[nodiscard]] bool commit(std::string reader, const Commit& commit, Answer done);
  // Everything below `below` may go, whatever its age: it is done elsewhere (the outbox).
  [[nodiscard]] bool trim(std::string topic, Offset below, Answer done);

  [[nodiscard]] const std::string& path() const { return path_; }
  // Random, made with the file: a journal that was made anew is another log.
  [[nodiscard]] const std::string& id() const { return id_; }

  // Rises whenever topics() has changed.
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void topics(std::vector<JournalTopic>& out) const;
  // An eventfd to write to when topics() has changed; it stays open until unwatch().
  void watch(int wake_fd);
  void unwatch(int wake_fd);

  [[nodiscard]] JournalMetrics metrics() const;
  // Why its write-ahead log cannot be folded; empty: it can.
  [[nodiscard]] std::string pinned() const;

 private:
  struct Batch {
    std::vector<Append> events;
    Done done;
    JournalLoad load;
  };
  struct Move {
    std::string reader;
    Commit commit;
    Answer done;
  };
  struct Trim {
    std::string topic;
    Offset below;
    Answer done;
  };
  using Request = std::variant<Batch, Move, Trim>;

  Journal(std::string path, JournalTables tables, Clock& clock, const JournalOptions& options);
  [[nodiscard]] Status make_topics();

  void run();
  [[nodiscard]] Duration patience() const;
  void pass();
  void write(bool due);
  [[nodiscard]] Status write_batches();
  [[nodiscard]] Status write_moves();
  void answer_batches(const Status& status);
  void write_alone();
  void answer_moves(const Status& status);
  void failed(const Error& error);
  void try_again();
  void publish();
  void wake() const;

  // journal_upkeep.cc
  [[nodiscard]] Status retain(bool due);
  [[nodiscard]] Status remove_old();
  [[nodiscard]] Status remove_for_size();
  [[nodiscard]] Status remove(const std::string& topic, Offset below);
  void drop_finished();
  void upkeep();
  void undo();
  [[nodiscard]] MonoTime next_upkeep() const;
  void measure();
  [[nodiscard]] bool removable();
  void fold(bool idle);
  void set_trouble();

  const std::string path_;
  const std::string id_;
  const JournalOptions options_;
  const std::int64_t fold_pages_;
  JournalQueue<Request> queue_;

  // Shared.
  mutable std::mutex mutex_;
  std::string trouble_;
  std::map<std::string, std::string> damage_;  // what readers said, by reader
  std::string pinned_;
  std::vector<JournalTopic> published_;       // by name; none goes
  std::set<std::string, std::less<>> names_;  // topics that are there or may come
  std::vector<int> watchers_;
  JournalMetrics metrics_;
  std::atomic<std::uint64_t> version_{1};

  // The writer's.
  JournalTables tables_;
  Clock& clock_;
  std::vector<Request> requests_;
  std::vector<Batch> batches_;
  std::vector<Move> moves_;
  std::vector<Trim> trims_;
  std::vector<std::vector<Offset>> offsets_;  // of batches_
  std::string disk_trouble_;                  // the last write failed; the next try is at retry_at_
  std::string size_trouble_;
  MonoTime retry_at_{};
  MonoTime upkeep_at_{};
  std::int64_t used_{0};
  std::int64_t removed_{0};  // in the transaction that is open
  std::int64_t rows_{0};     // how many it may remove of each topic
  bool more_to_remove_{false};
  std::int64_t frames_at_fold_{0};

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace purgeline
