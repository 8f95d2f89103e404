// Places at which a test makes a program die, stall or fail.
//
//   REEVE_FAILPOINTS="store.commit.before=kill:3,collector.frame=stall:5:100"
//
// NAME=ACTION[:HIT]: at the HIT-th time (default: the first) the point is passed, once:
//
//   kill            the process ends by SIGKILL
//   exit70          the process ends with code 70
//   stall:SECONDS   the thread sleeps
//   error           Hit returns true; what that means stands where the point is
//
// Hits are counted in memory shared by all processes forked after InitFailpoints: a worker that is
// started again by its supervisor does not die at the same point again.
//
// Never inside the pure core. Without the variable a point costs one load.
//
// Thread: InitFailpoints before any thread and fork; Failpoint from any.

#ifndef REEVE_BASE_FAILPOINT_H_
#define REEVE_BASE_FAILPOINT_H_

#include <atomic>
#include <string_view>

#include "absl/status/status.h"

namespace reeve {

// Reads REEVE_FAILPOINTS. Errors: INVALID_ARGUMENT  it is not of the form above.
absl::Status InitFailpoints();

namespace internal_failpoint {
extern std::atomic<bool> any;
bool Hit(std::string_view name);
}  // namespace internal_failpoint

// Passes the point. Returns: whether `error` is asked for, now.
inline bool Failpoint(std::string_view name) {
  return internal_failpoint::any.load(std::memory_order_relaxed) && internal_failpoint::Hit(name);
}

}  // namespace reeve

#endif  // REEVE_BASE_FAILPOINT_H_
