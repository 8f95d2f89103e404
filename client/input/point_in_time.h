// Points in time on the command line: `2026-12-24T18:00:00+01:00`, `2026-12-24 18:00`, `18:00`, or
// from now on: `+90m`.
//
// Thread: none.

#ifndef REEVE_CLIENT_INPUT_POINT_IN_TIME_H_
#define REEVE_CLIENT_INPUT_POINT_IN_TIME_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reeve {

// `option`: for the message. `zone`: of a time without an offset. One that comes twice there is the
// first, one that the clock leaves out the first after it. A time of day alone is the next such.
// Errors: a usage error if it is none in the years 1970 to 9999.
absl::StatusOr<absl::Time> ParsePointInTime(std::string_view option, std::string_view text,
                                            absl::TimeZone zone, absl::Time now);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_POINT_IN_TIME_H_
