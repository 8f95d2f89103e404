// What the scheduler knows: jobs, workers, leases. Private to master/scheduler.
//
// The functions of Scheduler::Impl are spread over files by what happens: jobs.cc (jobs begin
// and end), appends.cc (tasks for open jobs), ephemeral.cc (results nobody stores), control.cc
// (pause, change, end early), dependencies.cc, schedules.cc, queues.cc (whose turn it is), keys.cc
// (keys of tasks), classes.cc (which workers fit), placement.cc (ready work to credit), workers.cc
// (sessions, heartbeats, leases), admission.cc (results, the one fence), loss.cc (who is to blame
// for a lost worker), recovery.cc (start), views.cc (reads), explain.cc (why a task waits),
// invariants.cc.

#ifndef REEVE_MASTER_SCHEDULER_STATE_H_
#define REEVE_MASTER_SCHEDULER_STATE_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/bug.h"
#include "base/interval_set.h"
#include "master/scheduler/queues.h"
#include "master/scheduler/scheduler.h"

namespace reeve {

inline constexpr absl::Duration kRetryBucket = absl::Milliseconds(100);
inline constexpr absl::Duration kRequestIdLife = absl::Hours(24);
inline constexpr size_t kMaxRequestIds = 1'000'000;
// A recall is repeated, and a full held set asked for again, no faster than this.
inline constexpr absl::Duration kRepeat = absl::Seconds(1);
inline constexpr absl::Duration kHeldQuestion = absl::Seconds(5);
// The longest that a task waits before it is tried again.
inline constexpr absl::Duration kLongestBackoff = absl::Minutes(5);
// The same where a job or its queue asks for more.
inline constexpr absl::Duration kLongestWait = absl::Hours(25);
// Deleted jobs that are remembered: more than are deleted between a look at the store and the call
// that follows from it.
inline constexpr size_t kMostDeleted = 10'000;
// After so many suspicions a task runs alone on its worker; after so many crashes it is given up.
inline constexpr uint32_t kSoloAfter = 3;
inline constexpr uint32_t kMaxCrashes = 3;

struct Chunk {
  Run run;
  Birth birth;
  uint64_t bytes = 0;       // Payload; 0 for arrays.
  bool has_inputs = false;  // False: an array, nothing to load.
  InputsRef inputs;         // Resident, or null.
  PositionsRef positions;   // Of the inputs that are tasks; null: all.
  bool loading = false;
  uint64_t commit = 0;                                     // Number of the commit that holds it.
  std::shared_ptr<const std::vector<uint64_t>> task_keys;  // Of a keyed job, one each.
  uint32_t ready = 0;  // Indexes of it in Job::ready and Job::solo.
  uint32_t left = 0;   // Tasks of it that have no recorded result.
  uint64_t task_bytes() const { return bytes / run.count; }  // On average.
};

// What a task has used up; only tasks that have failed before have one.
struct Budget {
  uint32_t failed_attempts = 0;
  uint32_t suspicions = 0;
  uint32_t crashes = 0;
  LeaseId failed;                // Under which the last recorded attempt failed.
  std::vector<uint64_t> deaths;  // That count here: each does so once, however often it is told.
  uint32_t attempt() const { return failed_attempts + crashes + 1; }
  // Suspected too often: it may run only alone on its worker.
  bool solo() const { return suspicions >= kSoloAfter && !REEVE_BUG(kSoloIgnored); }
};

// Whom the end of a worker's leases blames. A worker that left in good order blames nobody.
struct Blame {
  bool died = false;                 // The process is gone, or its host.
  bool named = false;                // `running` holds the culprit alone, named by a crash note.
  bool noted = false;                // `running` is all that ran: its parent says so.
  uint64_t death = 0;                // DeathOf the process.
  std::vector<RunningTask> running;  // What ran when it died.
};

// What the jobs of one owner have waiting.
struct Share {
  uint64_t jobs = 0, tasks = 0, bytes = 0;
  bool operator==(const Share&) const = default;
};

// What a call wants of the room there is.
struct Wanted {
  uint64_t jobs = 0, tasks = 0, bytes = 0;  // Tasks with inputs, as they are queued.
  uint64_t ephemeral_bytes = 0, keys = 0;
  std::map<std::string, uint64_t> of_queue;  // All tasks.
  void Add(const CreateJob& event);
};

struct Appender {
  uint64_t offset = 0;  // Accepted: committed, or in a commit under way.
  CallId stream;        // Open stream, or none.
};

// What a job that accepts inputs remembers of them.
struct KnownInputs {
  absl::flat_hash_set<InputKey> keys;  // Of its tasks. Never iterated.
  uint64_t duplicates = 0, dropped = 0;
};

// Which inputs of a batch become tasks.
struct Selection {
  uint32_t count = 0;
  PositionsRef positions;      // Null: all.
  std::vector<InputKey> keys;  // Of the tasks, or empty.
};

// A result stream of an EPHEMERAL job.
struct Cursor {
  uint64_t passed = 0;
  absl::Duration closed_at = absl::InfiniteDuration();
};

struct Job {
  JobId id;
  JobOptions options;
  Buffer record;
  JobState state = JobState::kOpen;
  absl::Time create_time;
  StoreKind store = StoreKind::kDurable;
  bool watched = false;
  bool changed = false;  // Since the last notice.

  WorkClass* work = nullptr;
  Flow* flow = nullptr;              // With its queue.
  int32_t level = kDefaultPriority;  // Its priority and age.
  absl::Duration waiting_since;      // Nothing of it was placed since then.
  // Where it stands in its line: in the highest one, which jobs reach by age alone, by how long it
  // waits, for those of the best priority are back there before others have been; else by its id.
  absl::Duration in_line;

  // What keeps it from going on.
  bool paused = false;
  bool not_yet = false;         // Its start time is to come.
  uint32_t blocked_by = 0;      // Jobs of extras->after that are still to end, durably.
  bool awaits_results = false;  // Of these.
  Ending ending;
  std::vector<JobId> dependents;              // Wait for its end.
  Buffer brief;                               // Results of its predecessors, for its workers.
  absl::Time alarm = absl::InfiniteFuture();  // In Impl::alarms: something is due then.
  absl::Time idle_since;                      // Of an open job: of its last append or result.

  uint32_t total = 0;  // Indexes. Of a retry job some are no tasks of it:
  IntervalSet absent;
  std::deque<Chunk> chunks;  // Ascending, without gaps.
  // Where each index is that is not with a worker and not terminal.
  IntervalSet ready;
  IntervalSet solo;       // Ready, but only alone on a worker.
  IntervalSet unclaimed;  // After a restart: below the frontier, perhaps still at a worker.
  std::map<absl::Time, IntervalSet> scheduled;
  // Of these: restored so, but the wall clock may have been set back since they were recorded, and
  // they may have begun. Empty once the re-attach window is closed.
  IntervalSet restored_due;
  IntervalSet cancelled;  // CANCELLING: what will end without a result.
  absl::btree_map<TaskIndex, Budget> budgets;
  std::set<LeaseSeq> leases;

  uint64_t in_flight = 0;  // At workers, not admitted.
  uint64_t scheduled_count = 0;
  uint64_t succeeded = 0, failed = 0, retried = 0, cancelled_count = 0;
  uint64_t last_seq = 0;
  std::map<std::string, int64_t> counters;  // Of its handlers.
  HandlerStats* stats = nullptr;            // Of its handler; set when first needed.

  uint32_t frontier = 0;          // Counts: nothing at or beyond it is assigned.
  uint32_t frontier_pending = 0;  // Written, counts once `frontier_commit` is done; 0: none.
  uint64_t frontier_commit = 0;

  std::map<std::string, Appender> appenders;
  std::unique_ptr<KnownInputs> known;               // Null: the job does not accept inputs.
  std::unique_ptr<KeyGroups> keys;                  // Null: its tasks have no keys.
  absl::btree_map<TaskIndex, std::string> details;  // What attempts left for the next.
  std::optional<RunningTask> said;                  // The last that a running task said of itself.
  uint64_t queued_bytes = 0;                        // Payload of chunks with tasks left.
  Share* share = nullptr;                           // Of its owner; null: it has none.
  // EPHEMERAL: results not yet passed by every cursor, as (seq, bytes).
  std::deque<std::pair<uint64_t, uint64_t>> kept_results;
  uint64_t result_bytes = 0;
  std::map<CallId, Cursor> cursors;
  absl::Duration cursorless_since;
  bool listed = false;  // In its class's list of ready jobs.
  absl::Duration cancel_deadline = absl::InfiniteDuration();

  uint64_t tasks() const { return total - absent.size(); }
  uint64_t unfinished() const { return tasks() - succeeded - failed - cancelled_count; }
  const JobExtras* extras() const { return options.extras.get(); }
  Queue& queue() const { return *flow->queue; }
  // Starts of it wait for their time.
  bool timed() const {
    return queue().settings.rate.limited() || (keys != nullptr && extras()->key_rate.limited());
  }
};

struct Lease {
  LeaseSeq seq;
  JobId job;
  Birth birth;
  IntervalSet runs;  // Not finished, recalled or released.
  uint32_t attempt = 1;
  Lane lane = Lane::kThread;
  bool solo = false;   // The worker gets nothing else meanwhile.
  bool front = false;  // Goes before what waits at the worker.
  SessionId session;
  uint64_t task_bytes = 0;  // As its chunk says.
  LeaseId old;              // Epoch 0: given fresh.
  // To send it again: as first sent.
  Run sent;
  InputsRef inputs;
  TaskIndex inputs_first = 0;
  PositionsRef positions;
  absl::Duration sent_at;
  // Recall under way.
  bool recalling = false;
  TaskIndex recall_end = 0;
  absl::Duration recall_at;
  int32_t level = 0;  // Of its job when it went out: the turns that it counts in.
  // What each task was counted in turns when it went out, and what more since, where it runs for
  // long (slot seconds); how many slots one that runs takes.
  double counted = 0, slots = 1;
  std::map<TaskIndex, double> counted_more;
  absl::Duration since;

  double CountedMore(Run run) const;
  // What a task uses that runs for `time`; no longer than it is there.
  double Used(absl::Duration time, absl::Duration now) const {
    return slots * absl::ToDoubleSeconds(std::clamp(time, absl::ZeroDuration(), now - since));
  }
};

// How fast a worker gets through tasks of a job, and so how many it may hold.
struct Pace {
  double cost_ns = 0;   // Of one task on one slot; 0: unknown.
  uint32_t window = 0;  // Tasks it may hold, growing; 0: not begun.
};

struct WorkerRecord {
  SessionId session;
  WorkerNumber number;
  std::string worker_id, process_id, hostname, version, name;
  std::map<std::string, std::string> labels;
  uint32_t pid = 0;
  std::vector<HandlerOffer> handlers;
  Resources resources, used;  // In all; by tasks in leases.
  LaneRooms lanes{};
  std::vector<PoolStatus> pools;
  std::array<uint64_t, kLaneCount> held{};   // Tasks in leases.
  std::array<uint64_t, kLaneCount> front{};  // Of these, those that go before others.
  uint64_t held_bytes = 0;                   // Their inputs.
  absl::flat_hash_map<const WorkClass*, uint64_t> held_of;  // Of each class. Never iterated.
  LeaseSeq seen_seq;
  absl::Duration last_seen;
  absl::Time joined, last_seen_wall;
  uint64_t finished = 0;
  bool draining = false, spool_full = false, suspect = false;
  bool drained = false;  // Stays, but gets nothing.
  uint64_t wanted = 0;   // In this round a class found no room here.
  absl::Duration closed_at = absl::InfiniteDuration();
  std::set<LeaseSeq> leases;
  absl::btree_map<JobId, Pace> paces;
  std::map<std::string, Pace> handler_paces;
  IntervalSet admitted;  // Batch numbers, to tell a repeated batch from a superseded one.
  IntervalSet refused;   // Of these: superseded at least in part.
  std::vector<RunningTask> running;
  absl::Duration held_asked = -absl::InfiniteDuration();
  std::optional<SendWelcome> welcome;  // Last, to be repeated.
  After welcome_after;                 // Roster included. Nothing is assigned before it is out.
  uint64_t beat_number = 0;            // Of the last heartbeat.

  bool alone = false;  // Holds a solo task.

  bool responds() const { return !suspect && closed_at == absl::InfiniteDuration(); }
  bool takes_work() const {
    return responds() && !draining && (!drained || REEVE_BUG(kDrainIgnored)) && !spool_full &&
           (!alone || REEVE_BUG(kSoloNotAlone));
  }
  bool holds_nothing() const { return leases.empty(); }
};

// That can run something.
inline uint32_t Slots(const WorkerRecord& worker, Lane lane) {
  const LaneRoom& room = worker.lanes[static_cast<int>(lane)];
  return room.slots > room.stuck ? room.slots - room.stuck : 0;
}

// An ended job that others waited for.
struct EndedForOthers {
  EndedJob job;
  std::vector<JobId> dependents;
  After after;  // The commit that holds its end.
};

struct ScheduleRecord {
  ScheduleSettings settings;
  ScheduleProgress progress;
  std::string request_id;
  uint64_t content_hash = 0;
  bool ends = false;  // Its last job was one of a number.
  uint32_t late = 0;  // Fire times in a row that were behind others.
};

absl::Status NoUnfinishedJob(JobId job);
// `1500` as `1.5`.
std::string FormatThousandths(int64_t amount);

struct Scheduler::Impl {
  Impl(const SchedulerOptions& options, Image image, Now now);

  // ---- jobs.cc ----
  void On(const Now& now, CreateJob& event);
  void On(const Now& now, OpenAppender& event);
  void On(const Now& now, AppendTasks& event);
  void On(const Now& now, CloseAppender& event);
  void On(const Now& now, CursorMoved& event);
  void On(const Now& now, CloseJob& event);
  void On(const Now& now, CancelJob& event);
  void On(const Now& now, CreateJobs& event);
  void On(const Now& now, PauseJob& event);
  void On(const Now& now, ResumeJob& event);
  void On(const Now& now, UpdateJob& event);
  void On(const Now& now, DeleteJob& event);
  void On(const Now& now, UpdateQueue& event);
  void On(const Now& now, DeleteQueue& event);
  void On(const Now& now, SetDrained& event);
  void On(const Now& now, CreateSchedule& event);
  void On(const Now& now, ChangeSchedule& event);
  void On(const Now& now, ResultsLoaded& event);
  // `wanted`: by the jobs before it of the same call.
  absl::Status CheckRoom(const CreateJob& event, Wanted wanted = {}) const;
  absl::Status CheckShare(const std::string& owner, const Wanted& wanted) const;
  // Answers a repeated request, of CreateJobs with `count` jobs, else 0. Returns: whether it was
  // one.
  bool AnswerRepeat(CallId call, const std::string& request_id, uint64_t content_hash,
                    uint64_t count);
  void ReserveIds();
  Job* MakeJob(const Now& now, CreateJob& event);
  // The unfinished job that has the unique key, or null.
  Job* FindUnique(const JobOptions& wanted);
  void Replace(const Now& now, Job& job);
  void TakeUp(const Now& now, Job& job);
  void AddChunk(Job& job, Selection tasks, InputsRef inputs, uint64_t bytes,
                const std::string& appender, uint64_t offset, std::vector<uint64_t> task_keys = {});
  Chunk& AddChunkOf(Job& job, Run run, const SharedChunk& shared);
  void AddSelected(Job& job, const CreateJob& event);
  // Its other indexes are no tasks of it.
  void Leave(Job& job, const std::vector<Run>& selected);
  // An append without room waits here, and with it whatever its stream sent later.
  // A job begins or ends to count; tasks with inputs begin or end to wait.
  void Enlist(Job& job);
  void Delist(Job& job);
  void CountQueued(Job& job, int64_t tasks, int64_t bytes);
  bool HasRoom(const Job& job, uint64_t count, uint64_t bytes) const;
  void Append(const Now& now, AppendTasks& event);
  void RetryParked(const Now& now);
  // The tasks of `run` have their results; a chunk with none left no longer counts as waiting.
  void FinishInChunks(Job& job, Run run);
  void ForgetChunk(Job& job, Chunk& chunk);
  void DropPassedResults(Job& job);
  void CountResults(Job& job, uint64_t added, uint64_t dropped);
  bool ResultsFull(const Job& job) const;
  void CheckCursors(const Now& now);
  // The commit that a caller who is told of `job` waits for.
  After KnownAfter(const Job& job) const;
  void ReplyJob(CallId call, const Job& job);
  void RefuseJob(CallId call, absl::Status status);
  // The last word on a stream: it comes after what was answered before it.
  void RefuseAppend(CallId stream, absl::Status status, StoreKind store = StoreKind::kDurable);
  void EndIfDone(const Now& now, Job& job);

  // ---- control.cc ----
  void ReplyChanged(CallId call, JobId id);
  void Close(Job& job);
  // Begins to end the job: what waits is cancelled; what is at workers, too, unless `ending` is
  // halted. Durable with what is written now. EndIfDone afterwards ends it.
  void Stop(const Now& now, Job& job, Ending ending);
  // Its stop rules, once something of it has ended.
  void CheckStopRules(const Now& now, Job& job);
  void PutState(const Job& job);
  // The next time at which something of the job is due, and what is due now.
  void SetAlarm(Job& job);
  void RingAlarms(const Now& now);
  void Ring(const Now& now, Job& job);

  // ---- dependencies.cc ----
  absl::Status CheckDependencies(const CreateJob& event) const;
  // Begins to wait for the jobs of extras->after; `ended`: what is known of those that have ended.
  // A dependency that can no longer hold stops the job.
  void Await(const Now& now, Job& job, const std::vector<EndedJob>& ended);
  void StopUnmet(const Now& now, Job& job);
  void SettleEnded(const Now& now);  // Tells those that waited.
  void ReleaseDependents(const Now& now);
  void Unblock(Job& job);

  // ---- queues.cc ----
  void Enqueue(Job& job);  // Into queue, flow and class.
  void Dequeue(Job& job);
  Queue& QueueOf(const std::string& name);
  void DropQueueIfUnused(const std::string& name);
  // Nothing of the job is given out before that changes.
  bool IsHeldBack(const Job& job) const;
  bool AtLimit(const Job& job) const;
  bool AtOwnLimit(const Job& job) const;  // Of tasks in flight, whatever their keys.
  // Tasks of the queue that may be placed now.
  uint64_t RoomIn(Queue& queue, const Now& now);
  // In the lists of its class, and in turns with others there.
  void ListAt(Job& job, int32_t level);
  void TakeOff(Job& job);
  void MoveTo(Job& job, int32_t level);
  void Age(const Now& now);
  // Tasks of the job were placed: its rate, its patience and what others begin with.
  void TakeTurn(const Now& now, Job& job, uint64_t tasks);

  // ---- keys.cc ----
  void AddKeyed(Job& job, Run run);
  void RemoveKeyed(Job& job, Run run);
  void CountKeys(Job& job, Run run, int64_t by);  // In flight.
  void UpdateGroup(const Now& now, Job& job, uint64_t key, KeyGroup& group);
  void PassKeyGate(const Now& now, Job& job, Run run);
  void WakeKeys(const Now& now);
  // Whether its key lets this task go now: for one that is not placed by key.
  bool KeyIsOpen(const Now& now, Job& job, TaskIndex index);
  uint64_t KeyOf(const Job& job, TaskIndex index) const;

  // ---- classes.cc ----
  WorkClass* ClassFor(const JobOptions& options);
  static bool Fits(const WorkClass& work, const WorkerRecord& worker);
  static bool Selects(const std::vector<LabelTerm>& selector, const WorkerRecord& worker);
  // Tasks of the class for which the worker has resources left.
  uint64_t RoomInResources(const WorkClass& work, const WorkerRecord& worker) const;
  absl::Status CheckFit(const JobOptions& options) const;
  void AddToClasses(const WorkerRecord& worker);
  using Classes = absl::btree_map<std::string, std::unique_ptr<WorkClass>>;
  Classes::iterator EraseClass(Classes::iterator it);
  // Keeps a worker for the first of `order` that has waited long for more than others leave.
  void Reserve(const Now& now, const std::vector<WorkClass*>& order);
  bool HasWaited(const Now& now, const WorkClass& work);
  const WorkerRecord* WorkerToKeep(const WorkClass& work, SessionId already) const;
  void DropClassIfUnused(WorkClass* work);

  // ---- schedules.cc ----
  void FireSchedules(const Now& now);
  void Fire(const Now& now, ScheduleRecord& schedule, absl::Time at);
  absl::StatusOr<Job*> MakeScheduled(const Now& now, ScheduleRecord& schedule,
                                     const std::string& request_id, absl::Time start, JobId behind);
  void PutProgress(const ScheduleRecord& schedule, bool whole);
  void RestoreSchedule(ScheduleImage& image, const Now& now);
  void PlanNext(ScheduleRecord& schedule, absl::Time after);
  void ForgetOldRequests(const Now& now);
  TaskCounts CountsOf(const Job& job) const;
  JobView ViewOf(const Job& job) const;

  // ---- workers.cc ----
  void On(const Now& now, Hello& event);
  bool IsOvertaken(const Hello& event) const;
  void On(const Now& now, Heartbeat& event);
  void On(const Now& now, Recalled& event);
  void On(const Now& now, Released& event);
  void On(const Now& now, Goodbye& event);
  void On(const Now& now, ConnectionClosed& event);
  WorkerRecord* FindWorker(SessionId session);
  WorkerRecord& Join(const Now& now, Hello& event);
  void Claim(const Now& now, WorkerRecord& worker, const std::vector<HeldRun>& held,
             SendWelcome* welcome);
  // A suspect that ran alone when its worker came back still does. `unfinished`: leases it claimed.
  void ResumeSolo(WorkerRecord& worker, const std::vector<LeaseSeq>& unfinished);
  // The runs of `held` that no failure recorded since has settled.
  std::vector<Run> NotSettled(const Job& job, const HeldRun& held) const;
  std::vector<Run> Claimable(Job& job, const HeldRun& held, const std::set<LeaseSeq>& own);
  void Reconcile(const Now& now, const WorkerRecord& worker, const Heartbeat& beat);
  void TakeBack(const Now& now, SessionId session, const std::vector<LeasedRun>& runs);
  void RemoveWorker(const Now& now, WorkerRecord& worker, const Blame& blame);
  void DropFromRoster(const WorkerRecord& worker);
  void RemoveFromClasses(const WorkerRecord& worker);
  // Removes what is left of `run` from the lease; ends the lease when nothing is left. Returns:
  // what was removed.
  std::vector<Run> CutLease(Lease& lease, Run run);
  // Likewise what did not run: its turn is given back.
  std::vector<Run> CutUnused(Lease& lease, Run run);
  void EndLease(Lease& lease);
  // The indexes go back to the queue (or are cancelled) free of charge.
  void GiveBack(const Now& now, Job& job, const std::vector<Run>& runs);
  void CheckWorkers(const Now& now);
  bool HoldsExclusive(const WorkerRecord& worker) const;
  // What a heartbeat says of a task.
  void NoteRunning(const WorkerRecord& worker, const RunningTask& task);
  bool Holds(const WorkerRecord& worker, const Job& job, TaskIndex index) const;

  // ---- loss.cc ----
  void LoseLeases(const Now& now, const std::set<LeaseSeq>& seqs, const Blame& blame);
  // The indexes have begun, or may have, and nobody will report them.
  void LoseRuns(const Now& now, Job& job, const std::vector<Run>& runs);
  // Counts the deaths that `event` tells and that no lease of this life accounts for.
  void ChargeTold(const Now& now, const Hello& event);
  // The task goes on once all that is recorded of it so far is durable: a new life that does not
  // know of a death would let others run beside the suspect.
  void GoOnAfter(const Now& now, Job& job, TaskIndex index, After recorded);
  bool IsLive(const Job& job, TaskIndex index) const;  // Neither terminal nor cancelled.
  // Blames what most likely ran in a process that left no note: what its last heartbeat named, and
  // where that leaves slots over, what was to be run next.
  Blame WithoutNote(const WorkerRecord& worker) const;
  // `event` comes from the process that took the place of `before`.
  Blame BlameFor(const WorkerRecord& before, const Hello& event) const;
  // One suspicion or crash more for a task that is nowhere now; puts it where it goes on, or ends
  // it.
  void Charge(const Now& now, Job& job, TaskIndex index, bool crash, uint64_t death,
              PutResults* write);
  // Counts it: the one place that does. Returns: what to record, unless the task ends by it.
  RetryOutcome CountDeath(const Now& now, Job& job, TaskIndex index, bool crash, uint64_t death);
  // Ends tasks of the master's own accord: no worker reports them.
  void FailRuns(const Now& now, Job& job, const std::vector<Run>& runs, Reason reason);

  // ---- turns.cc ----
  // Where a flow stands among others with work: the least goes first.
  using Standing = std::tuple<double, std::string_view, double, uint32_t>;
  static Standing StandingOf(const Flow& flow, int level);
  // Those that have work to place, in the order of their turns.
  std::vector<WorkClass*> ClassesInTurn() const;
  // What a task of the lease, which is about to be held, counts in turns.
  void SetCounted(const Now& now, Lease& lease, const WorkerRecord& worker, const Job& job) const;
  // What runs there for long uses its turn meanwhile, not only when it ends.
  void CountRunning(const Now& now, const WorkerRecord& worker);
  // In turns: what it has used, and of this what its tasks at workers are counted ahead.
  void CountUse(Job& job, int32_t level, double slot_seconds);
  void CountAhead(Job& job, int32_t level, double slot_seconds);

  // ---- placement.cc ----
  void Place(const Now& now);
  void PlaceTimed(const Now& now, WorkClass& work);
  void PlaceClass(const Now& now, WorkClass& work);
  // Returns: whether somebody has work left for which there was no room.
  bool PlaceInTurns(const Now& now, WorkClass& work, int at);
  // The class found no room: those behind it do not get in among others at its workers.
  void Want(const WorkClass& work);
  bool HasRoomFor(const WorkClass& work) const;
  bool MayCrowd(const WorkerRecord& worker, const WorkClass& work, uint32_t slots) const;
  // Tasks of the class that the worker has.
  uint64_t HeldOf(const WorkerRecord& worker, const WorkClass& work) const;
  void PlaceSolo(const Now& now);
  WorkerRecord* WorkerForSolo(const Job& job);
  bool Takes(const WorkerRecord& worker) const {
    return worker.takes_work() && worker.session != emptying;
  }
  // At most `most` tasks. Returns: how many.
  uint64_t PlaceJob(const Now& now, WorkClass& work, Job& job, uint64_t most = UINT64_MAX);
  // What may be placed of the job at once, as its limits are; at most `most`.
  uint64_t RoomOf(const Now& now, Job& job, uint64_t most);
  // A lease comes to hold, or no longer holds, tasks: the one place where they are counted.
  void CountHeld(Lease& lease, Job& job, WorkerRecord* worker, Run run, bool held);
  uint32_t Credit(WorkerRecord& worker, const Job& job) const;
  uint32_t Window(WorkerRecord& worker, const Job& job) const;
  // So many ready tasks go to one worker before another one gets any.
  uint64_t Undivided(const WorkerRecord& worker, const Job& job) const;
  // Small jobs behind one another: what is on its way will do for now.
  bool LoadsFull() const { return loading_count >= options.load_ahead_chunks; }
  // Tasks of the chunk with `index` that the worker may get before it holds too many bytes.
  uint32_t RoomInBytes(const WorkerRecord& worker, Job& job, TaskIndex index);
  Lane LaneOf(const WorkerRecord& worker, const std::string& handler) const;
  // Next run of ready work of the job, at most `limit`; loads and frontier are asked for where they
  // are missing.
  std::optional<Run> NextRun(Job& job, uint32_t limit);
  bool CoveredByFrontier(Job& job, Run run);
  void ExtendFrontier(Job& job, uint64_t to);
  void Assign(const Now& now, WorkerRecord& worker, Job& job, Run run, bool solo);
  void Send(const Now& now, WorkerRecord& worker, Lease& lease);
  void LoadAhead(Job& job, TaskIndex from);
  void Rebalance(const Now& now);
  // Ready again; what is suspected too often goes to Job::solo.
  void AddReady(Job& job, Run run);
  void AddTo(IntervalSet& set, Job& job, Run run);
  void TakeFrom(IntervalSet& set, Job& job, Run run);
  Chunk& ChunkOf(Job& job, TaskIndex index);
  const Chunk& ChunkOf(const Job& job, TaskIndex index) const;
  void UpdateListing(Job& job);
  void Unlist(Job& job);
  void LearnPace(WorkerRecord& worker, const Job& job, uint64_t count, absl::Duration run_time);

  // ---- admission.cc ----
  void On(const Now& now, ResultsArrived& event);
  bool Admit(const Now& now, WorkerRecord& worker, ResultBatchArrived& batch);
  void Settle(const Now& now, Job& job, Run accepted, LeaseSeq lease, uint32_t position,
              const std::vector<FailedEntry>& failed, PutResults* write);
  void SettleFailure(const Now& now, Job& job, TaskIndex index, LeaseSeq lease, uint32_t position,
                     const FailedEntry& entry, PutResults* write);
  // Admitted outcomes, as one row, to the store and, once committed, to streams.
  void Record(Job& job, PutResults write);
  // The task may run again once its back-off is over. Returns: when.
  absl::Time Postpone(const Now& now, Job& job, TaskIndex index, absl::Duration wait);
  absl::Duration Backoff(Job& job, TaskIndex index, uint32_t failed_attempts);
  void KeepDetails(Job& job, TaskIndex index, const std::string& details);
  std::string DetailsOf(const Job& job, TaskIndex index) const;
  // What is known of running tasks whose attempt has ended; of their details only if `all`.
  void ForgetRunning(Job& job, Run run, bool all = true);

  // ---- new_inputs.cc ----
  // Takes up what is new of `offered` (positions of a batch of `count`, ascending) while there is
  // room for tasks. The place where keys are looked up. `keys`: of each of the `count`, or empty.
  // Counts what is dropped, durably with what else is written now.
  Selection Select(Job& job, uint32_t count, const std::vector<InputKey>& keys,
                   const std::vector<Run>& offered);
  // Of a batch that was created or appended.
  Selection SelectAll(Job& job, uint32_t count, const std::vector<InputKey>& keys);
  // The inputs that came with the results in `admitted`, in the same transaction.
  void AddNewInputs(Job& job, NewInputs added, const std::vector<ResultRun>& admitted);
  HandlerStats& StatsOf(Job& job);
  void AddCounts(Job& job, const std::vector<CountedEntry>& counted,
                 const std::vector<ResultRun>& admitted);

  // ---- recovery.cc ----
  void Restore(JobImage& image, const Now& now);
  void ReleaseUnclaimed(const Now& now);

  // ---- scheduler.cc ----
  void On(const Now& now, Committed& event);
  void On(const Now& now, InputsLoaded& event);
  void On(const Now& now, DiskLow& event);
  void On(const Now& now, Tick& event);
  void On(const Now& now, DrainMaster& event);
  void ReleaseDue(const Now& now);
  void Put(StoreKind store, Write write, uint64_t bytes = 0);
  // The last commit that holds anything written so far.
  After Latest(StoreKind store) const;
  bool IsCommitted(const After& after) const {
    return after.number <= committed[static_cast<int>(after.store)];
  }
  Job* FindJob(JobId id);
  const Job* FindJob(JobId id) const;
  Effects TakeEffects(const Now& now);
  absl::Duration NextDeadline() const;

  // ---- views.cc ----
  std::optional<TaskView> ViewTask(const Now& now, JobId id, TaskIndex index) const;
  QueueView ViewOf(const Queue& queue) const;

  // ---- explain.cc ----
  void Explain(const Now& now, const Job& job, TaskIndex index, TaskView* view) const;
  void ExplainHold(const Now& now, const Job& job, TaskView* view) const;
  void ExplainLimits(const Now& now, const Job& job, TaskIndex index, TaskView* view) const;
  void ExplainWorkers(const Job& job, TaskIndex index, TaskView* view) const;

  // ---- invariants.cc ----
  void CheckInvariants() const;
  void CheckQueues() const;
  void CheckKeys(const Job& job) const;

  const SchedulerOptions options;
  const Epoch epoch;
  const Now born;
  // The wall clock as it would be had nobody set it since the start: what due times are reckoned
  // in, so that a jump makes no task wait.
  absl::Time Steady(const Now& now) const {
    return REEVE_BUG(kWallBackoff) ? now.wall : born.wall + (now.monotonic - born.monotonic);
  }
  absl::btree_map<JobId, std::unique_ptr<Job>> jobs;
  absl::btree_map<LeaseSeq, std::unique_ptr<Lease>> leases;
  absl::btree_map<SessionId, std::unique_ptr<WorkerRecord>> workers;
  std::map<std::string, SessionId> session_of;  // By worker_id, of those in `workers`.
  Classes classes;
  // What tasks of the class need is given to no others at the worker.
  struct Reservation {
    SessionId worker;
    const WorkClass* work = nullptr;
  };
  Reservation reserved;
  std::map<std::string, std::set<SessionId>> offers;          // Who offers a handler.
  std::map<std::string, Queue> queues;                        // Jobs point to them.
  std::map<std::pair<std::string, std::string>, Flow> flows;  // By queue and owner.
  std::map<uint32_t, Flow*> flow_of;
  uint32_t next_flow = 1;
  // Least that a queue, or class, which begins is taken to have had.
  std::array<double, kLevels> queues_had{}, classes_had{};
  bool placing = false;  // Levels keep empty flows meanwhile,
  bool emptied = false;  // if there are any.
  // Several classes have work to place; one that has less than a task a slot at a worker which
  // others keep full gets a little more there, if nobody who goes before it wants that worker, too.
  bool crowded = false;
  uint64_t round = 0;                                   // Number of this look for room.
  Now last_now;                                         // Of the last step.
  absl::Duration next_gate = absl::InfiniteDuration();  // A queue's rate lets the next start pass.
  absl::Duration next_ageing = absl::ZeroDuration();
  std::set<std::tuple<absl::Duration, JobId, uint64_t>> key_wakes;
  std::set<std::pair<absl::Time, JobId>> alarms;
  std::map<std::pair<std::string, std::string>, JobId> unique_jobs;  // By owner and key.
  std::deque<EndedForOthers> ended_for_others;
  // Deleted of late: who has just seen one in the store may speak of it as ended.
  std::set<JobId> deleted;
  std::deque<JobId> deleted_order;
  std::vector<EndedJob> ended_at_start;  // While jobs are restored.
  bool restoring = true;
  // Whose dependency holds, once the commit is done.
  std::array<std::deque<std::pair<uint64_t, JobId>>, kStoreCount> met;
  std::set<std::string> drained;                                            // worker_ids.
  std::map<std::pair<std::string, std::string>, ScheduleRecord> schedules;  // By owner and name.
  std::set<std::pair<absl::Time, std::pair<std::string, std::string>>> fire_times;

  struct Request {
    uint64_t content_hash = 0;
    JobId job;
  };
  absl::flat_hash_map<std::string, Request> requests;  // Never iterated.
  std::deque<std::pair<absl::Time, std::string>> request_order;
  absl::btree_map<CallId, std::pair<JobId, std::string>> streams;

  struct RosterEntry {
    WorkerNumber number;
    bool awaited = false;  // After a restart: has not said Hello yet.
  };
  std::map<std::string, RosterEntry> roster;
  size_t awaited = 0;
  absl::Duration reattach_deadline = absl::InfiniteDuration();

  uint64_t next_job = 1, reserved_below = 1;
  // Ids below this are reserved whatever happens; the later steps and the commits that hold them.
  uint64_t reserved_for_sure = 1;
  std::deque<std::pair<uint64_t, uint64_t>> reserving;  // (commit, below)
  uint64_t next_lease = 1;
  uint64_t next_birth = 1;
  uint64_t next_worker = 1;
  std::array<uint64_t, kStoreCount> next_commit{1, 1};
  std::array<uint64_t, kStoreCount> committed{};
  std::array<WriteBatch, kStoreCount> writing;
  std::set<JobId> frontier_waits;  // Jobs with a frontier step under way.
  std::set<JobId> changed_jobs;    // Watched, counts changed.
  std::set<JobId> solo_jobs;       // With tasks in Job::solo.
  SessionId emptying;              // Gets nothing more, so that a solo task can run there.
  // When buckets fall due, and the commit that holds their failures: a later attempt never begins
  // while a crash could still undo the record of the one before.
  std::map<std::pair<absl::Time, JobId>, After> due;
  uint64_t queued_tasks = 0, queued_bytes = 0, resident_bytes = 0;
  std::map<std::string, Share> shares;  // By owner; of those with jobs. They stay where they are.
  uint64_t reserved_keys = 0;           // Sum of max_tasks of the jobs that accept inputs.
  uint64_t ephemeral_inputs = 0, ephemeral_results = 0;  // Bytes.
  std::set<JobId> ephemeral_jobs;
  std::deque<AppendTasks> parked;  // Appends without room, in order of arrival.
  bool room_changed = false;
  bool disk_low = false;
  uint64_t loading_bytes = 0, loading_count = 0;
  bool draining = false;
  absl::Duration next_check = absl::ZeroDuration();
  absl::Duration next_rebalance = absl::ZeroDuration();
  Totals totals;
  std::map<std::string, HandlerStats> statistics;  // Never erased: jobs point to them.
  Effects effects;
  absl::btree_map<SessionId, Assignment> assigning;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_STATE_H_
