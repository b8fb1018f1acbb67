#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <cstring>
#include <utility>

#include "purgeline/check.h"

namespace purgeline {
namespace {

// The write-ahead log is cut back to this after a checkpoint; without it one burst would keep its
// size.
constexpr int kLogBytesKept = 4 << 20;

Errc code_of(int rc, int system_errno) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return Errc::no_space;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Errc::corrupt;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Errc::permission;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::unavailable;
    case SQLITE_TOOBIG:
      return Errc::out_of_range;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return system_errno == 0 ? Errc::internal : errno_errc(system_errno);
    default:
      return Errc::internal;
  }
}

// sqlite3_system_errno() says nothing of a COMMIT that failed; the files remember.
int last_errno(sqlite3* connection) {
  if (const int number = sqlite3_system_errno(connection); number != 0) return number;
  for (const int which : {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER}) {
    sqlite3_file* file = nullptr;
    int number = 0;
    if (sqlite3_file_control(connection, "main", which, &file) == SQLITE_OK && file != nullptr &&
        file->pMethods != nullptr &&
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number) == SQLITE_OK &&
        number != 0) {
      return number;
    }
  }
  return 0;
}

Error error_of(sqlite3* connection, const std::string& path, int rc) {
  const int primary = rc & 0xff;
  const bool from_system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN;
  const int system_errno = from_system ? last_errno(connection) : 0;
  std::string detail = path + ": " + sqlite3_errmsg(connection);
  // "disk I/O error" and "unable to open database file" alone send nobody to the right place.
  if (system_errno != 0) detail += std::string(" (") + std::strerror(system_errno) + ")";
  return Error{code_of(rc, system_errno), std::move(detail)};
}

// SQLite takes SQL lengths as int; ours are all literals.
int length_of(std::string_view text) {
  CHECK(text.size() <= static_cast<std::size_t>(INT32_MAX));
  return static_cast<int>(text.size());
}

Status apply(Database& database, const DatabaseOptions& options) {
  if (options.max_pages == 0) return {};
  return database.run("PRAGMA max_page_count=" + std::to_string(options.max_pages));
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  const int rc = sqlite3_bind_int64(statement_.get(), parameter, value);
  CHECK(rc == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  // A null pointer would mean NULL, and an empty view may carry one.
  const char* data = text.data() == nullptr ? "" : text.data();
  const int rc = sqlite3_bind_text64(statement_.get(), parameter, data, text.size(), SQLITE_STATIC,
                                     SQLITE_UTF8);
  // Over SQLite's limit of 10^9 bytes: no part of ours makes such a text.
  CHECK(rc == SQLITE_OK);
  return *this;
}

Statement& Statement::bind_null(int parameter) {
  const int rc = sqlite3_bind_null(statement_.get(), parameter);
  CHECK(rc == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int rc = sqlite3_step(statement_.get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  sqlite3* connection = sqlite3_db_handle(statement_.get());
  const char* path = sqlite3_db_filename(connection, "main");
  Error error = error_of(connection, path == nullptr ? "" : path, rc);
  reset();
  return tl::unexpected<Error>(std::move(error));
}

Status Statement::run() {
  while (true) {
    Result<bool> row = step();
    if (!row) return tl::unexpected<Error>(std::move(row.error()));
    if (!*row) break;
  }
  reset();
  return {};
}

void Statement::reset() {
  // Both repeat the error of the last step, which was already reported.
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  return std::string(text_view(column));
}

std::string_view Statement::text_view(int column) const {
  const unsigned char* data = sqlite3_column_text(statement_.get(), column);
  if (data == nullptr) return {};
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

Result<Database> Database::open(const std::string& path, const DatabaseOptions& options) {
  const int access =
      options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* connection = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &connection,
                                 access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (connection == nullptr) return failure(Errc::internal, path + ": out of memory");
  Database database(connection, path);
  if (rc != SQLITE_OK) return tl::unexpected<Error>(error_of(connection, path, rc));
  // SQLite falls back to reading when it may not write, and would say so only at the first commit.
  if (!options.read_only && sqlite3_db_readonly(connection, "main") == 1) {
    return failure(Errc::permission, path + ": the file may be read but not written by this user");
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(options.busy_timeout);
  CHECK(wait.count() >= 0 && wait.count() <= INT32_MAX);
  sqlite3_busy_timeout(connection, static_cast<int>(wait.count()));
  Status status = apply(database, options);
  if (!status) return tl::unexpected<Error>(std::move(status.error()));
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int rc =
      sqlite3_prepare_v2(connection_.get(), sql.data(), length_of(sql), &statement, nullptr);
  if (rc != SQLITE_OK) return tl::unexpected<Error>(error_of(connection_.get(), path_, rc));
  CHECK(statement != nullptr);
  return Statement(statement);
}

Status Database::run(const std::string& sql) {
  const int rc = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return tl::unexpected<Error>(error_of(connection_.get(), path_, rc));
  return {};
}

Result<std::int64_t> Database::number(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return tl::unexpected<Error>(std::move(statement.error()));
  Result<bool> row = statement->step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  CHECK(*row);
  return statement->integer(0);
}

Result<std::string> Database::word(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return tl::unexpected<Error>(std::move(statement.error()));
  Result<bool> row = statement->step();
  if (!row) return tl::unexpected<Error>(std::move(row.error()));
  CHECK(*row);
  return statement->text(0);
}

Status Database::make_durable() {
  // SQLite answers with the mode in force; some file systems (no shared memory) refuse the log.
  Result<std::string> mode = word("PRAGMA journal_mode=WAL");
  if (!mode) return tl::unexpected<Error>(std::move(mode.error()));
  if (*mode != "wal") {
    return failure(Errc::unsupported,
                   path_ + ": this file system does not allow SQLite's write-ahead log (mode " +
                       *mode + "); state_dir has to be on a local disk");
  }
  return run("PRAGMA synchronous=FULL; PRAGMA journal_size_limit=" + std::to_string(kLogBytesKept));
}

Result<WalState> Database::checkpoint() {
  int frames = 0;
  int folded = 0;
  const int rc = sqlite3_wal_checkpoint_v2(connection_.get(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                           &frames, &folded);
  // Busy: another program folds right now, or reads an old state. What was done is done.
  if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) {
    return tl::unexpected<Error>(error_of(connection_.get(), path_, rc));
  }
  return WalState{frames, folded};
}

Status Database::take_over_checkpoints(int* frames, std::int64_t keep_bytes) {
  const auto hook = [](void* out, sqlite3*, const char*, int pages) {
    *static_cast<int*>(out) = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(connection_.get(), hook, frames);
  return run("PRAGMA journal_size_limit=" + std::to_string(keep_bytes));
}

void Database::keep_untouched(bool on) {
  const int rc =
      sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on ? 1 : 0, nullptr);
  CHECK(rc == SQLITE_OK);
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(connection_.get()) == 0;
}

Result<Transaction> Transaction::begin(Database& database) {
  CHECK(!database.in_transaction());
  Status status = database.run("BEGIN IMMEDIATE");
  if (!status) return tl::unexpected<Error>(std::move(status.error()));
  return Transaction(database);
}

Transaction::~Transaction() {
  // After some errors (disk full) SQLite has already rolled back by itself.
  if (database_ == nullptr || !database_->in_transaction()) return;
  static_cast<void>(database_->run("ROLLBACK"));
}

Status Transaction::commit() {
  CHECK(database_ != nullptr);
  Status status = database_->run("COMMIT");
  if (status) database_ = nullptr;
  return status;
}

const char* sqlite_library_version() {
  return sqlite3_libversion();
}

}  // namespace purgeline
