#include "client/input/duration.h"

#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {

absl::StatusOr<absl::Duration> ParseDurationOption(std::string_view option, std::string_view text) {
  double seconds = 0;
  absl::Duration duration;
  if (absl::SimpleAtod(ToAbsl(text), &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(ToAbsl(text), &duration)) {
    return UsageError(StrCat(option, " '", text, "' is no duration; give e.g. 30s, 10m, 1h30m"));
  }
  if (duration <= absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return UsageError(StrCat(option, " '", text, "' must be above 0"));
  }
  return duration;
}

}  // namespace reeve
