// What survives: the interface that SQLite (durable) and memory (ephemeral) both give.
//
// One thread writes (StoreThread, or the loop for the memory store), another reads (ReaderThread)
// through a StoreReader of its own. A failed commit has an unknown outcome: the caller logs and
// exits 70 (design.md §6, "On doubt, stop").

#ifndef REEVE_MASTER_STORE_STORE_H_
#define REEVE_MASTER_STORE_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/image.h"

namespace reeve {

// A result row.
struct StoredResults {
  uint64_t seq = 0;
  std::vector<ResultRun> runs;  // Terminal.
  Buffer body;                  // Empty when only metadata was asked for.
};

// A job row, ended or not; counts are those of its last PutJobState.
struct StoredJob {
  JobView view;
  JobOptions options;
  uint32_t array_count = 0;
  uint64_t last_seq = 0;
  std::vector<Run> cancelled;
  std::vector<Run> selected;  // Of a job that tries tasks of another one again: those it has.
};

// A piece of a task's output.
struct StoredLog {
  TaskIndex index = 0;
  uint32_t attempt = 0;
  uint32_t stream = 0;  // 1 standard output, 2 standard error.
  uint64_t offset = 0;
  Buffer content;
  uint64_t row = 0;  // Ascending; the cursor of log streams.
};

// What a worker's session told of its tasks' output.
struct OutputArrived {
  SessionId session;
  std::map<JobId, std::vector<StoredLog>> logs;
};

class StoreReader {
 public:
  virtual ~StoreReader() = default;

  // Errors of all: NOT_FOUND (no such job or chunk), DATA_LOSS (a checksum is wrong), INTERNAL.
  virtual absl::StatusOr<StoredJob> ReadJob(JobId job) = 0;
  // Jobs with ids below `before` (0: all), newest first, in one of `states` (empty: all).
  virtual absl::StatusOr<std::vector<StoredJob>> ListJobs(JobId before,
                                                          absl::Span<const JobState> states,
                                                          size_t limit) = 0;
  // Result rows with seq > after, ascending, until `max_bytes` (at least one row if there is one).
  virtual absl::StatusOr<std::vector<StoredResults>> ReadResults(JobId job, uint64_t after,
                                                                 uint64_t max_bytes) = 0;
  // The same without bodies, up to `limit` rows.
  virtual absl::StatusOr<std::vector<StoredResults>> ReadResultRuns(JobId job, uint64_t after,
                                                                    size_t limit) = 0;
  // One row with its body.
  virtual absl::StatusOr<StoredResults> ReadResult(JobId job, uint64_t seq) = 0;
  // Wire bytes of the input chunk that begins at `first`.
  virtual absl::StatusOr<Buffer> ReadInputs(JobId job, TaskIndex first) = 0;
  // The chunks of inputs of a job without their bytes, in order; none of an array.
  virtual absl::StatusOr<std::vector<ChunkImage>> ReadChunks(JobId job) = 0;
  // Inputs that this appender of the job has appended. Errors also: NOT_FOUND for one that has not.
  virtual absl::StatusOr<uint64_t> ReadAppender(JobId job, const std::string& appender) = 0;
  // Log pieces with row > after, ascending, until `max_bytes`; `index` restricts to one task.
  virtual absl::StatusOr<std::vector<StoredLog>> ReadLogs(JobId job, std::optional<TaskIndex> index,
                                                          uint64_t after, uint64_t max_bytes) = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // What is there, for the scheduler. Called once, before the first Commit.
  virtual absl::StatusOr<Image> Load() = 0;

  // Commits `batches`, ascending, as one transaction; durable when it returns OK.
  // Errors: RESOURCE_EXHAUSTED  the disk is full, and nothing of it happened: it may be tried
  // again.
  //         any other           the outcome is unknown.
  virtual absl::Status Commit(absl::Span<const WriteBatch> batches) = 0;

  // Commits log pieces; they wait for nobody and may be dropped when the disk is full. `row` is
  // ignored.
  virtual absl::Status CommitLogs(JobId job, absl::Span<const StoredLog> logs) = 0;

  // A step of forgetting ended jobs that are old or too many. Called by the writing thread, which
  // commits nothing meanwhile. Returns: there is more to do. Errors: as of Commit; a full disk is
  // none.
  virtual absl::StatusOr<bool> Forget() = 0;

  // Idle work: checkpoint. Called by the writing thread when it has nothing to commit.
  // Errors: as of Commit; a full disk is none.
  virtual absl::Status Idle() = 0;

  // A reader for another thread.
  virtual absl::StatusOr<std::unique_ptr<StoreReader>> NewReader() = 0;
};

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_STORE_H_
