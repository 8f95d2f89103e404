#include "client/commands/plan.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

absl::StatusOr<int> OpenInput(const std::string& path) {
  if (path.empty() || path == "-") return STDIN_FILENO;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return UsageError(StrCat("cannot read ", path, ": ", strerror(errno)));
  return fd;
}

absl::Status OpenRecords(const MapOptions& options, int wake_fd, Plan* plan) {
  const bool is_json = !options.jsonl.empty();
  const std::string& path = is_json ? options.jsonl : options.lines;
  const absl::StatusOr<int> fd = OpenInput(path);
  if (!fd.ok()) return fd.status();
  plan->fd = *fd;
  const bool is_stdin = *fd == STDIN_FILENO;
  if (is_stdin && isatty(STDIN_FILENO) == 1 && path.empty()) {
    return UsageError(
        "there are no inputs; give them behind ':::', with --array, or pipe lines in");
  }
  plan->source = MakeRecordSource(*fd, wake_fd,
                                  {.delimiter = options.nul ? '\0' : '\n',
                                   .is_json = is_json,
                                   .block_bytes = options.block_bytes,
                                   .name = is_stdin ? "standard input" : path});
  return absl::OkStatus();
}

absl::Status PlanArray(const MapOptions& options, Plan* plan) {
  const auto array = ParseArrayExpression(options.array);
  if (!array.ok()) return array.status();
  if (array->max_in_flight > 0) plan->spec.set_max_in_flight(array->max_in_flight);
  // With some of it left out it is a range no more.
  if (options.resume) {
    plan->source = MakeArraySource(*array);
  } else {
    plan->array = *array;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSources(const MapOptions& options) {
  const int sources = options.arguments.has_value() + !options.array.empty() +
                      !options.jsonl.empty() + !options.lines.empty() +
                      (options.input.has_value() || options.count > 0);
  if (sources > 1)
    return UsageError(
        "inputs may come from one place only: :::, --array, --jsonl, --lines or --input");
  if (options.nul && !options.jsonl.empty()) return UsageError("-0 does not go with --jsonl");
  const bool has_lines = sources == 0 || !options.jsonl.empty() || !options.lines.empty();
  if (options.block_bytes > 0 && (!has_lines || options.nul || options.resume))
    return UsageError("--block is for lines, and goes neither with -0 nor with --resume");
  if (options.resume && options.job_log.empty()) return UsageError("--resume needs --joblog");
  return absl::OkStatus();
}

InputUse UseOf(const MapOptions& options) {
  if (options.record_on_stdin) return InputUse::kStdin;
  const bool is_json = !options.jsonl.empty() || options.arguments_are_records;
  return is_json ? InputUse::kRecord : InputUse::kArgument;
}

absl::Status OpenSource(const MapOptions& options, int wake_fd, Plan* plan) {
  if (!options.array.empty()) return PlanArray(options, plan);
  if (options.arguments.has_value()) {
    plan->source = MakeArgumentSource(*options.arguments);
    return absl::OkStatus();
  }
  return OpenRecords(options, wake_fd, plan);
}

absl::Status MakePlan(Session& session, const MapOptions& options, InputUse use, int wake_fd,
                      Plan* plan) {
  absl::StatusOr<v1::JobSpec> spec = BuildJobSpec(session, options.job, use);
  if (!spec.ok()) return spec.status();
  plan->spec = *std::move(spec);
  // Records that only go to standard input need not be JSON.
  if (use == InputUse::kStdin && options.jsonl.empty() && !options.arguments_are_records) {
    plan->spec.mutable_command()->set_input_mode(v1::Command::ARGUMENT);
  }
  return OpenSource(options, wake_fd, plan);
}

void MoveTasks(v1::AppendTasksRequest&& from, v1::TaskBatch* to) {
  to->set_task_count(from.task_count());
  to->mutable_input_bytes()->Swap(from.mutable_input_bytes());
  to->mutable_inputs()->swap(*from.mutable_inputs());
}

void SetArray(const ArrayExpression& array, v1::ArraySpec* spec) {
  spec->set_start(array.start);
  spec->set_step(array.step);
  spec->set_count(array.count);
}

void SetSingle(std::string input, v1::TaskBatch* batch) {
  batch->set_task_count(1);
  batch->add_input_bytes(static_cast<uint32_t>(input.size()));
  batch->set_inputs(std::move(input));
}

}  // namespace reeve
