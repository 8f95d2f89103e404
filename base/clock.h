// The clocks that time-outs live on. Wall time is absl::Now.
//
// Thread: any. Source: clock_gettime(2).

#ifndef REEVE_BASE_CLOCK_H_
#define REEVE_BASE_CLOCK_H_

#include <time.h>

#include "absl/time/time.h"

namespace reeve {

inline absl::Duration ReadClock(clockid_t clock) {
  timespec ts;
  clock_gettime(clock, &ts);
  return absl::DurationFromTimespec(ts);
}

// Since an arbitrary point; never goes back, and stands still while the machine sleeps.
inline absl::Duration Monotonic() { return ReadClock(CLOCK_MONOTONIC); }
// Goes on while the machine sleeps; the same for all processes of a machine.
inline absl::Duration Boottime() { return ReadClock(CLOCK_BOOTTIME); }

}  // namespace reeve

#endif  // REEVE_BASE_CLOCK_H_
