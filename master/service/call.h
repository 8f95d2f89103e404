// What every method of the API begins and ends with.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_CALL_H_
#define REEVE_MASTER_SERVICE_CALL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

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

// The principal as jobs have it; root's is empty.
std::string OwnerFor(const Caller& caller);

// Errors: PERMISSION_DENIED NOT_PERMITTED: the token is not for jobs of this handler.
absl::Status CheckHandler(const Caller& caller, const std::string& handler);

// Posts an event that is answered with a StatusReply. `done` is called once.
template <typename StatusEvent>
void PostForStatus(const ServiceParts& parts, StatusEvent event,
                   const std::function<void(const absl::Status&)>& done) {
  const CallId call = parts.hub->Expect([done](const Reply& reply) {
    std::visit([&done](const auto& body) { done(body.status); }, reply.body);
  });
  event.call = call;
  if (absl::Status s = parts.loop->PostApi(std::move(event), 0); !s.ok()) {
    parts.hub->Forget(call);
    done(s);
  }
}

// 1 to 1,000; 0 is read as 100. Errors: INVALID_ARGUMENT.
absl::StatusOr<uint32_t> PageSize(uint32_t asked);
// A number that an earlier answer gave; empty: 0. Errors: INVALID_ARGUMENT.
absl::StatusOr<uint64_t> PageToken(const std::string& token);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_CALL_H_
