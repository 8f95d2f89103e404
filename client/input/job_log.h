// The job log of `map --joblog FILE`: one line of tab-separated values per task, and what
// `--resume` learns from it.
//
//   position  task   state      reason  exit_code  signal  attempt  worker  start_time seconds
//   output_bytes 17        42/17  SUCCEEDED          0          0       1        w-3
//   2024-05-01T10:00:00Z 0.004217  65
//
// `position` counts the inputs from 0; a task of a resumed run has another index and the same
// position.
//
// Thread: one.

#ifndef REEVE_CLIENT_INPUT_JOB_LOG_H_
#define REEVE_CLIENT_INPUT_JOB_LOG_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/result_batch.h"

namespace reeve {

// A set of input positions.
class PositionSet {
 public:
  void Add(uint64_t position);
  bool Contains(uint64_t position) const {
    return position / 64 < words_.size() && (words_[position / 64] >> (position % 64) & 1) != 0;
  }
  uint64_t count() const { return count_; }

 private:
  std::vector<uint64_t> words_;
  uint64_t count_ = 0;
};

// From the index of a task to the position of its input, when inputs were skipped.
class PositionMap {
 public:
  // The next task has the input at `position`. REQUIRES: positions ascend.
  void Append(uint64_t position);
  uint64_t At(uint64_t index) const;

 private:
  struct Piece {
    uint64_t index;
    uint64_t position;
  };
  std::vector<Piece> pieces_;  // Where a row of consecutive positions begins.
  uint64_t count_ = 0;
};

// The line of one result, with its newline.
std::string JobLogLine(uint64_t position, JobId job, const ResultEntry& entry,
                       std::string_view worker);

// Positions that the log at `path` says succeeded. A last line that was cut is ignored.
// Errors: a usage error if it is no such log. A file that is not there is an empty log.
absl::StatusOr<PositionSet> ReadJobLog(const std::string& path);

class JobLogWriter {
 public:
  // Makes the file, or goes on with it if `append`.
  static absl::StatusOr<std::unique_ptr<JobLogWriter>> Open(const std::string& path, bool append);
  ~JobLogWriter();

  // Writes whole lines at once.
  absl::Status Write(std::string_view lines);

 private:
  JobLogWriter(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  const int fd_;
  const std::string path_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_JOB_LOG_H_
