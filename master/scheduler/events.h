// What can happen to the scheduler. Plain values; payloads ride along as opaque handles that the
// core never opens.
//
// Thread: made by the edges (service, dispatcher, collector, store), handed over by value, consumed
// by Scheduler::Step.

#ifndef REEVE_MASTER_SCHEDULER_EVENTS_H_
#define REEVE_MASTER_SCHEDULER_EVENTS_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "base/positions.h"
#include "base/time_histogram.h"

namespace reeve {

class Cadence;     // When a schedule fires: master/schedules/cadence.h.
class InputBatch;  // Opaque here: base/input_batch.h.
using InputsRef = std::shared_ptr<const InputBatch>;

// The two clocks, read once per batch by the loop. Leases and time-outs live on the first, due
// times that must survive a restart and everything people see on the second.
struct Now {
  absl::Duration monotonic;  // Since an arbitrary point; never goes back.
  absl::Time wall;
};

// So many starts per so long, at even distances; `count` 0: no limit.
struct Rate {
  uint32_t count = 0;
  absl::Duration per = absl::Seconds(1);
  uint32_t burst = 1;  // At once after a pause.

  bool limited() const { return count > 0; }
  absl::Duration interval() const { return per / static_cast<int64_t>(count); }
  bool operator==(const Rate&) const = default;
};

// See reeve.v1.RetryPolicy.
struct RetryRules {
  absl::Duration first_backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Minutes(5);
  std::vector<uint32_t> exit_codes;  // These two empty: all that is not final.
  std::vector<Reason> reasons;
  bool operator==(const RetryRules&) const = default;
};

// See reeve.v1.StopRule.
struct StopRule {
  uint32_t max_failures = 0;
  uint32_t max_failure_percent = 0;
  bool first_success = false;
  bool let_running_end = false;
  bool operator==(const StopRule&) const = default;
};

// One condition on the labels of a worker.
struct LabelTerm {
  enum class Kind : uint8_t { kEquals = 1, kDiffers = 2, kExists = 3, kMissing = 4 };
  std::string name;
  std::string value;
  Kind kind = Kind::kEquals;
  bool operator==(const LabelTerm&) const = default;
};

// What a task occupies, or a worker has: name to thousandths.
using Resources = std::map<std::string, int64_t>;

// See reeve.v1.Dependency.
struct JobDependency {
  enum class Condition : uint8_t { kSuccess = 1, kFailure = 2, kEnd = 3 };
  JobId job;
  Condition condition = Condition::kSuccess;
  bool results = false;
  std::string name;  // Of the folder for them.
  bool operator==(const JobDependency&) const = default;
};

enum class UniquePolicy : uint8_t { kReject = 1, kAttach = 2, kReplace = 3 };

// What few jobs ask for.
struct JobExtras {
  RetryRules retry;
  absl::Time start_time = absl::InfinitePast();
  absl::Time expire_time = absl::InfiniteFuture();
  std::string unique_key;  // Empty: none.
  UniquePolicy unique_policy = UniquePolicy::kReject;
  bool keyed = false;  // Its tasks have keys (CreateJob::task_keys), and with them limits.
  uint32_t key_max_in_flight = 0;
  Rate key_rate;
  Resources resources;
  std::vector<LabelTerm> selector;
  bool pack = false;  // One worker is filled before the next.
  std::vector<JobDependency> after;
  bool skip_if_unmet = false;
  StopRule stop;
  absl::Duration close_when_idle = absl::InfiniteDuration();
  JobId retry_of;
  bool operator==(const JobExtras&) const = default;
};

// What the scheduler must know of a job's specification; validated by the service.
struct JobOptions {
  std::string handler;
  uint32_t max_attempts = 3;            // 1 to 1,000.
  uint32_t max_in_flight = 0;           // 0: no limit.
  int32_t priority = kDefaultPriority;  // 0 to 9; higher first.
  std::string queue;                    // Empty: the queue `default`.
  bool ephemeral = false;               // Lives in the memory store.
  bool at_most_once = false;
  bool exclusive = false;  // Never at two places at once: lost with the lease, never earlier.
  // Results may bring new inputs with keys; a known key is dropped, and so is what goes beyond
  // max_tasks (1 to kMaxTasksPerJob).
  bool accepts_inputs = false;
  uint32_t max_tasks = 0;
  std::string owner;  // Whose bounds the job counts against; empty: only those of all.
  std::shared_ptr<const JobExtras> extras;  // Null: none of it.
};

// A job that has ended, as one that depends on it must know it.
struct EndedJob {
  JobId job;
  JobState state = JobState::kUnspecified;
  Cause cause = Cause::kNone;
};

// A chunk of inputs that a job has in common with the one whose tasks it tries again.
struct SharedChunk {
  Run run;
  uint64_t bytes = 0;
  PositionsRef positions;
  std::vector<uint64_t> task_keys;
};

// ---- From the API ----

struct CreateJob {
  CallId call;
  std::string request_id;
  uint64_t content_hash = 0;  // Of the request without its id.
  JobOptions options;
  Buffer record;             // reeve.store.v1.JobRecord without the id; opaque.
  uint32_t array_count = 0;  // > 0: an array of so many tasks.
  InputsRef inputs;          // Inline tasks, or null.
  uint32_t input_count = 0;
  uint64_t input_bytes = 0;         // Payload bytes of `inputs`.
  std::vector<InputKey> keys;       // Of each input, or empty.
  std::vector<uint64_t> task_keys;  // Of each input of a keyed job: equal for equal keys.
  bool open = false;
  bool hold = false;  // It begins paused.
  // Those of extras->after that the caller knows to have ended.
  std::vector<EndedJob> ended;
  // extras->retry_of: the chunks of that job, all of them, and which tasks to try again.
  std::vector<SharedChunk> chunks;
  std::vector<Run> selected;
};

// All or none. A dependency on an earlier job of the list has its place, from 1, with kPlaceBit.
struct CreateJobs {
  static constexpr uint64_t kPlaceBit = uint64_t{1} << 63;
  CallId call;
  std::string request_id;
  uint64_t content_hash = 0;
  std::vector<CreateJob> jobs;  // Without call and request_id.
};

// First message of an AppendTasks stream. A reply comes when earlier messages of the appender are
// committed.
struct OpenAppender {
  CallId stream;
  JobId job;
  std::string appender;
};

struct AppendTasks {
  CallId stream;
  uint64_t offset = 0;
  InputsRef inputs;
  uint32_t count = 0;
  uint64_t bytes = 0;
  std::vector<InputKey> keys;       // Of each input, or empty.
  std::vector<uint64_t> task_keys;  // As in CreateJob.
};

// The stream is gone; nothing more will be answered on it.
struct CloseAppender {
  CallId stream;
};

struct CloseJob {
  CallId call;
  JobId job;
};

struct CancelJob {
  CallId call;
  JobId job;
};

struct PauseJob {
  CallId call;
  JobId job;
};

struct ResumeJob {
  CallId call;
  JobId job;
};

struct UpdateJob {
  CallId call;
  JobId job;
  std::optional<int32_t> priority;
  std::optional<uint32_t> max_in_flight;
};

// Of an ended job; answered with a StatusReply.
struct DeleteJob {
  CallId call;
  JobId job;
};

// See reeve.v1.Queue.
struct QueueSettings {
  std::string name;
  uint32_t weight = 1;
  uint32_t max_in_flight = 0;
  Rate rate;
  bool paused = false;
  uint64_t max_tasks = 0;
  Rate retry_rate;
  bool operator==(const QueueSettings&) const = default;
};

// What is absent stays. Answered with a StatusReply, as all that follow.
struct UpdateQueue {
  CallId call;
  std::string name;
  std::optional<uint32_t> weight, max_in_flight;
  std::optional<Rate> rate;
  std::optional<bool> paused;
  std::optional<uint64_t> max_tasks;
  std::optional<Rate> retry_rate;
};

struct DeleteQueue {
  CallId call;
  std::string name;
};

// A worker keeps what it has and gets nothing more, or gets work again.
struct SetDrained {
  CallId call;
  WorkerNumber worker;
  bool drained = false;
};

enum class Overlap : uint8_t { kSkip = 1, kQueue = 2, kReplace = 3, kAllow = 4 };
enum class CatchUp : uint8_t { kNone = 1, kLast = 2, kAll = 3 };

// See reeve.v1.Schedule.
struct ScheduleSettings {
  std::string name, owner;
  std::shared_ptr<const Cadence> cadence;  // Null: it could not be read again; nothing fires.
  Overlap overlap = Overlap::kSkip;
  CatchUp catch_up = CatchUp::kLast;
  absl::Duration jitter;
  Buffer record;  // Bytes of a reeve.v1.Schedule; opaque.
  CreateJob job;  // What each fire time creates, but for call and request_id.
};

struct CreateSchedule {
  CallId call;
  std::string request_id;
  uint64_t content_hash = 0;
  ScheduleSettings settings;
  bool paused = false;
  uint32_t remaining = 0;  // Jobs to come; 0: no end.
};

struct ChangeSchedule {
  enum class What : uint8_t { kPause, kResume, kDelete, kRun };
  CallId call;
  std::string owner, name;
  What what = What::kPause;
  std::string request_id;  // kRun: of the job it makes, which is answered with a JobReply.
};

// ---- From workers, by the dispatcher ----

enum class HeldPhase : uint8_t { kQueued = 1, kRunning = 2, kFinished = 3 };

// Part of what a worker says it holds.
struct HeldRun {
  JobId job;
  Birth birth;
  LeaseId lease;  // Under which it was got.
  Run run;
  HeldPhase phase = HeldPhase::kQueued;
};

struct LaneRoom {
  uint32_t slots = 0;
  uint32_t stuck = 0;
};
using LaneRooms = std::array<LaneRoom, kLaneCount>;

// See reeve.v1.PoolStatus.
struct PoolStatus {
  std::string name;
  uint32_t limit = 0, open = 0, busy = 0, waiting = 0;
  uint64_t connects = 0, failed_connects = 0, lost = 0;
  std::string last_error;
};

struct HandlerOffer {
  std::string name;
  Lane lane = Lane::kUnspecified;
};

// A whole Hello, pages put together, token and protocol version already checked by the dispatcher.
struct Hello {
  SessionId session;
  uint64_t number = 0;
  std::string worker_id;
  std::string process_id;
  std::string hostname;
  std::string name;                           // As its owner calls it.
  std::map<std::string, std::string> labels;  // What its owner says of it.
  Resources resources;                        // What it has, besides slots.
  std::string version;
  uint32_t pid = 0;
  std::vector<HandlerOffer> handlers;
  LaneRooms lanes{};
  LeaseSeq seen_seq;
  std::vector<HeldRun> held;
  // Named by the previous process's memory file or crash note.
  std::vector<HeldRun> suspects;
  bool culprit_named = false;
  // The process_id of that process; with no suspects: nothing ran when it ended. Empty: the parent
  // knows of none before.
  std::string suspects_process;
  bool local_cluster = false;
};

struct RunningTask {
  JobId job;
  TaskIndex index = 0;
  std::optional<uint32_t> permille;  // How far it is, if it says so.
  std::string note;
  std::string details;  // For its next attempt, should there be one; at most kMaxDetailsBytes.
  absl::Duration ran;   // This attempt, so far.
};

struct Heartbeat {
  SessionId session;
  uint64_t number = 0;
  LeaseSeq seen_seq;
  uint64_t held_count = 0;
  uint64_t held_hash = 0;
  std::optional<std::vector<HeldRun>> held;  // The full set, when asked for.
  std::vector<RunningTask> running;
  LaneRooms lanes{};
  bool draining = false;
  bool spool_full = false;
  std::vector<PoolStatus> pools;
};

struct LeasedRun {
  LeaseSeq lease;
  Run run;
};

struct Recalled {
  SessionId session;
  std::vector<LeasedRun> cut;  // count 0: nothing could be cut of this lease.
};

struct Released {
  SessionId session;
  std::vector<LeasedRun> runs;
};

struct Goodbye {
  SessionId session;
  std::string reason;
};

// The connection is gone (EHOSTUNREACH).
struct ConnectionClosed {
  SessionId session;
};

// ---- From the collector ----

// An entry that did not succeed.
struct FailedEntry {
  uint32_t position = 0;
  TaskState state = TaskState::kFailed;  // kFailed or kCancelled.
  Reason reason = Reason::kNone;
  uint32_t exit_code = 0;
  bool permanent = false;               // Trying again cannot help, says the handler.
  std::optional<absl::Duration> again;  // Or: try again after so long, and do not count it.
  std::string details;                  // As in RunningTask.
};

// New inputs that the results of a batch bring along.
struct NewInputs {
  struct Part {
    uint32_t position = 0;  // In the batch: the entry that adds them. It succeeded.
    uint32_t count = 0;     // Inputs; at least 1.
  };
  InputsRef inputs;                      // Null: none.
  std::vector<InputKey> keys;            // Of each input.
  uint64_t bytes = 0;                    // Of memory that `inputs` take.
  std::vector<Part> parts;               // Ascending; together all of `inputs`, in order.
  std::vector<uint64_t> task_keys = {};  // As in CreateJob.
};

struct ResultBatchArrived {
  uint64_t number = 0;  // Per session; acknowledged by it.
  JobId job;
  std::vector<LeasedRun> runs;  // Ascending; positions count on from 0.
  std::vector<FailedEntry> failed;
  absl::Duration run_time;  // Sum over the batch.
  Buffer body;              // Wire bytes of a reeve.v1.ResultBatch.
  NewInputs added;
  std::vector<CountedEntry> counted;  // Positions ascend.
  std::vector<TimeCount> run_times;   // Of all its attempts, for statistics.
};

struct ResultsArrived {
  SessionId session;
  Epoch epoch;
  std::vector<ResultBatchArrived> batches;
};

// ---- From the stores ----

enum class StoreKind : uint8_t { kDurable = 0, kMemory = 1 };
inline constexpr int kStoreCount = 2;

// Everything up to this commit of this store is committed.
struct Committed {
  StoreKind store = StoreKind::kDurable;
  uint64_t number = 0;
};

// Answer to Effects::loads.
struct InputsLoaded {
  JobId job;
  TaskIndex first = 0;
  InputsRef inputs;      // Null: could not be read now.
  bool damaged = false;  // They will never be readable: the tasks fail.
};

// Answer to Effects::results_wanted.
struct ResultsLoaded {
  JobId job;
  Buffer brief;  // To append to the job's record in assignments.
  // The results are damaged, gone, or too many bytes: the tasks fail.
  Reason failed = Reason::kNone;
};

// The disk of the durable store is nearly full, or is no longer.
struct DiskLow {
  bool low = false;
};

// A result stream of an EPHEMERAL job opened, went on or closed.
struct CursorMoved {
  JobId job;
  CallId cursor;
  uint64_t passed = 0;  // It will not ask again for results through this seq.
  bool closed = false;
};

// ---- From the loop ----

// Time passed; nothing else. Sent when NextDeadline() is reached.
struct Tick {};

// Take nothing more, assign nothing more.
struct DrainMaster {};

using Event =
    std::variant<CreateJob, CreateJobs, OpenAppender, AppendTasks, CloseAppender, CloseJob,
                 CancelJob, PauseJob, ResumeJob, UpdateJob, DeleteJob, UpdateQueue, DeleteQueue,
                 SetDrained, CreateSchedule, ChangeSchedule, Hello, Heartbeat, Recalled, Released,
                 Goodbye, ConnectionClosed, ResultsArrived, Committed, InputsLoaded, ResultsLoaded,
                 DiskLow, CursorMoved, Tick, DrainMaster>;

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_EVENTS_H_
