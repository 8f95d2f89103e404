// Durations on the command line: `90m`, `1h30m`, `500ms`, or plain seconds.
//
// Thread: none.

#ifndef REEVE_CLIENT_INPUT_DURATION_H_
#define REEVE_CLIENT_INPUT_DURATION_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reeve {

// `option`: for the message. Errors: a usage error if it is no duration above 0.
absl::StatusOr<absl::Duration> ParseDurationOption(std::string_view option, std::string_view text);

}  // namespace reeve

#endif  // REEVE_CLIENT_INPUT_DURATION_H_
