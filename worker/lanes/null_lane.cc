#include "worker/lanes/null_lane.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/result_batch.h"

namespace reeve {

void NullLane::Start(LaneSpan span) {
  const int64_t now_us = absl::GetCurrentTimeNanos() / 1000;
  for (Run left = span.run; left.count > 0;) {
    const Run part{left.first, std::min(left.count, kMaxBatchEntries)};
    left = {part.end(), left.count - part.count};
    LaneReport report;
    report.span = span.key;
    report.runs = {part};
    report.body = EncodeEmptyResults(part, span.attempt, now_us, worker_name_);
    sink_->OnReport(std::move(report));
  }
}

}  // namespace reeve
