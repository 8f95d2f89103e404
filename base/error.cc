#include "base/error.h"

#include "absl/strings/cord.h"
#include "base/strings.h"

namespace reeve {
namespace {
constexpr char kReasonUrl[] = "reeve/reason";
constexpr char kRetryUrl[] = "reeve/retry-after";
}  // namespace

absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message,
                       std::optional<absl::Duration> retry_after) {
  absl::Status status(code, ToAbsl(message));
  status.SetPayload(kReasonUrl, absl::Cord(ToAbsl(reason)));
  if (retry_after.has_value()) {
    status.SetPayload(kRetryUrl, absl::Cord(absl::FormatDuration(*retry_after)));
  }
  return status;
}

std::string ErrorReason(const absl::Status& status) {
  const auto reason = status.GetPayload(kReasonUrl);
  return reason.has_value() ? std::string(*reason) : std::string();
}

std::optional<absl::Duration> ErrorRetryAfter(const absl::Status& status) {
  const auto text = status.GetPayload(kRetryUrl);
  absl::Duration duration;
  if (!text.has_value() || !absl::ParseDuration(std::string(*text), &duration)) return std::nullopt;
  return duration;
}

}  // namespace reeve
