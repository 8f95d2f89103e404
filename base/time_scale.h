// One factor for every time constant, for tests that wait for leases and windows.
//
// REEVE_TIME_SCALE=0.1 divides heartbeat, suspicion, lease, grace, re-attach window and resends by
// ten. Programs apply it where they make their options; the pure core never sees it. Not for
// production: a lease of 1.5 s loses workers on any busy machine.
//
// Thread: any.

#ifndef REEVE_BASE_TIME_SCALE_H_
#define REEVE_BASE_TIME_SCALE_H_

#include "absl/time/time.h"

namespace reeve {

// From REEVE_TIME_SCALE, read once; [0.001, 1000]. 1 if it is unset or no such number.
double TimeScale();

inline absl::Duration Scaled(absl::Duration duration) { return duration * TimeScale(); }

}  // namespace reeve

#endif  // REEVE_BASE_TIME_SCALE_H_
