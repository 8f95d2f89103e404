#include "master/store/sqlite.h"

#include <utility>

#include "base/strings.h"
#include "sqlite3.h"

namespace reeve {
namespace {

absl::Status FaultOf(sqlite3* db, std::string_view doing) {
  const int code = sqlite3_errcode(db);
  const std::string message = StrCat(doing, ": ", sqlite3_errmsg(db));
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return absl::DataLossError(message);
    case SQLITE_FULL: return absl::ResourceExhaustedError(message);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return absl::PermissionDeniedError(message);
    default: return absl::InternalError(message);
  }
}

int CheckpointSome(sqlite3* db) {
  const int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_FULL: return SQLITE_OK;  // Nothing is in doubt: the log is still there.
    default: return rc == SQLITE_IOERR_NOMEM ? SQLITE_OK : rc;
  }
}

int OnCommitted(void* pages, sqlite3* db, const char*, int pages_in_log) {
  return pages_in_log < static_cast<int>(reinterpret_cast<intptr_t>(pages)) ? SQLITE_OK
                                                                            : CheckpointSome(db);
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}

SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(statement_, other.statement_);
  return *this;
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

absl::Status SqliteStatement::Fault() const { return FaultOf(db_, sqlite3_sql(statement_)); }

SqliteStatement& SqliteStatement::Bind(int64_t value) {
  if (sqlite3_bind_int64(statement_, ++bound_, value) != SQLITE_OK) bind_status_ = Fault();
  return *this;
}

SqliteStatement& SqliteStatement::Bind(std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  if (sqlite3_bind_blob64(statement_, ++bound_, data, bytes.size(), SQLITE_STATIC) != SQLITE_OK) {
    bind_status_ = Fault();
  }
  return *this;
}

void SqliteStatement::Reset() {
  sqlite3_reset(statement_);
  bound_ = 0;
}

absl::Status SqliteStatement::Run() {
  absl::StatusOr<bool> row = true;
  do {
    row = Step();
  } while (row.ok() && *row);
  return row.status();
}

absl::StatusOr<bool> SqliteStatement::Step() {
  if (!bind_status_.ok()) {
    Reset();
    return std::exchange(bind_status_, absl::OkStatus());
  }
  const int rc = sqlite3_step(statement_);
  if (rc == SQLITE_ROW) return true;
  const absl::Status status = rc == SQLITE_DONE ? absl::OkStatus() : Fault();
  Reset();
  if (!status.ok()) return status;
  return false;
}

int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view SqliteStatement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(data), size);
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         bool read_only) {
  sqlite3* db = nullptr;
  const int flags =
      (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int rc = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  if (rc != SQLITE_OK) {
    const absl::Status status =
        db == nullptr ? absl::ResourceExhaustedError("no memory for SQLite") : FaultOf(db, path);
    sqlite3_close(db);
    return status;
  }
  sqlite3_busy_timeout(db, 10'000);
  return std::unique_ptr<SqliteConnection>(new SqliteConnection(db));
}

SqliteConnection::~SqliteConnection() { sqlite3_close(db_); }

absl::Status SqliteConnection::Execute(const char* sql) {
  return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK ? absl::OkStatus()
                                                                        : FaultOf(db_, sql);
}

bool SqliteConnection::InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }

absl::StatusOr<SqliteStatement> SqliteConnection::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) !=
      SQLITE_OK) {
    return FaultOf(db_, sql);
  }
  return SqliteStatement(db_, statement);
}

absl::Status SqliteConnection::Prepare(const char* sql, SqliteStatement* statement) {
  absl::StatusOr<SqliteStatement> prepared = Prepare(sql);
  if (prepared.ok()) *statement = std::move(*prepared);
  return prepared.status();
}

absl::StatusOr<int64_t> SqliteConnection::QueryInt(const char* sql) {
  absl::StatusOr<SqliteStatement> statement = Prepare(sql);
  if (!statement.ok()) return statement.status();
  absl::StatusOr<bool> row = statement->Step();
  if (!row.ok()) return row.status();
  return *row ? statement->Int(0) : 0;
}

absl::Status SqliteConnection::ForEach(
    const char* sql, const std::function<absl::Status(SqliteStatement& row)>& visit) {
  absl::StatusOr<SqliteStatement> statement = Prepare(sql);
  if (!statement.ok()) return statement.status();
  for (;;) {
    const absl::StatusOr<bool> row = statement->Step();
    if (!row.ok() || !*row) return row.status();
    if (absl::Status s = visit(*statement); !s.ok()) return s;
  }
}

absl::Status SqliteConnection::Checkpoint() {
  return CheckpointSome(db_) == SQLITE_OK ? absl::OkStatus() : FaultOf(db_, "checkpoint");
}

void SqliteConnection::CheckpointAfter(int pages) {
  sqlite3_wal_hook(db_, OnCommitted, reinterpret_cast<void*>(static_cast<intptr_t>(pages)));
}

}  // namespace reeve
