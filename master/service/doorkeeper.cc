#include "master/service/doorkeeper.h"

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr std::string_view kScheme = "Bearer ";
constexpr std::string_view kJobService = "reeve.v1.JobService/";

const MethodRule& RuleOf(Method method) { return kMethodRules[static_cast<uint32_t>(method)]; }

std::string_view Authorization(const grpc::CallbackServerContext& context) {
  const auto it = context.client_metadata().find("authorization");
  if (it == context.client_metadata().end()) return {};
  return {it->second.data(), it->second.size()};
}

std::string Names(uint32_t roles) {
  std::string names;
  for (const std::string& name : RoleNames(roles)) names += (names.empty() ? "" : " or ") + name;
  return names;
}

absl::Status CheckRole(const Principal& principal, const MethodRule& rule) {
  if (principal.has(rule.roles)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                   StrCat("this token has the role ", Names(principal.roles), ", ", rule.name,
                          " needs ", Names(rule.roles)));
}

}  // namespace

// ---- Guest ----

absl::Status Guest::Charge(uint64_t bytes) const {
  if (door_ == nullptr) return absl::OkStatus();
  return door_->budgets_.Spend(caller_.principal.name, 0, bytes, Monotonic());
}

void Guest::Note(std::string subject, const absl::Status& result) const {
  if (door_ != nullptr) door_->Note(caller_, std::move(subject), result);
}

void Guest::End() {
  if (door_ == nullptr) return;
  door_->Leave(id_);
  door_->budgets_.EndStream(caller_.principal.name);
  door_ = nullptr;
}

// ---- Doorkeeper ----

absl::StatusOr<Caller> Doorkeeper::CallerOf(std::string_view authorization) const {
  if (authorization.substr(0, kScheme.size()) != kScheme) {
    return MakeError(absl::StatusCode::kUnauthenticated, "BAD_TOKEN",
                     "no token: send `authorization: Bearer TOKEN`");
  }
  const std::string_view token = authorization.substr(kScheme.size());
  auto principal = options_.access->Identify(token, absl::Now());
  if (!principal.ok()) return principal.status();
  return Caller{*std::move(principal), std::string(token), {}, {}};
}

bool Doorkeeper::Knows(std::string_view authorization) const {
  return CallerOf(authorization).ok();
}

absl::StatusOr<Caller> Doorkeeper::Admit(const grpc::CallbackServerContext& context, Method method,
                                         uint64_t bytes) {
  auto found = CallerOf(Authorization(context));
  absl::Status status = found.status();
  Caller caller = found.ok() ? *std::move(found) : Caller();
  caller.method = method;
  if (status.ok()) status = CheckRole(caller.principal, RuleOf(method));
  if (status.ok()) status = budgets_.Spend(caller.principal.name, 1, bytes, Monotonic());
  // Not asked for where nobody reads it: it costs as much as the rest.
  if (!status.ok() || caller.principal.name != kRootPrincipal || options_.audit_jobs_of_root)
    caller.peer = context.peer();
  if (status.ok()) return caller;
  Note(caller, {}, status);
  return status;
}

absl::StatusOr<Guest> Doorkeeper::AdmitStream(grpc::CallbackServerContext* context, Method method,
                                              uint64_t bytes) {
  auto caller = Admit(*context, method, bytes);
  if (!caller.ok()) return caller.status();
  if (absl::Status s = budgets_.BeginStream(caller->principal.name, Monotonic()); !s.ok()) return s;
  MutexLock lock(&mu_);
  const uint64_t id = next_++;
  open_[id] = {caller->token, context};
  return Guest(this, id, *std::move(caller));
}

void Doorkeeper::Leave(uint64_t id) {
  MutexLock lock(&mu_);
  open_.erase(id);
}

// Under the lock a context stays: its stream leaves before it is gone. OnCancel and OnDone run on
// threads of gRPC, not within TryCancel.
void Doorkeeper::EndRevoked() {
  const absl::Time now = absl::Now();
  std::map<std::string_view, bool> counts;  // Many streams have the same token.
  MutexLock lock(&mu_);
  for (const auto& [id, open] : open_) {
    const auto [it, is_new] = counts.try_emplace(open.token, false);
    if (is_new) it->second = options_.access->Identify(open.token, now).ok();
    if (!it->second) open.context->TryCancel();
  }
}

void Doorkeeper::Note(const Caller& caller, std::string subject, const absl::Status& result) const {
  const std::string_view method = RuleOf(caller.method).name;
  const bool is_job = method.substr(0, kJobService.size()) == kJobService;
  if (is_job && caller.principal.name == kRootPrincipal && !options_.audit_jobs_of_root) return;
  options_.audit->Note({absl::Now(), caller.principal.name, caller.peer, method, std::move(subject),
                        result.ok() ? "OK" : ErrorReason(result)});
}

}  // namespace reeve
