#include "worker/async/backoff.h"

#include <algorithm>

namespace reeve {

absl::Duration Backoff(absl::Duration first, absl::Duration longest, const AttemptContext& task,
                       uint32_t tries) {
  const absl::Duration whole =
      std::min(longest, first * static_cast<int64_t>(uint64_t{1} << std::min(tries - 1, 20u)));
  const uint64_t mixed =
      (task.job().value * 31 + task.index() * 2'654'435'761u + tries) * 0x9E3779B97F4A7C15u;
  return whole * (0.5 + static_cast<double>(mixed >> 11) * 0x1.0p-54);
}

}  // namespace reeve
