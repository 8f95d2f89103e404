// The durable store: one SQLite file, WAL, every commit fsynced.
//
// Chunks, not rows: a row of `inputs` or `results` holds a whole batch, bytes last, so that
// metadata is read without them. Row ids are job << 32 | first or seq: no other index is needed.

#ifndef REEVE_MASTER_STORE_SQLITE_STORE_H_
#define REEVE_MASTER_STORE_SQLITE_STORE_H_

#include <memory>
#include <string>

#include "master/store/store.h"

namespace reeve {

// Ended jobs are forgotten, the oldest first, once one of these is exceeded.
struct RetentionOptions {
  absl::Duration age = absl::Hours(24 * 7);  // Since its end.
  uint64_t jobs = 1'000'000;                 // So many ended ones.
  uint64_t bytes = 10ull << 30;              // Of their inputs, results and output.
};

struct SqliteStoreOptions {
  std::string path;
  // Make the database if there is none. Otherwise a missing one is refused: an empty store in place
  // of a lost one would look like a fresh cluster.
  bool create = false;
  // Read every page first; a damaged store is refused.
  bool check = false;
  RetentionOptions retention;
};

// Errors: NOT_FOUND            no database and `create` not set.
//         FAILED_PRECONDITION  another program's file, or of a newer Reeve.
//         DATA_LOSS            damaged.
//         PERMISSION_DENIED    cannot be opened or written.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteStoreOptions& options);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_SQLITE_STORE_H_
