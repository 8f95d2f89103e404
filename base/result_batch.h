// Results of tasks: writes and reads the wire bytes of reeve.v1.ResultBatch column by column,
// without a message per task.
//
// Meaning of the columns: proto/reeve/v1/batch.proto. Thread: the builder belongs to one thread, a
// parsed batch is immutable.

#ifndef REEVE_BASE_RESULT_BATCH_H_
#define REEVE_BASE_RESULT_BATCH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "base/time_histogram.h"

namespace reeve {

// reeve.v1.ResultBatch.flags.
inline constexpr uint32_t kOutputTruncated = 1;
inline constexpr uint32_t kErrorOutputTruncated = 2;
inline constexpr uint32_t kOutputInLogs = 4;

// Entries of one batch; far above what fits a frame with anything in it.
inline constexpr uint32_t kMaxBatchEntries = 1u << 20;

// How one attempt ended. Views are read during Add and not kept.
struct ResultEntry {
  TaskIndex index = 0;
  TaskState state = TaskState::kSucceeded;  // kSucceeded, kFailed or kCancelled.
  Reason reason = Reason::kNone;
  uint32_t attempt = 1;
  uint32_t exit_code = 0;
  uint32_t signal = 0;
  uint32_t flags = 0;
  int64_t start_us = 0;  // Wall clock, microseconds since the Unix epoch.
  uint32_t run_us = 0;
  std::string_view output;
  std::string_view error_output;
  std::string_view message;
  std::string_view result_file;  // Of a command.
};

// Indexes of a batch and where they lie in its columns.
struct PositionedRun {
  TaskIndex first = 0;
  uint32_t count = 0;
  uint32_t position = 0;

  Run run() const { return {first, count}; }
  bool operator==(const PositionedRun&) const = default;
};

class ResultBatchBuilder {
 public:
  // Adds a result. REQUIRES: indexes ascend.
  void Add(const ResultEntry& entry);

  uint32_t count() const { return static_cast<uint32_t>(output_bytes_.size()); }
  // About the size of the wire bytes; keep it under kMaxMessageBytes less 64 KiB.
  size_t bytes() const;
  bool empty() const { return count() == 0; }

  // The body's wire bytes; the builder is empty afterwards. `worker`: `w-3`.
  std::string Finish(std::string_view worker);

 private:
  std::vector<Run> runs_;
  std::vector<uint32_t> output_bytes_, error_output_bytes_, message_bytes_, result_file_bytes_;
  std::vector<uint32_t> states_, reasons_, attempts_, exit_codes_, signals_, flags_, run_us_;
  std::vector<int64_t> start_us_;
  std::string output_, error_output_, message_, result_file_;
};

// The body for tasks that all succeeded at `start_us` without output or run time: as the builder
// would write it. REQUIRES: run.count in [1, kMaxBatchEntries]. Cost: O(1), about 30 bytes.
std::string EncodeEmptyResults(Run run, uint32_t attempt, int64_t start_us,
                               std::string_view worker);

// A batch as it came: body alone, or with a head before it.
class ResultBatch {
 public:
  // Errors: INVALID_ARGUMENT  not protobuf, or the columns do not fit each other.
  // Cost:   a few ns an entry; blobs are not copied.
  static absl::StatusOr<std::shared_ptr<const ResultBatch>> Parse(Buffer wire);

  // Number of entries in the columns.
  uint32_t count() const { return count_; }
  // Runs of the body: all entries, in order.
  const std::vector<PositionedRun>& body_runs() const { return body_runs_; }
  // Runs of the head: the entries that count. Empty when the batch has no head.
  const std::vector<PositionedRun>& head_runs() const { return head_runs_; }
  JobId job() const { return job_; }
  uint64_t cursor() const { return cursor_; }
  // The head says that the stream ends here; runs cancelled without a result.
  bool is_end() const { return is_end_; }
  const std::vector<PositionedRun>& cancelled() const { return cancelled_; }
  std::string_view worker() const { return worker_; }

  // Every entry is SUCCEEDED. Cost: O(1).
  bool all_succeeded() const { return states_.empty(); }
  // REQUIRES: position < count().
  TaskState State(uint32_t position) const;

  // How long the attempts ran: buckets ascend. Cost: O(1) if all took the same, else about a ns an
  // entry.
  std::vector<TimeCount> RunTimes() const;

  // The entry at `position`; `index` must be found from the runs: it is given. REQUIRES: position <
  // count().
  ResultEntry Entry(uint32_t position, TaskIndex index) const;

  // Calls `visit(const ResultEntry&)` for each entry of `runs`, in order.
  template <typename Visit>
  void ForEach(const std::vector<PositionedRun>& runs, Visit visit) const {
    for (const PositionedRun& run : runs) {
      for (uint32_t i = 0; i < run.count; ++i) visit(Entry(run.position + i, run.first + i));
    }
  }

 private:
  // A column of lengths into a blob: prefix sums, or one length for all.
  struct Blob {
    std::string_view bytes;
    uint32_t uniform = 0;
    std::vector<uint32_t> ends;
    std::string_view At(uint32_t position) const;
  };
  ResultBatch() = default;

  Buffer wire_;
  uint32_t count_ = 0;
  JobId job_;
  uint64_t cursor_ = 0;
  bool is_end_ = false;
  std::vector<PositionedRun> body_runs_, head_runs_, cancelled_;
  std::string_view worker_;
  Blob output_, error_output_, message_, result_file_;
  std::vector<uint32_t> states_, reasons_, attempts_, exit_codes_, signals_, flags_,
      start_offset_us_, run_us_;
  int64_t start_time_us_ = 0;
};

// The head to put before the stored body bytes: job, cursor and runs; concatenated they are one
// ResultBatch.
std::string EncodeResultHead(JobId job, uint64_t cursor, const std::vector<PositionedRun>& runs);
// A whole message that only ends a stream.
std::string EncodeResultsEnd(JobId job, uint64_t cursor, const std::vector<Run>& cancelled);

}  // namespace reeve

#endif  // REEVE_BASE_RESULT_BATCH_H_
