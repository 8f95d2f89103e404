// Following a job: its results as they come, and what is said when it ends or when the user leaves.
//
// Thread: one.

#ifndef REEVE_CLIENT_COMMANDS_FOLLOW_H_
#define REEVE_CLIENT_COMMANDS_FOLLOW_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/canceller.h"
#include "client/commands/session.h"
#include "client/output/progress.h"
#include "client/output/result_printer.h"
#include "client/result_stream.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

enum class FollowEnd {
  kEnded,       // The job has ended and all its results were read.
  kCaughtUp,    // Without `follow`: what there is was read; the job goes on.
  kDetached,    // The canceller was.
  kReaderGone,  // Nobody reads standard output any more.
};

struct FollowOptions {
  bool ordered = false;
  bool follow = true;
  uint64_t cursor = 0;
  std::vector<v1::Task::State> only;
  // Sees each batch before it is printed; an error ends the following.
  std::function<absl::Status(const ResultBatch&)> on_batch;
};

class ResultFollower {
 public:
  // `progress` may be null. Lifetime: all outlive it.
  ResultFollower(Session* session, JobClient* client, Canceller* canceller, Progress* progress,
                 const v1::Job& job, FollowOptions options);

  // Prints results until one of the ends. Errors: as ResultStream::Next, and those of `on_batch`.
  absl::StatusOr<FollowEnd> Follow();

  const ResultPrinter& printer() const { return printer_; }
  uint64_t cursor() const { return stream_.cursor(); }

 private:
  bool Print(const ResultBatch& batch);

  Canceller* const canceller_;
  Progress* const progress_;
  const JobId job_;
  const FollowOptions options_;
  ResultPrinter printer_;
  ResultStream stream_;
};

// How many tasks of the job run now; for Progress.
std::function<std::optional<uint64_t>()> RunningCount(JobClient* client, uint64_t job_id);

// How a job ended that was cancelled or expired, as the end of a sentence.
std::string DescribeEnd(const v1::Job& job);
// Says how an ended job ended, if not well, and what to do next. Returns: the exit code.
int ReportEnd(Session* session, const v1::Job& job, uint64_t unnamed_failures);
// `job 42 goes on; come back with: reeve results 42 --follow`. `command`: without `reeve`.
void ReportDetached(Session* session, uint64_t job_id, std::string_view command);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_FOLLOW_H_
