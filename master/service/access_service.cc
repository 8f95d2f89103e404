#include "master/service/access_service.h"

#include "absl/time/clock.h"
#include "base/strings.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/validate.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

void Describe(const TokenEntry& entry, v1::Token* token) {
  token->set_token_id(entry.token_id);
  token->set_principal(entry.principal);
  for (int role = v1::Token::Role_MIN; role <= v1::Token::Role_MAX; ++role) {
    if ((entry.roles & (1u << role)) != 0) token->add_roles(static_cast<v1::Token::Role>(role));
  }
  *token->mutable_create_time() = ToProto(entry.create_time);
  for (const std::string& handler : entry.handlers) token->add_handlers(handler);
  if (entry.expire_time != absl::InfiniteFuture())
    *token->mutable_expire_time() = ToProto(entry.expire_time);
}

// Bits that no role has are told as no role.
uint32_t RolesOf(const v1::Token& token) {
  uint32_t roles = 0;
  for (const int role : token.roles()) {
    if (role == v1::Token::ROLE_UNSPECIFIED || !v1::Token::Role_IsValid(role)) return 0;
    roles |= 1u << role;
  }
  return roles;
}

absl::Time ExpiryOf(const v1::Token& token) {
  if (!token.has_expire_time()) return absl::InfiniteFuture();
  return absl::FromUnixSeconds(token.expire_time().seconds()) +
         absl::Nanoseconds(token.expire_time().nanos());
}

class AccessServiceImpl final : public v1::AccessService::CallbackService {
 public:
  AccessServiceImpl(Doorkeeper* door, Access* access) : door_(*door), access_(*access) {}

  ServerUnaryReactor* CreateToken(CallbackServerContext* context,
                                  const v1::CreateTokenRequest* request,
                                  v1::CreateTokenResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kAccessServiceCreateToken);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
      return Finished(context, s);
    const v1::Token& wanted = request->token();
    const auto made =
        access_.CreateToken(wanted.principal(), RolesOf(wanted), ExpiryOf(wanted), absl::Now(),
                            {wanted.handlers().begin(), wanted.handlers().end()});
    door_.Note(*caller,
               StrCat("token ", made.ok() ? made->entry.token_id : "", " of ",
                      wanted.principal().substr(0, 64)),
               made.status());
    if (!made.ok()) return Finished(context, made.status());
    Describe(made->entry, response->mutable_token());
    response->set_text(made->text);
    return Finished(context, absl::OkStatus());
  }

  ServerUnaryReactor* ListTokens(CallbackServerContext* context, const v1::ListTokensRequest*,
                                 v1::ListTokensResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kAccessServiceListTokens);
    if (!caller.ok()) return Finished(context, caller.status());
    for (const TokenEntry& entry : access_.ListTokens()) Describe(entry, response->add_tokens());
    return Finished(context, absl::OkStatus());
  }

  ServerUnaryReactor* RevokeToken(CallbackServerContext* context,
                                  const v1::RevokeTokenRequest* request,
                                  v1::RevokeTokenResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kAccessServiceRevokeToken);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
      return Finished(context, s);
    const auto revoked = access_.RevokeTokens(request->token());
    door_.Note(*caller, StrCat("token ", request->token().substr(0, 64)), revoked.status());
    if (revoked.ok()) response->set_revoked_count(static_cast<uint32_t>(*revoked));
    if (revoked.ok()) door_.EndRevoked();
    return Finished(context, revoked.status());
  }

 private:
  Doorkeeper& door_;
  Access& access_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAccessService(Doorkeeper* door, Access* access) {
  return std::make_unique<AccessServiceImpl>(door, access);
}

}  // namespace reeve
