// Transactions on a PostgreSQL database without waiting for them: a pool of connections on an event
// loop.
//
// A transaction has a connection to itself from BEGIN to COMMIT; what must wait for one waits in
// order. Connections are made when they are needed, kept, cleaned after each transaction (DISCARD
// ALL), and made anew when they were lost. libpq looks up names and cancels by waiting, so a thread
// of the pool's own connects and cancels; all else is the loop's.
//
// Thread: the loop's.

#ifndef REEVE_WORKER_SQL_SQL_POOL_H_
#define REEVE_WORKER_SQL_SQL_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

class EventLoop;

struct SqlStatement {
  std::string text;                                // One statement, $1, $2, … for parameters.
  std::vector<std::optional<std::string>> params;  // Their text; none: NULL.
};

struct SqlTransaction {
  std::string begin = "BEGIN";
  bool read_only = false;  // As `begin` says: it changes nothing whatever becomes of it.
  std::vector<SqlStatement> statements;
  // Of all results, as JSON; a transaction with more is given up.
  uint64_t max_bytes = 0;
};

struct SqlOutcome {
  enum class Kind {
    kCommitted,
    kRefused,   // The database says no, and would again. Nothing happened.
    kMayPass,   // Nothing happened; again may help.
    kUnknown,   // The connection was lost while it committed.
    kTooLarge,  // Nothing happened: the results are beyond the bound.
  };
  Kind kind = Kind::kCommitted;
  std::string cause;                 // Never empty but for kCommitted.
  std::vector<std::string> results;  // One JSON object a statement; of kCommitted.
};

struct SqlPoolOptions {
  std::string
      database;  // A connection string or URI of libpq; the environment adds to it (PGPASSWORD, …).
  uint32_t max_connections = 10;
};

// What the pool is doing, and how that went.
struct SqlPoolState {
  uint32_t open = 0;     // Connections.
  uint32_t busy = 0;     // Of them with a transaction.
  uint32_t waiting = 0;  // Transactions without a connection.
  uint64_t connects = 0, failed_connects = 0, lost = 0;
  std::string last_error;
};

class SqlPool {
 public:
  // `loop` outlives it.
  SqlPool(EventLoop* loop, SqlPoolOptions options);
  // REQUIRES: the loop does not run any more.
  ~SqlPool();

  // Errors: INVALID_ARGUMENT  no connection string.
  static absl::Status Check(const std::string& database);

  // Calls `done` once, later. Returns: a number for Stop.
  uint64_t Start(SqlTransaction transaction, std::function<void(SqlOutcome)> done);
  // Cancels it; its `done` is not called. It may have committed.
  void Stop(uint64_t number);

  // Thread: any.
  SqlPoolState state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SQL_SQL_POOL_H_
