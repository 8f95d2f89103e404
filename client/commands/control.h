// Commands that change jobs: `cancel`, `pause`, `resume`, `update`, `delete`, `retry`, `append`,
// `close`.
//
// Where several jobs are named, all are gone through; the exit code is that of the first error.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_CONTROL_H_
#define REEVE_CLIENT_COMMANDS_CONTROL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/map.h"
#include "client/commands/session.h"

namespace reeve {

absl::StatusOr<int> RunCancel(Session& session, const std::vector<std::string>& jobs);
absl::StatusOr<int> RunPause(Session& session, const std::vector<std::string>& jobs);
absl::StatusOr<int> RunResume(Session& session, const std::vector<std::string>& jobs);
absl::StatusOr<int> RunClose(Session& session, const std::vector<std::string>& jobs);
absl::StatusOr<int> RunDelete(Session& session, const std::vector<std::string>& jobs);

struct UpdateOptions {
  std::vector<std::string> jobs;
  std::optional<uint32_t> priority;
  std::optional<uint32_t> max_in_flight;
};
absl::StatusOr<int> RunUpdate(Session& session, const UpdateOptions& options);

// Which tasks of an ended job: all that did not succeed, or those of them for which all of these
// hold.
struct RetryOptions {
  std::vector<std::string> jobs;
  bool failed = false;                  // As the state `failed`.
  std::vector<std::string> states;      // `failed`, `cancelled`, `expired`.
  std::vector<std::string> reasons;     // Names of the API, in any case.
  std::vector<std::string> exit_codes;  // `3,4`.
  std::string tasks;                    // `3,7-9`.
  bool all = false;                     // Those that succeeded, too.
  bool wait = false;
  std::string timeout;
};
absl::StatusOr<int> RunRetry(Session& session, const RetryOptions& options);

// Adds inputs, of the sources of `inputs`, to an open job.
struct AppendOptions {
  std::string job;
  MapOptions inputs;
  bool close = false;
  // Names who appends, so that the command can be repeated: what it has appended is skipped, and
  // only the end of the inputs closes. Absent: all is appended.
  std::optional<std::string> appender;
};
absl::StatusOr<int> RunAppend(Session& session, const AppendOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_CONTROL_H_
