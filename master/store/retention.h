// Which ended jobs the SQLite store still keeps: by age, count and bytes, oldest first.
//
// Sizes are taken some time after a job has ended, so that its end costs nothing more. The sum of
// them lies in `meta` and changes with what it tells of.
//
// Thread: the writing one's.

#ifndef REEVE_MASTER_STORE_RETENTION_H_
#define REEVE_MASTER_STORE_RETENTION_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ids.h"
#include "master/store/sqlite.h"
#include "master/store/sqlite_store.h"

namespace reeve {

class Retention {
 public:
  // `db` outlives it.
  Retention(SqliteConnection* db, const RetentionOptions& options) : db_(*db), options_(options) {}

  // A step: measures some jobs and forgets some, in a transaction of its own if there are any.
  // Jobs that an unfinished one depends on stay. Returns: there is more to do.
  absl::StatusOr<bool> Step(absl::Time now);

  // Forgets an ended job, unless an unfinished one depends on it. Inputs that another job has in
  // common with it stay until that one goes. REQUIRES: within a transaction.
  absl::Status Forget(JobId job);

 private:
  struct Ended {
    int64_t job = 0, end_us = 0, bytes = 0;
  };
  absl::StatusOr<std::vector<Ended>> Unmeasured();
  absl::StatusOr<std::vector<Ended>> Excess(absl::Time now, bool* more);
  absl::Status Measure(std::vector<Ended> jobs);
  absl::StatusOr<int64_t> Meta(const char* key);
  absl::Status PutMeta(const char* key, int64_t value);
  absl::Status Drop(const Ended& job);

  SqliteConnection& db_;
  const RetentionOptions options_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_RETENTION_H_
