// Exit codes of `reeve`, as published, and how errors and ended jobs map to them.
//
// Thread: none.

#ifndef REEVE_CLIENT_EXIT_CODE_H_
#define REEVE_CLIENT_EXIT_CODE_H_

#include <string_view>

#include "absl/status/status.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

enum ExitCode : int {
  kExitOk = 0,
  kExitTaskFailed = 1,
  kExitUsage = 2,
  kExitNoConnection = 3,
  kExitNotFound = 4,
  kExitRefused = 5,
  kExitUnschedulable = 6,
  kExitCancelled = 7,
  kExitExpired = 8,
  kExitTimeout = 124,
  kExitInterrupted = 130,  // A second Ctrl-C, or one that left a job behind.
  kExitReaderGone = 141,   // Nobody read standard output any more, as after SIGPIPE.
};

// What the caller gave cannot be right: exits 2.
absl::Status UsageError(std::string_view message);
// `--timeout` elapsed: exits 124.
absl::Status TimeoutError(std::string_view message);

// Exit code for an error; 0 for OK.
int ExitCodeOf(const absl::Status& status);
// Exit code for a job: 0, 1, 7 or 8 once it has ended, 0 while it goes on.
int ExitCodeOf(const v1::Job& job);
// The one to report of two: 7 before 8 before 1, an error of the call before either.
int WorseExitCode(int a, int b);

bool HasEnded(const v1::Job& job);

}  // namespace reeve

#endif  // REEVE_CLIENT_EXIT_CODE_H_
