// What every method of the API begins and ends with.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_CALL_H_
#define REEVE_MASTER_SERVICE_CALL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/grpcpp.h"
#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"

namespace reeve {

// INVALID_ARGUMENT BAD_REQUEST.
absl::Status BadRequest(std::string_view message);

// Ends a call at once.
grpc::ServerUnaryReactor* Finished(grpc::CallbackServerContext* context,
                                   const absl::Status& status);

// The parts, for what `caller` may see and control.
ServiceParts For(const Caller& caller, ServiceParts parts);

// 1 to 1,000; 0 is read as 100. Errors: INVALID_ARGUMENT.
absl::StatusOr<uint32_t> PageSize(uint32_t asked);
// A number that an earlier answer gave; empty: 0. Errors: INVALID_ARGUMENT.
absl::StatusOr<uint64_t> PageToken(const std::string& token);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_CALL_H_
