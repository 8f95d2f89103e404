#include "client/exit_code.h"

#include <algorithm>

#include "base/error.h"

namespace reeve {
namespace {

constexpr std::string_view kUsage = "USAGE";
constexpr std::string_view kTimeout = "TIMEOUT";

int Rank(int code) {
  switch (code) {
    case kExitOk: return 0;
    case kExitTaskFailed: return 1;
    case kExitExpired: return 2;
    case kExitCancelled: return 3;
    default: return 4;
  }
}

}  // namespace

absl::Status UsageError(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, kUsage, message);
}

absl::Status TimeoutError(std::string_view message) {
  return MakeError(absl::StatusCode::kDeadlineExceeded, kTimeout, message);
}

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  const std::string reason = ErrorReason(status);
  if (reason == kUsage) return kExitUsage;
  if (reason == kTimeout) return kExitTimeout;
  if (reason == "NO_SUCH_HANDLER" || reason == "NO_FITTING_WORKER") return kExitUnschedulable;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied: return kExitNoConnection;
    case absl::StatusCode::kNotFound: return kExitNotFound;
    default: return kExitRefused;
  }
}

int ExitCodeOf(const v1::Job& job) {
  switch (job.state()) {
    case v1::Job::FAILED: return kExitTaskFailed;
    // Skipped as it asked to be: those behind it go on, too.
    case v1::Job::CANCELLED: return job.cause() == v1::Job::SKIPPED ? kExitOk : kExitCancelled;
    case v1::Job::EXPIRED: return kExitExpired;
    default: return kExitOk;
  }
}

int WorseExitCode(int a, int b) { return Rank(b) > Rank(a) ? b : a; }

bool HasEnded(const v1::Job& job) {
  return job.state() == v1::Job::SUCCEEDED || job.state() == v1::Job::FAILED ||
         job.state() == v1::Job::CANCELLED || job.state() == v1::Job::EXPIRED;
}

}  // namespace reeve
