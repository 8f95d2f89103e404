// Jobs begin and end: what is refused, what is made of a request, what an end leaves behind.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

constexpr absl::Duration kRetryHint = absl::Seconds(1);

absl::Status Full(std::string_view what) {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", what, kRetryHint);
}

// Of keys of the inputs of a batch, those of its tasks.
std::vector<uint64_t> Chosen(const std::vector<uint64_t>& keys, const Positions& positions) {
  std::vector<uint64_t> chosen;
  chosen.reserve(positions.count());
  for (const Run run : positions.Runs())
    chosen.insert(chosen.end(), keys.begin() + run.first, keys.begin() + run.end());
  return chosen;
}

}  // namespace

TaskCounts Scheduler::Impl::CountsOf(const Job& job) const {
  TaskCounts counts;
  counts.total = job.tasks();
  counts.scheduled = job.scheduled_count;
  const uint64_t waiting = job.ready.size() + job.solo.size();
  (job.blocked_by > 0 ? counts.blocked : job.not_yet ? counts.scheduled : counts.ready) += waiting;
  // Held by workers, or perhaps held by one that has not come back yet.
  counts.assigned = job.in_flight + job.unclaimed.size();
  counts.succeeded = job.succeeded;
  counts.failed = job.failed;
  (job.ending.as == JobState::kExpired ? counts.expired : counts.cancelled) = job.cancelled_count;
  counts.retried = job.retried;
  if (job.known != nullptr) {
    counts.duplicate_inputs = job.known->duplicates;
    counts.dropped_inputs = job.known->dropped;
  }
  counts.counters = job.counters;
  return counts;
}

JobView Scheduler::Impl::ViewOf(const Job& job) const {
  JobView view;
  view.job = job.id;
  const bool goes_on = job.state == JobState::kOpen || job.state == JobState::kActive;
  view.state = job.paused && goes_on ? JobState::kPaused : job.state;
  view.counts = CountsOf(job);
  view.record = job.record;
  view.create_time = job.create_time;
  view.ephemeral = job.options.ephemeral;
  view.cause = job.ending.cause;
  view.paused = job.paused;
  if (job.in_flight > 0) view.said = job.said;
  view.priority = job.options.priority;
  view.max_in_flight = job.options.max_in_flight;
  return view;
}

// Whatever store the job lives in, its id must be reserved in the durable one; but a call of an
// EPHEMERAL job does not wait for what others have in that store.
After Scheduler::Impl::KnownAfter(const Job& job) const {
  if (!job.options.ephemeral) return Latest(StoreKind::kDurable);
  for (const auto& [commit, below] : reserving) {
    if (job.id.value < reserved_for_sure) break;
    if (job.id.value < below) return {StoreKind::kDurable, commit};
  }
  return Latest(job.store);
}

void Scheduler::Impl::ReplyJob(CallId call, const Job& job) {
  const After after = REEVE_BUG(kAckBeforeCommit) ? After{} : KnownAfter(job);
  effects.replies.push_back({call, JobReply{absl::OkStatus(), ViewOf(job)}, after});
}

void Scheduler::Impl::RefuseJob(CallId call, absl::Status status) {
  effects.replies.push_back({call, JobReply{std::move(status), {}}, {}});
}

// Chunks that it shares are queued whole, if they have a task of it.
void Wanted::Add(const CreateJob& event) {
  uint64_t own = event.input_count, own_bytes = event.input_bytes, all = own + event.array_count;
  auto selected = event.selected.begin();
  for (const SharedChunk& chunk : event.chunks) {
    while (selected != event.selected.end() && selected->end() <= chunk.run.first) ++selected;
    if (selected == event.selected.end() || REEVE_BUG(kSharedInputsUnbounded)) break;
    if (selected->first >= chunk.run.end()) continue;
    own += chunk.run.count;
    own_bytes += chunk.bytes;
  }
  if (!event.selected.empty()) all = 0;
  for (const Run run : event.selected) all += run.count;
  ++jobs;
  tasks += own;
  bytes += own_bytes;
  if (event.options.ephemeral) ephemeral_bytes += own_bytes;
  if (event.options.accepts_inputs) keys += event.options.max_tasks;
  of_queue[event.options.queue.empty() ? kDefaultQueue : event.options.queue] += all;
}

absl::Status Scheduler::Impl::CheckRoom(const CreateJob& event, Wanted wanted) const {
  if (draining) {
    return MakeError(absl::StatusCode::kUnavailable, "DRAINING", "the master is shutting down");
  }
  if (disk_low && !event.options.ephemeral) {
    return MakeError(absl::StatusCode::kResourceExhausted, "DISK_LOW",
                     "the master's disk is nearly full; it takes no new work until there is room",
                     kRetryHint);
  }
  wanted.Add(event);
  if (jobs.size() + wanted.jobs > options.max_active_jobs) return Full("too many unfinished jobs");
  if (queued_tasks + wanted.tasks > options.max_queued_payload_tasks ||
      queued_bytes + wanted.bytes > options.max_queued_bytes) {
    return Full("too many tasks or bytes are waiting");
  }
  if (absl::Status mine = CheckShare(event.options.owner, wanted); !mine.ok()) return mine;
  if (event.options.ephemeral &&
      ephemeral_inputs + wanted.ephemeral_bytes > options.ephemeral_bytes / 2) {
    return Full("ephemeral jobs hold as many bytes as they may");
  }
  if (event.options.accepts_inputs && reserved_keys + wanted.keys > options.max_known_keys) {
    return Full("jobs that accept new inputs have as many tasks in all (max_tasks) as they may");
  }
  const std::string& name = event.options.queue;
  if (const auto queue = queues.find(name.empty() ? kDefaultQueue : name); queue != queues.end()) {
    const uint64_t most = queue->second.settings.max_tasks;
    const uint64_t tasks = queue->second.tasks + wanted.of_queue[queue->first];
    if (most > 0 && tasks > most && !REEVE_BUG(kQueueUnbounded)) {
      return Full(StrCat("queue ", queue->first, " has ", queue->second.tasks,
                         " unfinished tasks; it takes ", most));
    }
  }
  if (const JobExtras* extras = event.options.extras.get();
      extras != nullptr && deleted.contains(extras->retry_of) && !REEVE_BUG(kDeletionForgotten)) {
    return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                     StrCat("there is no job ", extras->retry_of.value));
  }
  if (absl::Status found = CheckDependencies(event); !found.ok()) return found;
  return CheckFit(event.options);
}

absl::Status Scheduler::Impl::CheckShare(const std::string& owner, const Wanted& wanted) const {
  if (owner.empty() || REEVE_BUG(kOwnerUnbounded)) return absl::OkStatus();
  const auto found = shares.find(owner);
  const Share share = found == shares.end() ? Share() : found->second;
  if (share.jobs + wanted.jobs > options.max_active_jobs_per_owner)
    return Full("this principal has too many unfinished jobs");
  if (share.tasks + wanted.tasks > options.max_queued_payload_tasks_per_owner ||
      share.bytes + wanted.bytes > options.max_queued_bytes_per_owner) {
    return Full("this principal has too many tasks or bytes waiting");
  }
  return absl::OkStatus();
}

bool Scheduler::Impl::AnswerRepeat(CallId call, const std::string& request_id,
                                   uint64_t content_hash, uint64_t count) {
  const auto known = requests.find(request_id);
  if (known == requests.end() || REEVE_BUG(kNoDedupe)) return false;
  if (known->second.content_hash != content_hash) {
    // Without the owner that may stand before it.
    const std::string given = request_id.substr(request_id.rfind('\n') + 1);
    absl::Status reused =
        MakeError(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
                  StrCat("request_id ", given, " came before with other content"));
    if (count == 0) {
      RefuseJob(call, std::move(reused));
    } else {
      effects.replies.push_back({call, JobsReply{std::move(reused), {}}, {}});
    }
    return true;
  }
  const After after = Latest(StoreKind::kDurable);
  JobsReply reply;
  for (uint64_t i = 0; i < std::max<uint64_t>(1, count); ++i) {
    const JobId id(known->second.job.value + i);
    const Job* job = FindJob(id);
    if (count == 0 && job != nullptr) {
      ReplyJob(call, *job);
      return true;
    }
    reply.views.push_back(job == nullptr ? JobView() : ViewOf(*job));
    reply.views.back().job = id;  // Ended: the service reads it from the store.
  }
  if (count == 0) {
    effects.replies.push_back({call, JobReply{absl::OkStatus(), reply.views.front()}, after});
  } else {
    effects.replies.push_back({call, std::move(reply), after});
  }
  return true;
}

void Scheduler::Impl::On(const Now& now, CreateJob& event) {
  ForgetOldRequests(now);
  if (AnswerRepeat(event.call, event.request_id, event.content_hash, 0)) return;
  if (absl::Status room = CheckRoom(event); !room.ok())
    return RefuseJob(event.call, std::move(room));
  if (Job* taken = FindUnique(event.options); taken != nullptr) {
    const UniquePolicy policy = event.options.extras->unique_policy;
    if (policy == UniquePolicy::kAttach) return ReplyJob(event.call, *taken);
    if (policy == UniquePolicy::kReject) {
      return RefuseJob(event.call,
                       MakeError(absl::StatusCode::kAlreadyExists, "UNIQUE_KEY_TAKEN",
                                 StrCat("job ", taken->id.value, " has the unique key `",
                                        event.options.extras->unique_key, "`")));
    }
    Replace(now, *taken);
  }
  Job* job = MakeJob(now, event);
  const CallId call = event.call;
  ReplyJob(call, *job);
  EndIfDone(now, *job);
}

// As many requests as there are jobs: each is known again by the row of its job.
void Scheduler::Impl::On(const Now& now, CreateJobs& event) {
  ForgetOldRequests(now);
  const auto request_of = [&event](size_t i) { return StrCat(event.request_id, "#", i); };
  const size_t count = event.jobs.size();
  const auto refuse = [this, &event](absl::Status status) {
    effects.replies.push_back({event.call, JobsReply{std::move(status), {}}, {}});
  };
  if (AnswerRepeat(event.call, request_of(0), event.content_hash, count)) return;
  Wanted wanted;
  for (size_t i = 0; i < count; ++i) {
    absl::Status may = CheckRoom(event.jobs[i], wanted);
    if (!REEVE_BUG(kGroupUnbounded)) wanted.Add(event.jobs[i]);
    const JobExtras* extras = event.jobs[i].options.extras.get();
    if (may.ok() && FindUnique(event.jobs[i].options) != nullptr &&
        extras->unique_policy != UniquePolicy::kReplace) {
      may = MakeError(absl::StatusCode::kAlreadyExists, "UNIQUE_KEY_TAKEN",
                      StrCat("a job has the unique key `", extras->unique_key, "`"));
    }
    if (!may.ok()) {
      return refuse(
          MakeError(may.code(), ErrorReason(may), StrCat("jobs[", i, "]: ", ToStd(may.message()))));
    }
  }
  const uint64_t first = next_job;
  std::vector<JobId> made;
  for (size_t i = 0; i < count; ++i) {
    CreateJob& create = event.jobs[i];
    create.request_id = request_of(i);
    create.content_hash = event.content_hash;
    if (create.options.extras != nullptr && !create.options.extras->after.empty()) {
      auto extras = std::make_shared<JobExtras>(*create.options.extras);
      for (JobDependency& dependency : extras->after) {
        if ((dependency.job.value & CreateJobs::kPlaceBit) == 0) continue;
        dependency.job = JobId(first + (dependency.job.value & ~CreateJobs::kPlaceBit) - 1);
      }
      create.options.extras = std::move(extras);
    }
    if (Job* taken = FindUnique(create.options); taken != nullptr) Replace(now, *taken);
    made.push_back(MakeJob(now, create)->id);
  }
  JobsReply reply;
  for (const JobId id : made) reply.views.push_back(ViewOf(*jobs.at(id)));
  effects.replies.push_back({event.call, std::move(reply), Latest(StoreKind::kDurable)});
  for (const JobId id : made) {
    if (Job* job = FindJob(id)) EndIfDone(now, *job);
  }
}

Job* Scheduler::Impl::FindUnique(const JobOptions& wanted) {
  if (wanted.extras == nullptr || wanted.extras->unique_key.empty()) return nullptr;
  const auto found = unique_jobs.find({wanted.owner, wanted.extras->unique_key});
  return found == unique_jobs.end() ? nullptr : FindJob(found->second);
}

// Another job takes its place.
void Scheduler::Impl::Replace(const Now& now, Job& job) {
  Stop(now, job, {JobState::kCancelled, Cause::kReplaced, false});
  EndIfDone(now, job);
}

// What every job begins with, a new one or one of the store.
void Scheduler::Impl::TakeUp(const Now& now, Job& job) {
  job.idle_since = Steady(now);
  job.waiting_since = now.monotonic;
  Enlist(job);
  Enqueue(job);
  const JobExtras* extras = job.extras();
  if (extras == nullptr) return;
  job.not_yet = extras->start_time > Steady(now);
  if (extras->keyed) job.keys = std::make_unique<KeyGroups>();
  if (!extras->unique_key.empty()) unique_jobs[{job.options.owner, extras->unique_key}] = job.id;
}

Job* Scheduler::Impl::MakeJob(const Now& now, CreateJob& event) {
  auto owned = std::make_unique<Job>();
  Job& job = *owned;
  job.id = JobId(next_job++);
  if (next_job + options.job_id_block / 2 > reserved_below) ReserveIds();
  job.options = event.options;
  job.record = event.record;
  job.state = event.open ? JobState::kOpen : JobState::kActive;
  job.create_time = now.wall;
  job.store = event.options.ephemeral ? StoreKind::kMemory : StoreKind::kDurable;
  job.cursorless_since = now.monotonic;
  if (event.options.ephemeral) ephemeral_jobs.insert(job.id);
  if (event.options.accepts_inputs) {
    job.known = std::make_unique<KnownInputs>();
    reserved_keys += job.options.max_tasks;
  }
  if (!event.request_id.empty()) {
    requests[event.request_id] = {event.content_hash, job.id};
    request_order.emplace_back(Steady(now), event.request_id);
  }
  job.paused = event.hold;
  TakeUp(now, job);
  jobs.emplace(job.id, std::move(owned));
  PutJob put{ViewOf(job),      job.options,        event.array_count,
             event.request_id, event.content_hash, event.selected};
  if (event.array_count > 0) put.view.counts.total = event.array_count;
  Put(job.store, std::move(put), job.record.size());
  // As after a restart: the flag is part of the state.
  if (job.paused) PutState(job);
  if (!event.selected.empty()) {
    AddSelected(job, event);
  } else if (event.array_count > 0) {
    AddChunkOf(job, {0, event.array_count}, {});
    AddReady(job, {0, event.array_count});
  } else if (event.inputs != nullptr) {
    AddChunk(job, SelectAll(job, event.input_count, event.keys), event.inputs, event.input_bytes,
             "", 0, std::move(event.task_keys));
  }
  if (job.extras() != nullptr) {
    Await(now, job, event.ended);
    SetAlarm(job);
  }
  UpdateListing(job);
  return &job;
}

// A chunk without inputs of its own: of an array, or those of another job.
Chunk& Scheduler::Impl::AddChunkOf(Job& job, Run run, const SharedChunk& shared) {
  const JobId source = job.extras() == nullptr ? JobId() : job.extras()->retry_of;
  Chunk chunk;
  chunk.run = run;
  chunk.birth = {epoch, next_birth++};
  chunk.left = run.count;
  chunk.commit = next_commit[static_cast<int>(job.store)];
  chunk.bytes = shared.bytes;
  chunk.positions = shared.positions;
  chunk.has_inputs = shared.run.count > 0;
  if (!shared.task_keys.empty())
    chunk.task_keys = std::make_shared<const std::vector<uint64_t>>(shared.task_keys);
  PutInputs put{job.id, run, chunk.birth, nullptr, shared.bytes, "", 0, shared.positions};
  put.task_keys = shared.task_keys;
  if (chunk.has_inputs && !REEVE_BUG(kSourceForgotten)) put.source = source;
  Put(job.store, std::move(put));
  job.total = run.end();
  job.queue().tasks += run.count;
  if (chunk.has_inputs) CountQueued(job, run.count, static_cast<int64_t>(shared.bytes));
  job.chunks.push_back(std::move(chunk));
  return job.chunks.back();
}

// A retry job has the indexes of the other one, and of these some as tasks.
void Scheduler::Impl::AddSelected(Job& job, const CreateJob& event) {
  if (event.array_count > 0) AddChunkOf(job, {0, event.array_count}, {});
  for (const SharedChunk& shared : event.chunks) AddChunkOf(job, shared.run, shared);
  if (REEVE_BUG(kSelectedIgnored)) return AddReady(job, {0, job.total});
  Leave(job, event.selected);
  for (const Run run : event.selected) AddReady(job, run);
}

void Scheduler::Impl::Leave(Job& job, const std::vector<Run>& selected) {
  job.absent = IntervalSet(Run{0, job.total});
  for (const Run run : selected) job.absent.Remove(run);
  for (const Run run : job.absent.Runs()) FinishInChunks(job, run);
}

void Scheduler::Impl::ReserveIds() {
  reserved_below = next_job + options.job_id_block;
  reserving.emplace_back(next_commit[static_cast<int>(StoreKind::kDurable)], reserved_below);
  Put(StoreKind::kDurable, ReserveJobIds{JobId(reserved_below)});
}

void Scheduler::Impl::AddChunk(Job& job, Selection tasks, InputsRef inputs, uint64_t bytes,
                               const std::string& appender, uint64_t offset,
                               std::vector<uint64_t> task_keys) {
  const uint32_t count = tasks.count;
  if (tasks.positions != nullptr && !task_keys.empty())
    task_keys = Chosen(task_keys, *tasks.positions);
  Chunk chunk;
  chunk.run = {job.total, count};
  chunk.birth = {epoch, next_birth++};
  chunk.bytes = bytes;
  chunk.left = count;
  chunk.has_inputs = true;
  chunk.positions = tasks.positions;
  chunk.commit = next_commit[static_cast<int>(job.store)];
  // Beyond the bound the tail stays in the store; the head is what is needed next.
  if (resident_bytes + bytes <= options.resident_bytes) {
    chunk.inputs = inputs;
    resident_bytes += bytes;
  }
  if (!task_keys.empty())
    chunk.task_keys = std::make_shared<const std::vector<uint64_t>>(task_keys);
  PutInputs put{job.id,
                chunk.run,
                chunk.birth,
                std::move(inputs),
                bytes,
                appender,
                offset,
                std::move(tasks.positions),
                std::move(tasks.keys)};
  put.task_keys = std::move(task_keys);
  Put(job.store, std::move(put), bytes);
  job.total += count;
  job.queue().tasks += count;
  CountQueued(job, static_cast<int64_t>(count), static_cast<int64_t>(bytes));
  if (job.options.ephemeral) ephemeral_inputs += bytes;
  const Run run = chunk.run;
  job.chunks.push_back(std::move(chunk));
  AddReady(job, run);
  job.changed = true;
}

void Scheduler::Impl::EndIfDone(const Now& now, Job& job) {
  if (job.extras() != nullptr) {
    CheckStopRules(now, job);
    if (job.state == JobState::kOpen && job.unfinished() == 0) SetAlarm(job);
  }
  if (job.unfinished() > 0 || (job.state == JobState::kOpen && !job.ending.halted)) return;
  if (job.ending.as != JobState::kUnspecified) {
    job.state = job.ending.as;
  } else {
    job.state = job.failed > 0 ? JobState::kFailed : JobState::kSucceeded;
  }
  JobView view = ViewOf(job);
  view.end_time = now.wall;
  Put(job.store, PutJobState{job.id, job.state, view.counts, now.wall, job.cancelled.Runs(),
                             job.paused, job.ending});
  if (restoring) ended_at_start.push_back({job.id, job.state, job.ending.cause});
  if (!job.dependents.empty()) {
    ended_for_others.push_back({{job.id, job.state, job.ending.cause},
                                std::exchange(job.dependents, {}),
                                Latest(job.store)});
  }
  effects.jobs.push_back({std::move(view), job.last_seq, job.cancelled.Runs(), Latest(job.store)});
  for (Chunk& chunk : job.chunks) {
    if (chunk.inputs != nullptr) resident_bytes -= chunk.bytes;
    if (chunk.loading) {
      --loading_count;
      loading_bytes -= chunk.bytes;
    }
    if (chunk.left > 0) ForgetChunk(job, chunk);
  }
  CountResults(job, 0, job.result_bytes);
  if (job.known != nullptr) reserved_keys -= job.options.max_tasks;
  Unlist(job);
  ephemeral_jobs.erase(job.id);
  room_changed = true;
  for (const auto& [name, appender] : job.appenders) {
    if (!appender.stream) continue;
    streams.erase(appender.stream);
    RefuseAppend(appender.stream,
                 MakeError(absl::StatusCode::kFailedPrecondition, "JOB_NOT_OPEN",
                           "the job takes no more tasks"),
                 job.store);
  }
  for (auto& [session, worker] : workers) worker->paces.erase(job.id);
  frontier_waits.erase(job.id);
  changed_jobs.erase(job.id);
  solo_jobs.erase(job.id);
  if (job.alarm != absl::InfiniteFuture()) alarms.erase({job.alarm, job.id});
  if (job.extras() != nullptr && !job.extras()->unique_key.empty()) {
    const auto unique = unique_jobs.find({job.options.owner, job.extras()->unique_key});
    if (unique != unique_jobs.end() && unique->second == job.id) unique_jobs.erase(unique);
  }
  Delist(job);
  Dequeue(job);
  jobs.erase(job.id);
}

void Scheduler::Impl::Enlist(Job& job) {
  if (job.options.owner.empty()) return;
  job.share = &shares[job.options.owner];
  ++job.share->jobs;
}

void Scheduler::Impl::Delist(Job& job) {
  if (job.share == nullptr) return;
  if (--job.share->jobs == 0) shares.erase(job.options.owner);
  job.share = nullptr;
}

void Scheduler::Impl::CountQueued(Job& job, int64_t tasks, int64_t bytes) {
  job.queued_bytes += static_cast<uint64_t>(bytes);
  queued_tasks += static_cast<uint64_t>(tasks);
  queued_bytes += static_cast<uint64_t>(bytes);
  if (job.share == nullptr) return;
  job.share->tasks += static_cast<uint64_t>(tasks);
  job.share->bytes += static_cast<uint64_t>(bytes);
}

void Scheduler::Impl::FinishInChunks(Job& job, Run run) {
  while (run.count > 0) {
    Chunk& chunk = ChunkOf(job, run.first);
    const uint32_t here = std::min(run.end(), chunk.run.end()) - run.first;
    chunk.left -= here;
    job.queue().tasks -= here;
    if (chunk.left == 0) {
      ForgetChunk(job, chunk);
      if (job.options.ephemeral && chunk.has_inputs && !REEVE_BUG(kEphemeralKept))
        Put(StoreKind::kMemory, DropInputs{job.id, chunk.run.first});
    }
    run = {run.first + here, run.count - here};
  }
}

void Scheduler::Impl::ForgetChunk(Job& job, Chunk& chunk) {
  if (!chunk.has_inputs) return;
  CountQueued(job, -static_cast<int64_t>(chunk.run.count), -static_cast<int64_t>(chunk.bytes));
  if (job.options.ephemeral) ephemeral_inputs -= chunk.bytes;
  room_changed = true;
}

void Scheduler::Impl::ForgetOldRequests(const Now& now) {
  while (!request_order.empty() && (request_order.size() > kMaxRequestIds ||
                                    Steady(now) - request_order.front().first > kRequestIdLife)) {
    requests.erase(request_order.front().second);
    request_order.pop_front();
  }
}

}  // namespace reeve
