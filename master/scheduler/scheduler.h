// The scheduler: decides everything the master decides, and does nothing.
//
// A pure machine: Step(now, event) changes state, TakeEffects() places ready work on workers with
// credit and hands out what the outside must do. No I/O, clock, randomness, locks or unordered
// iteration: the same events at the same times give the same effects. Works in spans, intervals and
// sets; never per task where it can be helped (design.md §4).
//
// Read next: events.h (what comes in), effects.h (what goes out and in which order), image.h (what
// survives).
//
// Thread: none; the master loop's.

#ifndef REEVE_MASTER_SCHEDULER_SCHEDULER_H_
#define REEVE_MASTER_SCHEDULER_SCHEDULER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/scheduler/image.h"

namespace reeve {

struct SchedulerOptions {
  // A worker silent for so long gets no new work; must be below `lease`.
  absl::Duration suspect = absl::Seconds(5);
  // A worker silent for so long has lost its leases.
  absl::Duration lease = absl::Seconds(15);
  // A closed connection: requeue after this, unless the same worker returns.
  absl::Duration reconnect_grace = absl::Seconds(5);
  // An assignment not covered by seen_seq is sent again after this.
  absl::Duration resend = absl::Seconds(5);
  // After a restart: how long unfinished tasks below the frontier wait to be claimed.
  absl::Duration reattach_window = absl::Seconds(30);
  // A cancelled run that its worker does not give up is given up here after this.
  absl::Duration cancel_grace = absl::Seconds(25);
  // Inputs kept in memory; more stay in the store until they are near.
  uint64_t resident_bytes = 64u << 20;
  uint64_t load_ahead_bytes = 16u << 20;
  uint64_t load_ahead_chunks = 1'024;
  // Bounds on what waits: tasks (arrays count as one entry here), payload bytes. Beyond:
  // RESOURCE_EXHAUSTED QUEUE_FULL.
  uint64_t max_queued_payload_tasks = 200'000'000;
  uint64_t max_queued_bytes = 64ull << 30;
  uint64_t max_active_jobs = 1'000'000;
  // The same for the jobs of each owner. Beyond: likewise; appends wait.
  uint64_t max_queued_payload_tasks_per_owner = 20'000'000;
  uint64_t max_queued_bytes_per_owner = 8ull << 30;
  uint64_t max_active_jobs_per_owner = 100'000;
  // Sum of max_tasks of the jobs that accept inputs: so many keys may have to be remembered.
  // Beyond: QUEUE_FULL.
  uint64_t max_known_keys = kMaxTasksPerJob;
  // EPHEMERAL jobs: all together and each.
  uint64_t ephemeral_bytes = 256u << 20;
  uint64_t ephemeral_job_bytes = 64u << 20;
  // A closed cursor of an EPHEMERAL job is waited for so long; a job without any goes on so long.
  absl::Duration cursor_life = absl::Minutes(10);
  // Work a worker may hold ahead of its slots.
  absl::Duration prefetch_target = absl::Milliseconds(25);
  uint32_t max_held_per_worker = 262'144;
  // Bytes of inputs a worker may hold; a task for an idle slot always goes.
  uint64_t max_held_bytes_per_worker = 8u << 20;
  // Most tasks in one span.
  uint32_t max_span = 65'536;
  // Job ids are reserved durably in blocks of so many, ahead of their use.
  uint64_t job_id_block = 1'000;
  // A job that gets nothing for so long counts as one priority higher.
  absl::Duration ageing = absl::Minutes(1);
  // A job that gets nothing for so long because its tasks need more of a resource than others leave
  // has a worker kept for it.
  absl::Duration reserve_after = absl::Seconds(5);
  uint64_t max_queues = 10'000;
  uint64_t max_schedules = 10'000;
  // Most jobs that one schedule makes for fire times that passed while no master was there.
  uint32_t max_catch_up = 1'000;
  // A step of the durable frontier, and how many indexes before its end the next is asked for.
  uint32_t frontier_step = 65'536;
};

// A worker as people see it.
struct WorkerView {
  WorkerNumber number;
  std::string worker_id, hostname, version, name;
  std::map<std::string, std::string> labels;
  uint32_t pid = 0;
  enum class State : uint8_t {
    kOnline = 1,
    kSuspect = 2,
    kDraining = 3,
    kDrained = 5
  } state = State::kOnline;
  Resources resources, used_resources;
  std::vector<HandlerOffer> handlers;
  LaneRooms lanes{};
  std::vector<PoolStatus> pools;
  uint64_t held = 0;
  uint64_t finished = 0;
  absl::Time joined, last_seen;
};

// What became of the attempts of a handler, as workers reported them.
struct HandlerStats {
  uint64_t succeeded = 0;
  std::map<Reason, uint64_t> failed;  // Also those that were tried again.
  // Of batches that were recorded whole: nearly all.
  TimeHistogram times;
  absl::Duration run_time;  // All of `times` together.
};

struct QueueView {
  QueueSettings settings;
  uint64_t jobs = 0;  // Unfinished, as tasks.
  uint64_t tasks = 0;
  uint64_t in_flight = 0;
};

struct ScheduleView {
  ScheduleSettings settings;
  ScheduleProgress progress;
};

// reeve.v1.ExplainTaskResponse.Wait.
enum class Wait : uint8_t {
  kNone = 0,
  kDependency = 1,
  kStartTime = 2,
  kBackOff = 3,
  kPaused = 4,
  kQueuePaused = 5,
  kJobLimit = 6,
  kQueueLimit = 7,
  kKeyLimit = 8,
  kQueueRate = 9,
  kKeyRate = 10,
  kNoWorker = 11,
  kNoHandler = 12,
  kNoFittingWorker = 13,
  kResources = 14,
  kWorkersBusy = 15,
  kPlace = 16,
  kResultsFull = 17,
  kReattach = 18,
};

// A task of a job that has not ended, as the scheduler knows it.
struct TaskView {
  TaskState state = TaskState::kUnspecified;
  uint32_t attempt = 0;                   // Attempts begun.
  std::optional<WorkerNumber> worker;     // That holds it.
  std::optional<absl::Time> due;          // SCHEDULED: when it may run again.
  std::optional<uint32_t> permille;       // RUNNING: how far it is, if it says so, and
  std::string note;                       // what else it says.
  std::vector<std::string> explanations;  // Most important first; see ExplainTask.
  std::vector<Wait> waits;                // Of each of these that says what it waits for.
};

// RetryOutcome::death of a process: names its end, so that it is counted once wherever it is told.
// 0: unknown.
uint64_t DeathOf(std::string_view process_id);

class Scheduler {
 public:
  // Goes on from `image` (of the durable store; an empty one for a new cluster). Effects of the
  // recovery itself, if any, come with the first TakeEffects.
  Scheduler(const SchedulerOptions& options, Image image, Now now);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Takes one event in. `now` is not earlier than in the call before.
  void Step(const Now& now, Event event);

  // Places ready work, then returns everything to be done since the last call. Call once per batch
  // of events.
  Effects TakeEffects(const Now& now);

  // Monotonic time at which effects are to be taken although nothing came in; InfiniteDuration if
  // none.
  absl::Duration NextDeadline() const;

  // Dies with the broken formula if the state contradicts itself. O(everything): for tests and
  // simulation.
  void CheckInvariants() const;

  // ---- Reads; no effects ----

  Epoch epoch() const;
  // A job that has not ended (ended ones leave memory once their end is committed).
  std::optional<JobView> FindJob(JobId job) const;
  // Jobs that have not ended, newest first, with ids below `before` (0: all), at most `limit`.
  std::vector<JobView> ListJobs(JobId before, size_t limit) const;
  // A task of a job that has not ended; nullopt if job or index is unknown.
  std::optional<TaskView> FindTask(const Now& now, JobId job, TaskIndex index) const;
  // Whether the task was given to this session, and no outcome of it is admitted.
  bool IsHeldBy(SessionId session, JobId job, TaskIndex index) const;
  // By name: those that were set up or have jobs.
  std::vector<QueueView> ListQueues() const;
  std::optional<QueueView> FindQueue(const std::string& name) const;
  // By owner and name.
  std::vector<ScheduleView> ListSchedules() const;
  std::optional<ScheduleView> FindSchedule(const std::string& owner, const std::string& name) const;
  // Tasks that have not ended, as runs with their state, ascending. Empty if the job is unknown.
  std::vector<std::pair<Run, TaskState>> LiveRuns(JobId job) const;
  // By number.
  std::vector<WorkerView> ListWorkers() const;
  // JobNotices for this job are wanted whenever its counts change, too.
  void Watch(JobId job, bool on);

  struct Totals {
    uint64_t workers = 0, active_jobs = 0, unfinished_tasks = 0, queued_bytes = 0,
             resident_bytes = 0, known_keys = 0;
    // Seen since start: what people look for when something is odd.
    uint64_t superseded_results = 0, lost_spans = 0, expired_leases = 0, resent_spans = 0,
             recalled_tasks = 0, suspicions = 0, crashes = 0;
  };
  Totals totals() const;

  // By handler, those that were used since the start or the last reset; after kMostHandlers names
  // all others are one, `kOtherHandlers`. Not kept across a restart.
  static constexpr size_t kMostHandlers = 1'000;
  static constexpr char kOtherHandlers[] = "(others)";
  std::map<std::string, HandlerStats> Statistics() const;
  void ResetStatistics();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_SCHEDULER_H_
