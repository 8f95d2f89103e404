// `reeve map` (map.cc) and `reeve submit` (submit.cc): one task per input; the first prints the
// results, the second returns at once.
//
// Thread: the main thread's; a thread of its own feeds inputs while results come back.

#ifndef REEVE_CLIENT_COMMANDS_MAP_H_
#define REEVE_CLIENT_COMMANDS_MAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/job_options.h"
#include "client/commands/session.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

struct MapOptions {
  JobOptions job;

  // ---- Where inputs come from: one of these; none: lines of standard input (map), or one task
  // (submit) ----
  std::optional<std::vector<std::string>> arguments;  // Behind `:::`.
  bool arguments_are_records = false;                 // They are JSON.
  std::string array;                                  // A-B:S%N.
  std::string jsonl;                                  // A file of JSON lines; `-`: standard input.
  std::string lines;                                  // A file of lines; `-`: standard input.
  std::optional<std::string> input;  // submit: the one input, or that of all `count` tasks.
  uint32_t count = 0;                // submit: that many tasks.

  size_t block_bytes = 0;  // Lines together, up to so many bytes a task; 0: one a task.
  bool nul = false;        // Records end with NUL instead of a newline.
  bool record_on_stdin = false;
  bool ordered = false;
  std::string job_log;
  bool resume = false;
  bool dry_run = false;
  std::string timeout;
  bool wait = false;       // submit: wait for the end.
  bool open = false;       // submit: tasks may be appended until it is closed.
  std::string request_id;  // submit: the same again gives the same job; empty: a new one.
};

// Returns: the exit code.
absl::StatusOr<int> RunMap(Session& session, const MapOptions& options);
absl::StatusOr<int> RunSubmit(Session& session, const MapOptions& options);

// The job that `submit` would create, with all its tasks, for what creates it later.
// Errors: a usage error, also when the inputs are none or over 1 MiB.
absl::StatusOr<v1::CreateJobRequest> BuildWholeJob(Session& session, const MapOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_MAP_H_
