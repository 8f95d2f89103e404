// `reeve run`: one command, as if it ran here.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_RUN_H_
#define REEVE_CLIENT_COMMANDS_RUN_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/result_batch.h"
#include "client/commands/job_options.h"
#include "client/commands/session.h"

namespace reeve {

struct RunOptions {
  JobOptions job;
  std::string input;  // For a handler that takes one.
  bool no_stdin = false;
};

// Returns: the command's own exit code, 128 + N for signals, 126, 127; 7 when cancelled.
absl::StatusOr<int> RunOne(Session& session, const RunOptions& options);

// The exit code that stands for how a single task ended.
int ExitCodeOfTask(const ResultEntry& entry);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_RUN_H_
