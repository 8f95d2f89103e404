// A lane that runs nothing: every task is reported as succeeded, with an empty output, before Start
// returns.
//
// For measuring the master alone (`reeve-worker --acknowledge-only`): no handler, no pool thread,
// no wake-up, and a report of thirty bytes for up to a million tasks. Run times are reported as
// zero, so the master's credit grows to its bound at once.
//
// Thread: the worker loop's; reports are made within Start.

#ifndef REEVE_WORKER_LANES_NULL_LANE_H_
#define REEVE_WORKER_LANES_NULL_LANE_H_

#include <string>
#include <vector>

#include "worker/lanes/lane.h"

namespace reeve {

class NullLane final : public TaskLane {
 public:
  // Offers `slots` slots, of which none is ever taken. `sink` outlives the lane.
  NullLane(uint32_t slots, LaneSink* sink) : slots_(slots), sink_(sink) {}

  void Start(LaneSpan span) override;
  // Nothing ever waits or runs.
  std::vector<Run> Cut(SpanKey, TaskIndex) override { return {}; }
  std::vector<Run> Cancel(SpanKey, Run) override { return {}; }
  void SetExclusiveDeadline(absl::Duration) override {}
  void SetWorkerName(std::string name) override { worker_name_ = std::move(name); }
  uint32_t slots() const override { return slots_; }
  uint32_t stuck() const override { return 0; }
  std::vector<RunningAttempt> Running(absl::Duration, size_t) const override { return {}; }
  void Stop(absl::Duration) override {}

 private:
  const uint32_t slots_;
  LaneSink* const sink_;
  std::string worker_name_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_NULL_LANE_H_
