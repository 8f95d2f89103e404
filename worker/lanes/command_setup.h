// A task's command as the supervisor starts it, and the result file it may leave.
//
// Private to worker/lanes.
//
// Thread: any.

#ifndef REEVE_WORKER_LANES_COMMAND_SETUP_H_
#define REEVE_WORKER_LANES_COMMAND_SETUP_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/replacement.h"
#include "worker/lanes/lane.h"
#include "worker/supervisor/supervisor.h"

namespace reeve {

class SecretsFolder;

Template TemplateOf(const CommandSpec& command);

// All of the request but its id and descriptors. `scratch`: the attempt's folder, where the command
// runs unless the job names another. `most`: what the worker's owner lets commands use; `secrets`:
// what it keeps for them, null: nothing; `results`: the folder with those of other jobs, "": none.
// Errors: INVALID_ARGUMENT  the input gives no command;
// PERMISSION_DENIED  a secret that the worker does not have.
absl::StatusOr<SpawnRequest> MakeSpawnRequest(const LaneSpan& span, const Template& words,
                                              TaskIndex index, std::string_view input,
                                              const std::string& scratch,
                                              const CommandSpec::Limits& most = {},
                                              const SecretsFolder* secrets = nullptr,
                                              const std::string& results = {});

// Of the result file ($REEVE_RESULT_FILE), in the scratch folder.
inline constexpr std::string_view kResultFile = ".reeve-result";

// What the command left in its result file, opened as `fd`, which is closed; -1 with errno ENOENT:
// there is none, "". Errors: RESOURCE_EXHAUSTED  over 3 MiB; FAILED_PRECONDITION  it cannot be
// read.
absl::StatusOr<std::string> ReadResultFile(int fd);

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_COMMAND_SETUP_H_
