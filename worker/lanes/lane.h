// What a lane is to the worker loop: a place that runs spans of tasks and reports their outcomes in
// batches.
//
// Three implementations: ThreadLane (a pool and one bounded queue; handlers in this process),
// ProcessLane (commands, through the single-threaded parent) and NullLane (says that all succeeded;
// for measuring). The agent decides what runs; a lane only runs it.
//
// Thread: all methods on the worker loop's thread; reports come through LaneSink, from the lane's
// own threads or from within Start.

#ifndef REEVE_WORKER_LANES_LANE_H_
#define REEVE_WORKER_LANES_LANE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/ids.h"

namespace reeve {

// How to run a command; from reeve.v1.Command.
struct CommandSpec {
  enum class InputMode : uint8_t { kArgument = 1, kJson = 2, kArgv = 3 };
  std::vector<std::string> argv;
  bool shell = false;
  InputMode input_mode = InputMode::kArgument;
  bool stdin_from_input = false;
  std::string standard_input;
  std::string working_directory;
  std::map<std::string, std::string> environment;
  // Of each of its processes; 0: none but the worker's own.
  struct Limits {
    uint64_t cpu_seconds = 0, memory_bytes = 0, file_size_bytes = 0, open_files = 0, processes = 0;
    uint64_t core_bytes = 0;  // 0: no core dump.
  };
  Limits limits;
};

// Results of a job that another one depends on.
struct PredecessorResults {
  std::string name;  // 1 to 64 of A-Z, a-z, 0-9, `_`, `-`.
  std::map<TaskIndex, std::string> results;
};

// What a worker knows of a job: from link.v1.JobBrief, parsed once per session and job. Immutable,
// shared.
struct JobContext {
  JobId job;
  std::string name;
  std::string handler;
  CommandSpec command;  // For the handler `exec`.
  std::map<std::string, std::string> params;
  absl::Duration time_limit = absl::InfiniteDuration();
  absl::Duration soft_time_limit = absl::InfiniteDuration();
  bool is_array = false;
  int64_t array_start = 0, array_step = 1;
  bool has_shared_input = false;
  std::string shared_input;
  bool local_cluster = false;        // The client's working directory may be used.
  bool accepts_inputs = false;       // Attempts may add new ones.
  bool exclusive = false;            // See TaskLane::SetExclusiveDeadline.
  std::vector<std::string> secrets;  // That a command needs, by name.
  std::vector<PredecessorResults> predecessors;

  bool is_limited() const {
    return std::min(time_limit, soft_time_limit) != absl::InfiniteDuration();
  }
};

// Inputs of a span, in order, as they came in one Assign.
class SpanInputs {
 public:
  SpanInputs() = default;  // Arrays: no bytes.
  // All `bytes_each` long.
  SpanInputs(Buffer blob, uint32_t bytes_each) : blob_(std::move(blob)), uniform_(bytes_each) {}
  // `ends[i]`: where input i ends in `blob`.
  SpanInputs(Buffer blob, std::vector<uint32_t> ends)
      : blob_(std::move(blob)), ends_(std::move(ends)) {}

  std::string_view At(uint32_t position) const {
    if (ends_.empty()) return blob_.view().substr(size_t{position} * uniform_, uniform_);
    const uint32_t begin = position == 0 ? 0 : ends_[position - 1];
    return blob_.view().substr(begin, ends_[position] - begin);
  }

 private:
  Buffer blob_;
  uint32_t uniform_ = 0;
  std::vector<uint32_t> ends_;
};

// Work for a lane.
struct LaneSpan {
  SpanKey key;
  std::shared_ptr<const JobContext> job;
  Birth birth;
  Run run;
  uint32_t attempt = 1;
  bool solo = false;
  bool front = false;   // Goes before what waits.
  std::string details;  // What the attempt before left.
  SpanInputs inputs;
  TaskIndex inputs_first = 0;  // Index of inputs.At(0).
};

// The input of a task. Points into `span`, or into `digits` for an array without a shared input.
std::string_view InputOf(const LaneSpan& span, TaskIndex index, char (&digits)[24]);

// Returns: nothing if there is no such result. `name`: of the predecessor.
std::optional<std::string_view> FindResult(const JobContext& job, std::string_view name,
                                           TaskIndex index);

// Errors: INVALID_ARGUMENT  they are over kMaxDetailsBytes.
absl::Status CheckDetails(std::string_view details);

// What a failed attempt has to say to the next one.
struct LastWords {
  bool permanent = false;               // There should be none.
  std::optional<absl::Duration> again;  // Or: after so long, and without counting this one.
  std::string details;                  // At most kMaxDetailsBytes.
};

// Outcomes of tasks of one span, with their encoded results.
struct LaneReport {
  struct Failed {
    uint32_t position = 0;
    TaskState state = TaskState::kFailed;
    Reason reason = Reason::kNone;
    LastWords words;
  };
  SpanKey span;
  std::vector<Run> runs;  // Ascending; what the body holds.
  std::vector<Failed> failed;
  size_t details_bytes = 0;  // Of `failed`.
  absl::Duration run_time;
  std::string body;  // reeve.v1.ResultBatch without a head.
  // New inputs for the job: a reeve.v1.TaskBatch with keys, and which entries of the body (that
  // succeeded; ascending) added how many of them.
  struct Added {
    uint32_t position = 0;
    uint32_t count = 0;
  };
  std::string new_inputs;  // Empty: none.
  std::vector<Added> added;
  // What such entries counted; positions ascend.
  std::vector<CountedEntry> counted;
};

// A piece of output of a command that still runs.
struct LaneOutput {
  SpanKey span;
  JobId job;
  TaskIndex index = 0;
  uint32_t attempt = 1;
  uint32_t stream = 1;  // 1 standard output, 2 standard error.
  uint64_t offset = 0;
  std::string content;
};

// Where lanes report to. A report is only kept: the agent hears of it in a later turn of the loop,
// so one made within a method of the lane changes nothing under the caller's feet.
//
// Thread: any. Other threads than the loop's are held up while too much waits; the loop's own is
// not, because nobody else makes room.
class LaneSink {
 public:
  virtual ~LaneSink() = default;
  virtual void OnReport(LaneReport report) = 0;
  virtual void OnOutput(LaneOutput output) = 0;
};

// What an attempt last said of how far it is.
struct AttemptProgress {
  static constexpr uint32_t kUntold = UINT32_MAX;
  uint32_t permille = kUntold;
  std::string note;
  std::string details;  // What it leaves for the next attempt.
};

struct RunningAttempt {
  JobId job;
  TaskIndex index = 0;
  absl::Duration running;
  AttemptProgress progress;
};

// Those that have run longest, longest first, at most `limit`.
std::vector<RunningAttempt> Longest(std::vector<RunningAttempt> running, size_t limit);

// Puts `work`, with its `span`, where it belongs in a lane's queue: behind all that waits, or
// behind what goes to the front as well.
template <typename Queue, typename Work>
void Enqueue(Queue* queue, Work work) {
  const auto place = !work->span.front
                         ? queue->end()
                         : std::find_if(queue->begin(), queue->end(),
                                        [](const Work& other) { return !other->span.front; });
  queue->insert(place, std::move(work));
}

class TaskLane {
 public:
  virtual ~TaskLane() = default;

  // Queues a span. Every index of it is answered: in a report, or given back by Cut, Cancel or
  // Stop.
  virtual void Start(LaneSpan span) = 0;

  // Gives back what has not begun of `span` at or beyond `from`. Returns the runs cut; they will
  // not be reported.
  virtual std::vector<Run> Cut(SpanKey span, TaskIndex from) = 0;

  // Stops tasks of `span` within `run`: those not begun are dropped and returned; running ones are
  // told (token, SIGTERM, then SIGKILL of the group) and reported CANCELLED, or as they end; a
  // thread that ignores its token for 10 s is reported CANCELLED and its slot is stuck.
  virtual std::vector<Run> Cancel(SpanKey span, Run run) = 0;

  // Tasks of exclusive jobs may begin and run until `until` (as Boottime says it); those that run
  // then are killed and reported CANCELLED. None may before the first call.
  virtual void SetExclusiveDeadline(absl::Duration until) = 0;

  // Gives the lane's results the worker's name (`w-3`), known after Welcome.
  virtual void SetWorkerName(std::string name) = 0;

  virtual uint32_t slots() const = 0;
  // Slots whose thread is past its limit and cannot be killed.
  virtual uint32_t stuck() const = 0;
  // Attempts that have run for at least `at_least`, longest first, at most `limit`.
  virtual std::vector<RunningAttempt> Running(absl::Duration at_least, size_t limit) const = 0;

  // Ends: running attempts are cancelled and waited for up to `grace`. What never began is
  // forgotten.
  virtual void Stop(absl::Duration grace) = 0;
};

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_LANE_H_
