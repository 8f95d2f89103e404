// Errors with a reason: absl::Status plus one word of the published table
// (proto/reeve/v1/services.proto) and a retry hint.
//
// Made where something is refused, carried unchanged to the edge, turned into google.rpc details by
// master/service/convert and back by client/job_client.

#ifndef REEVE_BASE_ERROR_H_
#define REEVE_BASE_ERROR_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace reeve {

// `reason`: upper-case word of the table, e.g. "JOB_NOT_FOUND". `retry_after`: for
// RESOURCE_EXHAUSTED.
absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message,
                       std::optional<absl::Duration> retry_after = std::nullopt);

// The reason, or "" if none was given.
std::string ErrorReason(const absl::Status& status);
std::optional<absl::Duration> ErrorRetryAfter(const absl::Status& status);

}  // namespace reeve

#endif  // REEVE_BASE_ERROR_H_
