// A connection and prepared statements of SQLite, with Status instead of return codes.
//
// Thread: one connection, one thread.

#ifndef REEVE_MASTER_STORE_SQLITE_H_
#define REEVE_MASTER_STORE_SQLITE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace reeve {

class SqliteStatement {
 public:
  SqliteStatement() = default;
  SqliteStatement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;
  ~SqliteStatement();

  // Binds the next parameter. Bytes are not copied: they must live until Run, or the last Step.
  SqliteStatement& Bind(int64_t value);
  SqliteStatement& Bind(std::string_view bytes);

  // Executes to the end and makes ready for the next use.
  absl::Status Run();
  // True: a row is there; false: no more (ready for the next use). Call Reset when leaving early.
  absl::StatusOr<bool> Step();
  void Reset();

  int64_t Int(int column) const;
  std::string_view Bytes(int column) const;  // Until the next Step or Reset.

 private:
  absl::Status Fault() const;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  absl::Status bind_status_;
};

class SqliteConnection {
 public:
  // Errors: UNAVAILABLE, DATA_LOSS (not a database), with the path and SQLite's words.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path,
                                                                bool read_only);
  ~SqliteConnection();

  absl::Status Execute(const char* sql);
  // A transaction has begun and not ended.
  bool InTransaction() const;
  absl::StatusOr<SqliteStatement> Prepare(const char* sql);
  // The same, into `statement`.
  absl::Status Prepare(const char* sql, SqliteStatement* statement);
  absl::StatusOr<int64_t> QueryInt(const char* sql);
  // Calls `visit` for each row until one is an error.
  absl::Status ForEach(const char* sql,
                       const std::function<absl::Status(SqliteStatement& row)>& visit);

  // Moves the log into the database as far as readers let it. What it finds no room for stays in
  // the log. Errors: as of a commit; the database and the log are in doubt then.
  absl::Status Checkpoint();
  // Does so after each commit that finds so many pages in the log. Its errors become the commit's,
  // though that has taken place: SQLite's own wal_autocheckpoint keeps them to itself, and a sync
  // that failed once may report success the next time, with data lost.
  void CheckpointAfter(int pages);

 private:
  explicit SqliteConnection(sqlite3* db) : db_(db) {}
  sqlite3* const db_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_SQLITE_H_
