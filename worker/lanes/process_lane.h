// The process lane: commands, each in a process group of its own, started by the supervisor.
//
// One thread owns the pipes of all running commands and the channel to the supervisor. Standard
// output and error are kept first and last 512 KiB each; what a command writes while it runs for
// longer than a moment, or beyond that, also goes out as it comes, up to 8 MiB. What a command
// writes to its result file comes beside them.

#ifndef REEVE_WORKER_LANES_PROCESS_LANE_H_
#define REEVE_WORKER_LANES_PROCESS_LANE_H_

#include <memory>
#include <string>

#include "worker/lanes/lane.h"

namespace reeve {

class CrashNotes;
class SecretsFolder;
class SpawnChannel;

struct ProcessLaneOptions {
  uint32_t slots = 1;
  std::string scratch_root;  // Scratch folders of attempts are made below.
  // What runs is noted in `slots` slots from `first_note` on; null: nothing is noted. Outlives the
  // lane.
  CrashNotes* notes = nullptr;
  uint32_t first_note = 0;
  // From SIGTERM to SIGKILL.
  absl::Duration kill_grace = absl::Seconds(5);
  // What the worker's owner lets commands do; others fail with NOT_ALLOWED. Asked here, too, though
  // such a worker does not offer `exec`: a master need not be right.
  bool allow_commands = true;
  bool allow_shell = true;
  CommandSpec::Limits limits;  // Of every command; the lower of them and of its job's counts.
  const SecretsFolder* secrets = nullptr;  // Null: there are none. Outlives the lane.
};

class ProcessLane final : public TaskLane {
 public:
  // `channel` and `sink` outlive the lane; the channel belongs to the lane's thread from now on.
  ProcessLane(const ProcessLaneOptions& options, SpawnChannel* channel, LaneSink* sink);
  ~ProcessLane() override;

  void Start(LaneSpan span) override;
  std::vector<Run> Cut(SpanKey span, TaskIndex from) override;
  std::vector<Run> Cancel(SpanKey span, Run run) override;
  void SetExclusiveDeadline(absl::Duration until) override;
  void SetWorkerName(std::string name) override;
  uint32_t slots() const override;
  uint32_t stuck() const override;
  std::vector<RunningAttempt> Running(absl::Duration at_least, size_t limit) const override;
  void Stop(absl::Duration grace) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_PROCESS_LANE_H_
