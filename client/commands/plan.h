// What `map`, `submit` and `append` are to make of their options: a job, and where its inputs come
// from.
//
// Thread: one.

#ifndef REEVE_CLIENT_COMMANDS_PLAN_H_
#define REEVE_CLIENT_COMMANDS_PLAN_H_

#include <unistd.h>

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "client/commands/map.h"
#include "client/input/array_expression.h"
#include "client/input/input_source.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

// A job created with its tasks is one call; beyond this they are streamed.
inline constexpr size_t kInlineBytes = 1 << 20;

// What is to be made of the options: a job, and where its inputs come from.
struct Plan {
  v1::JobSpec spec;
  std::optional<ArrayExpression> array;  // The job is an array.
  std::unique_ptr<InputSource> source;   // Otherwise.
  int fd = -1;                           // Opened for `source`.

  ~Plan() {
    if (fd > STDERR_FILENO) close(fd);
  }
};

// Whether the inputs come from one place. Errors, of all: a usage error.
absl::Status CheckSources(const MapOptions& options);

// What the inputs are to the command.
InputUse UseOf(const MapOptions& options);

// Where the inputs come from: an array, the arguments, or records of a file or standard input.
// `wake_fd`: ends waiting for them.
absl::Status OpenSource(const MapOptions& options, int wake_fd, Plan* plan);

// The job as well. Errors: also as BuildJobSpec.
absl::Status MakePlan(Session& session, const MapOptions& options, InputUse use, int wake_fd,
                      Plan* plan);

// Field-wise move of the columns: AppendTasksRequest and TaskBatch share them.
void MoveTasks(v1::AppendTasksRequest&& from, v1::TaskBatch* to);
void SetArray(const ArrayExpression& array, v1::ArraySpec* spec);
// A batch of one task.
void SetSingle(std::string input, v1::TaskBatch* batch);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_PLAN_H_
