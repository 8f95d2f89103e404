#include "master/service/doorkeeper.h"

#include <algorithm>
#include <vector>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr std::string_view kScheme = "Bearer ";

const MethodRule& RuleOf(Method method) { return kMethodRules[static_cast<uint32_t>(method)]; }

std::string_view Authorization(const grpc::CallbackServerContext& context) {
  const auto it = context.client_metadata().find("authorization");
  if (it == context.client_metadata().end()) return {};
  return {it->second.data(), it->second.size()};
}

absl::Status TooMany(std::string_view what, absl::Duration wait) {
  return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_REQUESTS",
                   StrCat("this principal has used up its ", what), wait);
}

std::string Names(uint32_t roles) {
  std::string names;
  for (const std::string& name : RoleNames(roles)) names += (names.empty() ? "" : " or ") + name;
  return names;
}

}  // namespace

bool Doorkeeper::Knows(std::string_view authorization) const {
  return authorization.substr(0, kScheme.size()) == kScheme &&
         options_.access->Identify(authorization.substr(kScheme.size()), absl::Now()).ok();
}

absl::StatusOr<Caller> Doorkeeper::Admit(const grpc::CallbackServerContext& context, Method method,
                                         uint64_t bytes) {
  const std::string_view given = Authorization(context);
  absl::StatusOr<Principal> principal = MakeError(absl::StatusCode::kUnauthenticated, "BAD_TOKEN",
                                                  "no token: send `authorization: Bearer TOKEN`");
  const bool has_token = given.substr(0, kScheme.size()) == kScheme;
  if (has_token) principal = options_.access->Identify(given.substr(kScheme.size()), absl::Now());
  Caller caller{{}, has_token ? std::string(given.substr(kScheme.size())) : "", {}, method};
  absl::Status status = principal.status();
  if (principal.ok()) caller.principal = *std::move(principal);
  if (status.ok() && !caller.principal.has(RuleOf(method).roles)) {
    status = MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                       StrCat("this token has the role ", Names(caller.principal.roles), ", ",
                              RuleOf(method).name, " needs ", Names(RuleOf(method).roles)));
  }
  if (status.ok()) status = Spend(caller.principal.name, 1, static_cast<double>(bytes));
  const bool is_silent =
      status.ok() && caller.principal.name == kRootPrincipal && !options_.audit_jobs_of_root;
  if (!is_silent) caller.peer = context.peer();
  if (status.ok()) return caller;
  Note(caller, {}, status);
  return status;
}

Doorkeeper::Budget& Doorkeeper::BudgetOf(const std::string& principal) {
  const PrincipalLimits& limits = options_.limits;
  const absl::Duration now = Monotonic();
  const auto [it, is_new] =
      budgets_.try_emplace(principal, Budget{2 * limits.requests, 2 * limits.bytes, now});
  Budget& budget = it->second;
  const double seconds = absl::ToDoubleSeconds(now - budget.at);
  budget.requests = std::min(2 * limits.requests, budget.requests + seconds * limits.requests);
  budget.bytes = std::min(2 * limits.bytes, budget.bytes + seconds * limits.bytes);
  budget.at = now;
  return budget;
}

// A budget may go below zero by one request: a large one is let through when there is anything
// left, and paid for by waiting.
absl::Status Doorkeeper::Spend(const std::string& principal, double requests, double bytes) {
  if (principal == kRootPrincipal) return absl::OkStatus();
  MutexLock lock(&mu_);
  Budget& budget = BudgetOf(principal);
  if (budget.requests < requests) {
    return TooMany("requests for now",
                   absl::Seconds((requests - budget.requests) / options_.limits.requests));
  }
  if (bytes > 0 && budget.bytes <= 0)
    return TooMany("bytes for now", absl::Seconds(-budget.bytes / options_.limits.bytes + 0.01));
  budget.requests -= requests;
  budget.bytes -= bytes;
  return absl::OkStatus();
}

absl::StatusOr<Doorkeeper::Guest> Doorkeeper::AdmitStream(grpc::CallbackServerContext* context,
                                                          Method method, uint64_t bytes) {
  auto caller = Admit(*context, method, bytes);
  if (!caller.ok()) return caller.status();
  MutexLock lock(&mu_);
  if (caller->principal.name != kRootPrincipal) {
    Budget& budget = BudgetOf(caller->principal.name);
    if (budget.streams >= options_.limits.streams) return TooMany("streams", absl::Seconds(1));
    ++budget.streams;
  }
  const uint64_t id = next_++;
  open_[id] = {caller->principal.name, caller->token, context};
  return Guest{*std::move(caller), Stay(this, id)};
}

absl::Status Doorkeeper::ChargeStay(uint64_t id, uint64_t bytes) {
  std::string principal;
  {
    MutexLock lock(&mu_);
    const auto it = open_.find(id);
    if (it == open_.end()) return absl::OkStatus();
    principal = it->second.principal;
  }
  return Spend(principal, 0, static_cast<double>(bytes));
}

void Doorkeeper::Leave(uint64_t id) {
  MutexLock lock(&mu_);
  const auto it = open_.find(id);
  if (it == open_.end()) return;
  const auto budget = budgets_.find(it->second.principal);
  if (budget != budgets_.end()) --budget->second.streams;
  open_.erase(it);
}

void Doorkeeper::EndRevoked() {
  const absl::Time now = absl::Now();
  MutexLock lock(&mu_);
  for (const auto& [id, stay] : open_) {
    if (!options_.access->Identify(stay.token, now).ok()) stay.context->TryCancel();
  }
}

void Doorkeeper::Note(const Caller& caller, std::string subject, const absl::Status& result) const {
  constexpr std::string_view kJobs = "reeve.v1.JobService/";
  const bool is_job = RuleOf(caller.method).name.substr(0, kJobs.size()) == kJobs;
  if (is_job && caller.principal.name == kRootPrincipal && !options_.audit_jobs_of_root) return;
  options_.audit->Note({absl::Now(), caller.principal.name, caller.peer, RuleOf(caller.method).name,
                        std::move(subject), result.ok() ? "OK" : ErrorReason(result)});
}

}  // namespace reeve
