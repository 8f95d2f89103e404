// What each principal may still ask for: requests and bytes a second, with as much again at once,
// and streams at the same time. Root has no bounds.
//
// Thread: any; time is given.

#ifndef REEVE_MASTER_ACCESS_BUDGETS_H_
#define REEVE_MASTER_ACCESS_BUDGETS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace reeve {

// Of each principal but root; rates are per second.
struct PrincipalLimits {
  double requests = 1'000;
  double bytes = 64 << 20;  // Of requests and appended tasks.
  uint32_t streams = 256;   // At once.
};

class Budgets {
 public:
  explicit Budgets(const PrincipalLimits& limits) : limits_(limits) {}

  // `requests`: 0 or 1. Bytes are let through while there is anything left, and paid for by
  // waiting: a budget smaller than one request would refuse it for ever.
  // Errors: RESOURCE_EXHAUSTED TOO_MANY_REQUESTS, with when to come again; nothing was spent.
  absl::Status Spend(const std::string& principal, uint32_t requests, uint64_t bytes,
                     absl::Duration now);

  // Errors: RESOURCE_EXHAUSTED TOO_MANY_REQUESTS  too many at once.
  absl::Status BeginStream(const std::string& principal, absl::Duration now);
  // REQUIRES: a stream of it was begun.
  void EndStream(const std::string& principal);

 private:
  struct Budget {
    double requests = 0, bytes = 0;
    absl::Duration at;
    uint32_t streams = 0;
  };
  Budget& Of(const std::string& principal, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PrincipalLimits limits_;
  Mutex mu_;
  std::map<std::string, Budget> budgets_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reeve

#endif  // REEVE_MASTER_ACCESS_BUDGETS_H_
