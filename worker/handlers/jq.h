// The handler `jq`: a jq program applied to JSON lines.
//
// Thread: any; each thread compiles a program once and keeps it.
// Source: libjq 1.6 (jq.h, jv.h).

#ifndef REEVE_WORKER_HANDLERS_JQ_H_
#define REEVE_WORKER_HANDLERS_JQ_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/sdk/task_context.h"

namespace reeve {

// Applies the job's option `program` to each line of `input`, blank ones excepted, and returns what
// it puts out, a line each. With the option `raw=true` strings are put out without quotes.
//
// A program sees its record and nothing else: no environment, no modules, no further inputs.
//
// Errors: INVALID_ARGUMENT     no program, or it does not compile; a line that is no JSON value;
//                              the program failed for a line, or halted with an error.
//         FAILED_PRECONDITION  ~/.jq is a file: libjq would read it into the program.
//         CANCELLED            the task was cancelled between two outputs.
absl::StatusOr<std::string> RunJq(TaskContext& task, std::string_view input);

}  // namespace reeve

#endif  // REEVE_WORKER_HANDLERS_JQ_H_
