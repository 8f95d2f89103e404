// The async lane: handlers that are coroutines, thousands of tasks at once on one thread.
//
// A task that is cancelled or past its time limit is destroyed where it waits. One that does not
// wait but computes holds all the others up: after a moment that is logged with the handler's name;
// after ten seconds the lane counts as stuck.
//
// Thread: as TaskLane says; handlers, and all they wait for, run on the lane's own.

#ifndef REEVE_WORKER_LANES_ASYNC_LANE_H_
#define REEVE_WORKER_LANES_ASYNC_LANE_H_

#include <memory>
#include <string>
#include <vector>

#include "worker/lanes/lane.h"
#include "worker/sdk/handler_registry.h"

namespace reeve {

class EventLoop;
class HttpClient;
class Processes;
class RunningNote;
class ScratchFolders;

class AsyncLane final : public TaskLane {
 public:
  struct Options {
    uint32_t slots = 1'000;
    // What runs at this moment is noted here; null: nowhere. Outlives the lane.
    RunningNote* note = nullptr;
    // For handlers that ask for a folder; null: there is none for them. Outlives the lane.
    ScratchFolders* scratch = nullptr;
    // For handlers that make requests or run processes; null: they get an error. Outlive the lane.
    HttpClient* http = nullptr;
    Processes* processes = nullptr;
    // How long a handler may hold the thread before it is logged, and before the lane is stuck.
    absl::Duration log_blocked_after = absl::Milliseconds(100);
    absl::Duration stuck_after = absl::Seconds(10);
  };

  // `handlers`, `loop` and `sink` outlive the lane; the loop is run by the lane from now on.
  AsyncLane(const Options& options, const HandlerRegistry* handlers, EventLoop* loop,
            LaneSink* sink);
  ~AsyncLane() override;

  void Start(LaneSpan span) override;
  std::vector<Run> Cut(SpanKey span, TaskIndex from) override;
  std::vector<Run> Cancel(SpanKey span, Run run) override;
  // Only commands are exclusive.
  void SetExclusiveDeadline(absl::Duration) override {}
  void SetWorkerName(std::string name) override;
  uint32_t slots() const override;
  // All slots, while a handler holds the thread for too long.
  uint32_t stuck() const override;
  std::vector<RunningAttempt> Running(absl::Duration at_least, size_t limit) const override;
  void Stop(absl::Duration grace) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // Shared with a thread that cannot be stopped.
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_ASYNC_LANE_H_
