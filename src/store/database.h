// Database: one connection to one SQLite file. SQLite's codes become Errors with the file's path
// and SQLite's own words; nothing of sqlite3.h leaves this folder.
//
// Thread: one at a time. A connection may be opened on one thread and handed to another, which owns
// it
//         from then on (it is opened without SQLite's own mutexes).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "purgeline/result.h"
#include "purgeline/types.h"

struct sqlite3;
struct sqlite3_stmt;

namespace purgeline {

// The SQLite in use, for people.
[[nodiscard]] const char* sqlite_library_version();

// Statement: one prepared statement. Parameters are numbered from 1, columns from 0, as in SQLite.
//
// Bound: the text given to bind() must live until step() has returned; it is not copied.
class Statement {
 public:
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view text);
  Statement& bind_null(int parameter);

  // True when there is a row to read, false at the end. After an error the statement is reset.
  [[nodiscard]] Result<bool> step();
  // For a statement without rows: step() to its end, then reset().
  [[nodiscard]] Status run();
  // Makes it ready for the next use; the parameters are forgotten.
  void reset();

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  // Borrowed until the next step() or reset().
  [[nodiscard]] std::string_view text_view(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

struct DatabaseOptions {
  bool read_only{false};  // then the file has to exist
  // How long another process (a person with `sqlite3`, a backup) may hold the file before we give
  // up.
  Duration busy_timeout{std::chrono::seconds(5)};
  std::int64_t max_pages{0};  // most pages the file may grow to; 0: as the disk allows
};

// How far the write-ahead log has been folded into the file.
struct WalState {
  std::int64_t frames{0};  // pages in it
  std::int64_t folded{0};  // of these, those that are in the file as well
};

class Database {
 public:
  [[nodiscard]] static Result<Database> open(const std::string& path,
                                             const DatabaseOptions& options = {});

  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  // Runs one or more statements; their rows are ignored.
  [[nodiscard]] Status run(const std::string& sql);
  // The first column of the first row, which has to exist.
  [[nodiscard]] Result<std::int64_t> number(std::string_view sql);
  [[nodiscard]] Result<std::string> word(std::string_view sql);

  // Write-ahead log, synced on every commit: what commit() answered survives a power cut, and
  // readers of other processes never hold the writer up.
  [[nodiscard]] Status make_durable();
  // Folds as much of the write-ahead log into the file as readers allow; waits for nobody.
  [[nodiscard]] Result<WalState> checkpoint();
  // The caller folds by itself: commits no longer do, and each writes to `frames` how many pages
  // the write-ahead log has then. `keep_bytes`: what of its file stays when it begins anew.
  [[nodiscard]] Status take_over_checkpoints(int* frames, std::int64_t keep_bytes);
  // While set, closing leaves the file as it is even when a write-ahead log lies beside it.
  void keep_untouched(bool on);

  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  Database(sqlite3* connection, std::string path)
      : connection_(connection), path_(std::move(path)) {}
  std::unique_ptr<sqlite3, Close> connection_;
  std::string path_;
};

// Transaction: begins on begin(), rolls back unless commit() succeeded.
//
// Bound: lives no longer than its Database.
class Transaction {
 public:
  // Takes the write lock at once, so that no later statement of it can find the file locked.
  [[nodiscard]] static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  [[nodiscard]] Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;  // null once committed or moved from
};

}  // namespace purgeline
