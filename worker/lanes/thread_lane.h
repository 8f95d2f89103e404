// The thread lane: N pool threads and one queue of spans; handlers run in this process.
//
// A thread claims about a millisecond of work at once, but takes each task of its claim by
// compare-exchange, so that a claim stuck behind a slow task can be taken over by an idle thread,
// cut for a recall, or dropped for a cancel.
//
// A thread cannot be killed: a task past its time limit is reported TIMEOUT, its slot counts as
// stuck until the handler returns, and what it returns then is discarded.

#ifndef REEVE_WORKER_LANES_THREAD_LANE_H_
#define REEVE_WORKER_LANES_THREAD_LANE_H_

#include <memory>

#include "worker/lanes/lane.h"
#include "worker/sdk/handler_registry.h"

namespace reeve {

class CrashNotes;
class ScratchFolders;

class ThreadLane final : public TaskLane {
 public:
  // All outlive the lane. Slot i notes what it runs in slot i of `notes`; null: nothing is noted.
  // `scratch`: for handlers that ask for a folder; null: there is none for them.
  ThreadLane(uint32_t slots, const HandlerRegistry* handlers, LaneSink* sink,
             CrashNotes* notes = nullptr, ScratchFolders* scratch = nullptr);
  ~ThreadLane() override;

  void Start(LaneSpan span) override;
  std::vector<Run> Cut(SpanKey span, TaskIndex from) override;
  std::vector<Run> Cancel(SpanKey span, Run run) override;
  void SetExclusiveDeadline(absl::Duration) override {}  // Exclusive jobs are commands.
  void SetWorkerName(std::string name) override;
  uint32_t slots() const override;
  uint32_t stuck() const override;
  std::vector<RunningAttempt> Running(absl::Duration at_least, size_t limit) const override;
  void Stop(absl::Duration grace) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_THREAD_LANE_H_
