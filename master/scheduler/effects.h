// What the outside must now do.
//
// Carry the fields of Effects out top to bottom. A reply, an acknowledgement and a notice promise
// durability, so each names the commit it waits for; assignments may overtake their commit, replies
// may not.

#ifndef REEVE_MASTER_SCHEDULER_EFFECTS_H_
#define REEVE_MASTER_SCHEDULER_EFFECTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "base/result_batch.h"
#include "master/scheduler/events.h"

namespace reeve {

// ---- Views: what people see of a job and a worker ----

struct TaskCounts {
  uint64_t total = 0;
  uint64_t blocked = 0;
  uint64_t scheduled = 0;
  uint64_t ready = 0;
  uint64_t assigned = 0;  // At workers, or finishing.
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t cancelled = 0;
  uint64_t expired = 0;
  uint64_t retried = 0;
  uint64_t duplicate_inputs = 0;            // Dropped: their key was known.
  uint64_t dropped_inputs = 0;              // Dropped: beyond max_tasks.
  std::map<std::string, int64_t> counters;  // Of the job's handlers.
  bool operator==(const TaskCounts&) const = default;
};

struct JobView {
  JobId job;
  JobState state = JobState::kUnspecified;
  TaskCounts counts;
  Buffer record;  // As in CreateJob.
  absl::Time create_time;
  absl::Time end_time = absl::InfiniteFuture();  // InfiniteFuture until it ended.
  bool ephemeral = false;
  Cause cause = Cause::kNone;
  bool paused = false;
  // What a task of it that runs last said of itself.
  std::optional<RunningTask> said;
  // As they are now.
  int32_t priority = kDefaultPriority;
  uint32_t max_in_flight = 0;
};

// ---- Writes ----

struct ResultRun {
  PositionedRun run;
  TaskState state = TaskState::kSucceeded;  // Terminal; the same for the whole run.
  bool operator==(const ResultRun&) const = default;
};

// Tasks of a job whose details are kept; those of others are dropped.
inline constexpr size_t kMaxKeptDetails = 100'000;

// An admitted outcome that is not terminal: the task will be tried again.
struct RetryOutcome {
  Run run;
  Reason reason = Reason::kNone;
  uint32_t failed_attempts = 0;  // So far, this one included.
  uint32_t suspicions = 0;
  uint32_t crashes = 0;
  absl::Time due;      // Wall clock.
  LeaseId lease;       // Under which it failed; epoch 0: of no attempt's report.
  uint64_t death = 0;  // Of the process whose end is counted here; 0: of none.
  // What the next attempt gets of those before; empty: nothing, whatever older outcomes say.
  std::string details;
};

struct PutJob {
  JobView view;  // As created.
  JobOptions options;
  uint32_t array_count = 0;
  std::string request_id;
  uint64_t content_hash = 0;
  std::vector<Run> selected;  // With extras->retry_of: the tasks that it has.
};
// What of its options may change.
struct PutJobOptions {
  JobId job;
  int32_t priority = kDefaultPriority;
  uint32_t max_in_flight = 0;
};
// An ended job, and all that is of it.
struct DropJob {
  JobId job;
};
// How a job ends that does not end by its tasks alone. Until then: nothing is set.
struct Ending {
  JobState as = JobState::kUnspecified;  // Terminal.
  Cause cause = Cause::kNone;
  bool halted = false;  // Nothing more is given out; what is at workers may end.
  bool operator==(const Ending&) const = default;
};
// State or counts that must survive: closed, cancelling, ended. An ended job's row is its summary.
struct PutJobState {
  JobId job;
  JobState state = JobState::kUnspecified;
  TaskCounts counts;
  absl::Time end_time = absl::InfiniteFuture();
  std::vector<Run> cancelled;  // With a terminal state: runs that ended without a result.
  bool paused = false;
  Ending ending;
};
struct PutInputs {
  JobId job;
  Run run;
  Birth birth;
  InputsRef inputs;
  uint64_t bytes = 0;
  std::string appender;             // Empty: created with the job.
  uint64_t appender_offset = 0;     // After this chunk.
  PositionsRef positions;           // Those of `inputs` that became tasks, in order; null: all.
  std::vector<InputKey> keys;       // Of the tasks, to be known again; or empty.
  std::vector<uint64_t> task_keys;  // Of the tasks of a keyed job.
  JobId source;                     // The inputs are those that this job has at `run.first`.
};
// An append of which nothing became a task.
struct PutAppender {
  JobId job;
  std::string appender;
  uint64_t offset = 0;
};
struct PutResults {
  JobId job;
  uint64_t seq = 0;  // Per job from 1: the commit order, and the cursor of streams.
  std::vector<ResultRun> runs;
  std::vector<RetryOutcome> retries;
  Buffer body;
};
struct PutFrontier {
  JobId job;
  uint32_t frontier = 0;  // Nothing at or beyond it is assigned.
};
struct PutRoster {
  std::string worker_id;
  WorkerNumber number;
};
// A worker_id that is drained to stay, or is no longer.
struct PutDrained {
  std::string worker_id;
  bool drained = false;
};
struct PutQueue {
  QueueSettings settings;
};
struct DropQueue {
  std::string name;
};
// What of a schedule changes.
struct ScheduleProgress {
  bool paused = false;
  uint32_t remaining = 0;                         // 0: no end.
  absl::Time next_time = absl::InfiniteFuture();  // InfiniteFuture: none.
  absl::Time last_time = absl::InfinitePast();    // InfinitePast: none yet.
  JobId last_job;
  uint64_t fired = 0, skipped = 0;
  std::string last_error;
  bool operator==(const ScheduleProgress&) const = default;
};
struct PutSchedule {
  std::string owner, name;
  Buffer record;  // Empty: as it was.
  ScheduleProgress progress;
  std::string request_id;
  uint64_t content_hash = 0;
};
struct DropSchedule {
  std::string owner, name;
};
struct DropRoster {
  std::string worker_id;
};
// Ids below this may be given out by this life of the master.
struct ReserveJobIds {
  JobId below;
};

// EPHEMERAL jobs only: every task of the chunk has ended.
struct DropInputs {
  JobId job;
  TaskIndex first = 0;
};
// EPHEMERAL jobs only: every cursor has passed the results; their runs stay, their bodies go.
struct DropResults {
  JobId job;
  uint64_t through = 0;
};

using Write =
    std::variant<PutJob, PutJobState, PutInputs, PutAppender, PutResults, PutFrontier, PutRoster,
                 DropRoster, ReserveJobIds, DropInputs, DropResults, PutJobOptions, DropJob,
                 PutDrained, PutQueue, DropQueue, PutSchedule, DropSchedule>;

// One transaction of one store; committed in order of `number`, several may share a transaction.
struct WriteBatch {
  StoreKind store = StoreKind::kDurable;
  uint64_t number = 0;  // Per store, from 1, without gaps.
  std::vector<Write> writes;
  uint64_t bytes = 0;  // Payload bytes, for bounds.
};

// The commit something waits for. number 0: none, it may go at once.
struct After {
  StoreKind store = StoreKind::kDurable;
  uint64_t number = 0;
};

// ---- To workers, at once ----

// Spans for one session; one frame.
struct AssignedSpan {
  JobId job;
  LeaseSeq lease;
  Run run;
  Birth birth;
  uint32_t attempt = 1;
  bool solo = false;
  Buffer record;               // The job's, for JobBrief.
  InputsRef inputs;            // Null for arrays.
  TaskIndex inputs_first = 0;  // Index of the first input in `inputs` that counts.
  PositionsRef positions;      // Of those that count; null: all.
  Buffer brief;                // More of the job's JobBrief, to follow `record`; or empty.
  bool front = false;          // Goes before what waits at the worker.
  std::string details;         // What the attempt before left; spans of one task only.
};
struct Assignment {
  SessionId session;
  std::vector<AssignedSpan> spans;
};

struct SendWhoAreYou {};
struct WelcomeRun {
  JobId job;
  Run run;
  LeaseSeq lease;  // 0: drop.
};
struct SendWelcome {
  uint64_t number = 0;
  WorkerNumber worker;
  std::string refused;
  std::vector<WelcomeRun> runs;
  bool local_cluster = false;
  LeaseSeq seen_seq;  // Assignments up to it are void.
};
struct SendHeartbeatAck {
  uint64_t number = 0;
  bool send_held = false;
};
struct SendRecall {
  struct Cut {
    LeaseSeq lease;
    TaskIndex end = 0;
  };
  std::vector<Cut> cuts;
};
struct SendCancel {
  std::vector<LeasedRun> runs;
};
struct LinkSend {
  SessionId session;
  std::variant<SendWhoAreYou, SendWelcome, SendHeartbeatAck, SendRecall, SendCancel> message;
  After after;  // Welcome waits for the roster.
};

// Bring the inputs of a chunk into memory; answered by InputsLoaded.
struct LoadInputs {
  JobId job;
  TaskIndex first = 0;
  StoreKind store = StoreKind::kDurable;
};

// Read the results of these jobs, which have ended, for the tasks of `job`; answered by
// ResultsLoaded.
struct LoadResults {
  JobId job;
  std::vector<JobDependency> of;  // Those with `results`.
};

// ---- After the commit ----

struct JobReply {
  absl::Status status;  // base/error.h reasons.
  JobView view;         // If OK: the job as of now.
};
struct AppendReply {
  absl::Status status;  // Not OK: the stream ends.
  uint64_t committed_offset = 0;
  Run run;  // Indexes given to the acknowledged message; count 0 for OpenAppender.
  JobId job;
};
struct JobsReply {
  absl::Status status;
  std::vector<JobView> views;  // Of ended ones only the id.
};
struct StatusReply {
  absl::Status status;
};
struct Reply {
  CallId call;
  std::variant<JobReply, AppendReply, JobsReply, StatusReply> body;
  After after;
};

struct AckResults {
  SessionId session;
  std::vector<uint64_t> recorded;
  std::vector<uint64_t> superseded;
  After after;
};

// For result streams and watchers.
struct ResultsNotice {
  JobId job;
  uint64_t seq = 0;
  std::vector<ResultRun> runs;
  Buffer body;
  After after;
};
struct JobNotice {
  JobView view;
  uint64_t last_seq = 0;       // Highest seq the job has; for an ended job, the last.
  std::vector<Run> cancelled;  // Ended CANCELLED: runs without a result.
  After after;
};

struct Effects {
  std::vector<WriteBatch> writes;  // At most one per store. Hand to the stores first.
  std::vector<LinkSend> sends;     // In order, as their commits are done. Before assignments: a
                                   // worker takes none until it has read its Welcome.
  std::vector<Assignment>
      assignments;  // Best effort; a lost one is noticed by heartbeat and sent again.
  std::vector<LoadInputs> loads;
  std::vector<LoadResults> results_wanted;
  std::vector<Reply> replies;    // After their commit, in order.
  std::vector<AckResults> acks;  // After their commit.
  std::vector<ResultsNotice>
      results;  // After their commit, in order of seq per job; before the job notice that follows.
  std::vector<JobNotice> jobs;  // After their commit: state changed, or (for watched jobs) counts.
};

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_EFFECTS_H_
