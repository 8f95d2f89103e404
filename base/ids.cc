#include "base/ids.h"

#include "absl/strings/str_cat.h"

namespace reeve {

std::string_view ToString(Reason reason) {
  switch (reason) {
    case Reason::kNone: return "NONE";
    case Reason::kExitNonzero: return "EXIT_NONZERO";
    case Reason::kSignalled: return "SIGNALLED";
    case Reason::kTimeout: return "TIMEOUT";
    case Reason::kHandlerError: return "HANDLER_ERROR";
    case Reason::kWorkerLost: return "WORKER_LOST";
    case Reason::kPoisoned: return "POISONED";
    case Reason::kResultTooLarge: return "RESULT_TOO_LARGE";
    case Reason::kNoSuchHandler: return "NO_SUCH_HANDLER";
    case Reason::kCommandNotFound: return "COMMAND_NOT_FOUND";
    case Reason::kCommandNotExecutable: return "COMMAND_NOT_EXECUTABLE";
    case Reason::kBadInput: return "BAD_INPUT";
    case Reason::kResources: return "RESOURCES";
    case Reason::kDataLoss: return "DATA_LOSS";
    case Reason::kNotAllowed: return "NOT_ALLOWED";
  }
  return "UNKNOWN";
}

std::string_view ToString(TaskState state) {
  switch (state) {
    case TaskState::kUnspecified: return "UNSPECIFIED";
    case TaskState::kScheduled: return "SCHEDULED";
    case TaskState::kReady: return "READY";
    case TaskState::kAssigned: return "ASSIGNED";
    case TaskState::kRunning: return "RUNNING";
    case TaskState::kSucceeded: return "SUCCEEDED";
    case TaskState::kFailed: return "FAILED";
    case TaskState::kCancelled: return "CANCELLED";
    case TaskState::kExpired: return "EXPIRED";
    case TaskState::kBlocked: return "BLOCKED";
  }
  return "UNKNOWN";
}

std::string_view ToString(JobState state) {
  switch (state) {
    case JobState::kUnspecified: return "UNSPECIFIED";
    case JobState::kOpen: return "OPEN";
    case JobState::kActive: return "ACTIVE";
    case JobState::kCancelling: return "CANCELLING";
    case JobState::kSucceeded: return "SUCCEEDED";
    case JobState::kFailed: return "FAILED";
    case JobState::kCancelled: return "CANCELLED";
    case JobState::kExpired: return "EXPIRED";
    case JobState::kPaused: return "PAUSED";
  }
  return "UNKNOWN";
}

std::string_view ToString(Lane lane) {
  switch (lane) {
    case Lane::kUnspecified: return "UNSPECIFIED";
    case Lane::kThread: return "THREAD";
    case Lane::kProcess: return "PROCESS";
    case Lane::kAsync: return "ASYNC";
  }
  return "UNKNOWN";
}

std::string WorkerName(WorkerNumber number) { return absl::StrCat("w-", number.value); }

std::string TaskName(JobId job, TaskIndex index) { return absl::StrCat(job.value, "/", index); }

bool IsCounterName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}

}  // namespace reeve
