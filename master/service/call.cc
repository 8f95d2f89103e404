#include "master/service/call.h"

#include <memory>

#include "absl/strings/numbers.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/service/convert.h"

namespace reeve {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;

}  // namespace

absl::Status BadRequest(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

grpc::ServerUnaryReactor* Finished(grpc::CallbackServerContext* context,
                                   const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

ServiceParts For(const Caller& caller, ServiceParts parts) {
  if (!caller.principal.controls_all())
    parts.principal = std::make_shared<const Principal>(caller.principal);
  return parts;
}

std::string OwnerFor(const Caller& caller) {
  return caller.principal.name == kRootPrincipal ? "" : caller.principal.name;
}

absl::Status CheckHandler(const Caller& caller, const std::string& handler) {
  if (caller.principal.may_use(handler)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                   StrCat("this token is not for jobs of the handler ", handler));
}

absl::StatusOr<uint32_t> PageSize(uint32_t asked) {
  if (asked > kMaxPage) return BadRequest("page_size: 1 to 1,000");
  return asked == 0 ? kDefaultPage : asked;
}

absl::StatusOr<uint64_t> PageToken(const std::string& token) {
  uint64_t value = 0;
  if (!token.empty() && !absl::SimpleAtoi(token, &value))
    return BadRequest("page_token: not from an earlier answer");
  return value;
}

}  // namespace reeve
