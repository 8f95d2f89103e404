#include "master/access/budgets.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/strings.h"
#include "master/access/principal.h"

namespace reeve {
namespace {

// Never at once: nothing would be there again.
constexpr absl::Duration kLeastWait = absl::Milliseconds(10);

absl::Status TooMany(std::string_view what, absl::Duration wait) {
  return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_REQUESTS",
                   StrCat("this principal has used up its ", what), std::max(wait, kLeastWait));
}

}  // namespace

Budgets::Budget& Budgets::Of(const std::string& principal, absl::Duration now) {
  const auto [it, is_new] =
      budgets_.try_emplace(principal, Budget{2 * limits_.requests, 2 * limits_.bytes, now});
  Budget& budget = it->second;
  const double seconds = absl::ToDoubleSeconds(now - budget.at);
  budget.requests = std::min(2 * limits_.requests, budget.requests + seconds * limits_.requests);
  budget.bytes = std::min(2 * limits_.bytes, budget.bytes + seconds * limits_.bytes);
  budget.at = now;
  return budget;
}

absl::Status Budgets::Spend(const std::string& principal, uint32_t requests, uint64_t bytes,
                            absl::Duration now) {
  if (principal == kRootPrincipal) return absl::OkStatus();
  MutexLock lock(&mu_);
  Budget& budget = Of(principal, now);
  if (budget.requests < requests) {
    return TooMany("requests for now",
                   absl::Seconds((requests - budget.requests) / limits_.requests));
  }
  if (bytes > 0 && budget.bytes <= 0)
    return TooMany("bytes for now", absl::Seconds(-budget.bytes / limits_.bytes));
  budget.requests -= requests;
  budget.bytes -= static_cast<double>(bytes);
  return absl::OkStatus();
}

absl::Status Budgets::BeginStream(const std::string& principal, absl::Duration now) {
  if (principal == kRootPrincipal) return absl::OkStatus();
  MutexLock lock(&mu_);
  Budget& budget = Of(principal, now);
  if (budget.streams >= limits_.streams) return TooMany("streams", absl::Seconds(1));
  ++budget.streams;
  return absl::OkStatus();
}

void Budgets::EndStream(const std::string& principal) {
  if (principal == kRootPrincipal) return;
  MutexLock lock(&mu_);
  --budgets_.at(principal).streams;
}

}  // namespace reeve
