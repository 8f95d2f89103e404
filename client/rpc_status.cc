#include "client/rpc_status.h"

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/error.h"
#include "base/strings.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace reeve {

absl::Status FromRpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  std::string reason = absl::StatusCodeToString(code);
  std::optional<absl::Duration> retry_after;
  google::rpc::Status rich;
  if (!status.error_details().empty() && rich.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : rich.details()) {
      google::rpc::ErrorInfo cause;
      google::rpc::RetryInfo retry;
      if (detail.UnpackTo(&cause)) reason = cause.reason();
      if (detail.UnpackTo(&retry)) {
        retry_after = absl::Seconds(retry.retry_delay().seconds()) +
                      absl::Nanoseconds(retry.retry_delay().nanos());
      }
    }
  }
  // gRPC says nothing more of a method that a server does not have.
  const bool is_unknown =
      code == absl::StatusCode::kUnimplemented && status.error_message().empty();
  return MakeError(code, reason,
                   is_unknown ? "the master does not know this call: it is older than this `reeve`"
                              : status.error_message(),
                   retry_after);
}

}  // namespace reeve
