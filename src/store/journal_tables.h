// JournalTables: the writer's statements on journal.db, prepared once, and the topics as they stand
// in the transaction that is open.
//
// Place:  between Journal and Database.
// Thread: the journal's writer.
// Bound:  one row in memory per topic.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "purgeline/journal.h"
#include "purgeline/result.h"
#include "purgeline/stores.h"
#include "store/database.h"

namespace purgeline {

class JournalTables {
 public:
  struct Topic {
    std::int64_t id{0};
    Offset low;   // first that still exists
    Offset next;  // one past the last
    WallTime max_time{};
    bool changed{false};  // and not yet written into the transaction
  };
  using Topics = std::map<std::string, Topic, std::less<>>;

  // The database has the schema of this release.
  [[nodiscard]] static Result<JournalTables> open(Database database);

  [[nodiscard]] const std::string& journal_id() const { return id_; }
  [[nodiscard]] const Topics& topics() const { return topics_; }

  // Everything below belongs between begin() and commit(); after any error comes undo().
  [[nodiscard]] Status begin();
  [[nodiscard]] Status commit();
  void undo();

  [[nodiscard]] Status ensure_topic(std::string_view name);
  [[nodiscard]] Result<Offset> append(const Append& event);
  [[nodiscard]] Status upsert(const std::string& reader, const Commit& commit, WallTime now);
  // Removes events from the topic's low end up to `below`, at most `rows`; returns how many.
  [[nodiscard]] Result<std::int64_t> remove(const std::string& topic, Offset below,
                                            std::int64_t rows);
  // Writes to the disk and takes it back, to learn whether there is room.
  [[nodiscard]] Status probe();

  // The first offset of the topic that some reader still needs: the lowest position. A topic that
  // nobody committed in this journal is needed from its low end.
  [[nodiscard]] Result<Offset> needed_from(const std::string& topic);
  // Among `rows` from the topic's low end, the first offset whose event is not older than `time`.
  [[nodiscard]] Result<Offset> first_not_older(const std::string& topic, WallTime time,
                                               std::int64_t rows);
  // The pages that hold something.
  [[nodiscard]] Result<std::int64_t> used_bytes();
  // Pages in the write-ahead log after the last commit, without asking the disk.
  [[nodiscard]] int wal_frames() const { return *wal_frames_; }
  void forget_frames() { *wal_frames_ = 0; }
  [[nodiscard]] std::int64_t page_size() const { return page_size_; }
  [[nodiscard]] Result<WalState> checkpoint() { return database_->checkpoint(); }
  [[nodiscard]] Status keep_wal(std::int64_t bytes) {
    return database_->take_over_checkpoints(wal_frames_.get(), bytes);
  }

 private:
  struct Statements {
    std::optional<Statement> add_topic, write_topic, add_event, add_mark, upsert, floor, times,
        remove, remove_marks, pages, free_pages, probe_on, probe_off;
  };
  explicit JournalTables(Database database);
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status load_topics();
  [[nodiscard]] Status write_topics();

  std::unique_ptr<Database> database_;  // first: it is closed after the statements are gone
  std::unique_ptr<int> wal_frames_;
  Statements sql_;
  std::optional<Transaction> transaction_;
  std::string id_;
  std::int64_t page_size_{0};
  Topics topics_;
  Topics before_;  // as committed last, for undo()
};

}  // namespace purgeline
