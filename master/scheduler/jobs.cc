// What the API asks for: create, append, close, cancel; and how a job ends.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

constexpr absl::Duration kRetryHint = absl::Seconds(1);

absl::Status NoSuchJob(JobId job) {
  return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                   StrCat("there is no unfinished job ", job.value));
}

absl::Status Full(std::string_view what) {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", what, kRetryHint);
}

}  // namespace

TaskCounts Scheduler::Impl::CountsOf(const Job& job) const {
  TaskCounts counts;
  counts.total = job.total;
  counts.scheduled = job.scheduled_count;
  counts.ready = job.ready.size() + job.solo.size();
  // Held by workers, or perhaps held by one that has not come back yet.
  counts.assigned = job.in_flight + job.unclaimed.size();
  counts.succeeded = job.succeeded;
  counts.failed = job.failed;
  counts.cancelled = job.cancelled_count;
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
  view.state = job.state;
  view.counts = CountsOf(job);
  view.record = job.record;
  view.create_time = job.create_time;
  view.ephemeral = job.options.ephemeral;
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

void Scheduler::Impl::RefuseAppend(CallId stream, absl::Status status, StoreKind store) {
  effects.replies.push_back({stream, AppendReply{std::move(status), 0, {}, {}}, Latest(store)});
}

absl::Status Scheduler::Impl::CheckRoom(const Now&, const CreateJob& event) const {
  if (draining) {
    return MakeError(absl::StatusCode::kUnavailable, "DRAINING", "the master is shutting down");
  }
  if (disk_low && !event.options.ephemeral) {
    return MakeError(absl::StatusCode::kResourceExhausted, "DISK_LOW",
                     "the master's disk is nearly full; it takes no new work until there is room",
                     kRetryHint);
  }
  if (jobs.size() >= options.max_active_jobs) return Full("too many unfinished jobs");
  if (queued_tasks + event.input_count > options.max_queued_payload_tasks ||
      queued_bytes + event.input_bytes > options.max_queued_bytes) {
    return Full("too many tasks or bytes are waiting");
  }
  if (const std::string& owner = event.options.owner; !owner.empty()) {
    const auto found = shares.find(owner);
    const Share share = found == shares.end() ? Share() : found->second;
    if (share.jobs >= options.max_active_jobs_per_owner)
      return Full("this principal has too many unfinished jobs");
    if (share.tasks + event.input_count > options.max_queued_payload_tasks_per_owner ||
        share.bytes + event.input_bytes > options.max_queued_bytes_per_owner) {
      return Full("this principal has too many tasks or bytes waiting");
    }
  }
  if (event.options.ephemeral &&
      ephemeral_inputs + event.input_bytes > options.ephemeral_bytes / 2) {
    return Full("ephemeral jobs hold as many bytes as they may");
  }
  if (event.options.accepts_inputs &&
      reserved_keys + event.options.max_tasks > options.max_known_keys) {
    return Full("jobs that accept new inputs have as many tasks in all (max_tasks) as they may");
  }
  if (!workers.empty()) {
    const auto work = classes.find(event.options.handler);
    if (work == classes.end() || work->second.workers.empty()) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "NO_SUCH_HANDLER",
          StrCat("no connected worker offers the handler `", event.options.handler, "`"));
    }
  }
  return absl::OkStatus();
}

void Scheduler::Impl::On(const Now& now, CreateJob& event) {
  ForgetOldRequests(now);
  const auto known = requests.find(event.request_id);
  if (known != requests.end() && !REEVE_BUG(kNoDedupe)) {
    if (known->second.content_hash != event.content_hash) {
      return RefuseJob(event.call,
                       MakeError(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
                                 StrCat("request_id ",
                                        // Without the owner that may stand before it.
                                        event.request_id.substr(event.request_id.rfind('\n') + 1),
                                        " came before with other content")));
    }
    if (const Job* job = FindJob(known->second.job)) return ReplyJob(event.call, *job);
    // Ended: the service reads it from the store.
    JobView view;
    view.job = known->second.job;
    effects.replies.push_back(
        {event.call, JobReply{absl::OkStatus(), view}, Latest(StoreKind::kDurable)});
    return;
  }
  if (absl::Status room = CheckRoom(now, event); !room.ok())
    return RefuseJob(event.call, std::move(room));
  requests[event.request_id] = {event.content_hash, JobId(next_job)};
  request_order.emplace_back(Steady(now), event.request_id);
  Job* job = MakeJob(now, event);
  const CallId call = event.call;
  ReplyJob(call, *job);
  EndIfDone(now, *job);
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
  Enlist(job);
  jobs.emplace(job.id, std::move(owned));
  if (event.array_count > 0) {
    PutJob put{ViewOf(job), job.options, event.array_count, event.request_id, event.content_hash};
    put.view.counts.total = event.array_count;
    Put(job.store, std::move(put), job.record.size());
    job.total = event.array_count;
    Chunk chunk;
    chunk.run = {0, event.array_count};
    chunk.birth = {epoch, next_birth++};
    chunk.left = event.array_count;
    chunk.commit = next_commit[static_cast<int>(job.store)];
    job.chunks.push_back(std::move(chunk));
    AddReady(job, {0, event.array_count});
    Put(job.store,
        PutInputs{job.id, {0, event.array_count}, job.chunks.back().birth, nullptr, 0, "", 0});
  } else {
    Put(job.store, PutJob{ViewOf(job), job.options, 0, event.request_id, event.content_hash},
        job.record.size());
    if (event.inputs != nullptr)
      AddChunk(job, SelectAll(job, event.input_count, event.keys), event.inputs, event.input_bytes,
               "", 0);
  }
  UpdateListing(job);
  return &job;
}

void Scheduler::Impl::ReserveIds() {
  reserved_below = next_job + options.job_id_block;
  reserving.emplace_back(next_commit[static_cast<int>(StoreKind::kDurable)], reserved_below);
  Put(StoreKind::kDurable, ReserveJobIds{JobId(reserved_below)});
}

void Scheduler::Impl::AddChunk(Job& job, Selection tasks, InputsRef inputs, uint64_t bytes,
                               const std::string& appender, uint64_t offset) {
  const uint32_t count = tasks.count;
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
  Put(job.store,
      PutInputs{job.id, chunk.run, chunk.birth, std::move(inputs), bytes, appender, offset,
                std::move(tasks.positions), std::move(tasks.keys)},
      bytes);
  job.total += count;
  CountQueued(job, static_cast<int64_t>(count), static_cast<int64_t>(bytes));
  if (job.options.ephemeral) ephemeral_inputs += bytes;
  const Run run = chunk.run;
  job.chunks.push_back(std::move(chunk));
  AddReady(job, run);
  job.changed = true;
}

void Scheduler::Impl::On(const Now&, OpenAppender& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr && event.job && event.job < JobId(next_job)) {
    return RefuseAppend(event.stream,
                        MakeError(absl::StatusCode::kFailedPrecondition, "JOB_NOT_OPEN",
                                  StrCat("job ", event.job.value, " has ended")));
  }
  if (job == nullptr) return RefuseAppend(event.stream, NoSuchJob(event.job));
  Appender& appender = job->appenders[event.appender];
  if (appender.stream) {
    streams.erase(appender.stream);
    RefuseAppend(appender.stream,
                 MakeError(absl::StatusCode::kAborted, "APPENDER_REPLACED",
                           StrCat("another stream was opened for appender ", event.appender)),
                 job->store);
  }
  appender.stream = event.stream;
  streams[event.stream] = {event.job, event.appender};
  effects.replies.push_back({event.stream,
                             AppendReply{absl::OkStatus(), appender.offset, {}, job->id},
                             Latest(job->store)});
}

bool Scheduler::Impl::HasRoom(const Job& job, uint64_t count, uint64_t bytes) const {
  if (REEVE_BUG(kQueueUnbounded)) return true;
  if (disk_low && !job.options.ephemeral) return false;
  // One batch fits into an empty queue, however small the bound.
  if (job.options.ephemeral && job.queued_bytes > 0 &&
      (ephemeral_inputs + bytes > options.ephemeral_bytes / 2 ||
       job.queued_bytes + bytes > options.ephemeral_job_bytes / 2)) {
    return false;
  }
  if (job.share != nullptr && job.share->tasks > 0 &&
      (job.share->tasks + count > options.max_queued_payload_tasks_per_owner ||
       job.share->bytes + bytes > options.max_queued_bytes_per_owner)) {
    return false;
  }
  return queued_tasks == 0 || (queued_tasks + count <= options.max_queued_payload_tasks &&
                               queued_bytes + bytes <= options.max_queued_bytes);
}

void Scheduler::Impl::On(const Now& now, AppendTasks& event) {
  const auto behind = std::find_if(parked.begin(), parked.end(), [&event](const AppendTasks& p) {
    return p.stream == event.stream;
  });
  if (behind != parked.end()) return parked.push_back(std::move(event));
  Append(now, event);
}

void Scheduler::Impl::RetryParked(const Now& now) {
  room_changed = false;
  std::deque<AppendTasks> again = std::exchange(parked, {});
  // On() parks what has no room still, and whatever its stream sent later.
  for (AppendTasks& event : again) On(now, event);
}

void Scheduler::Impl::Append(const Now&, AppendTasks& event) {
  const auto stream = streams.find(event.stream);
  if (stream == streams.end()) return;  // Replaced or refused; it was told.
  Job* job = FindJob(stream->second.first);
  if (job == nullptr || job->state != JobState::kOpen) {
    return RefuseAppend(event.stream,
                        MakeError(absl::StatusCode::kFailedPrecondition, "JOB_NOT_OPEN",
                                  "the job takes no more tasks"),
                        job == nullptr ? StoreKind::kDurable : job->store);
  }
  Appender& appender = job->appenders[stream->second.second];
  if (event.offset > appender.offset) {
    return RefuseAppend(
        event.stream,
        MakeError(absl::StatusCode::kFailedPrecondition, "OFFSET_GAP",
                  StrCat("offset ", event.offset, " is beyond the committed ", appender.offset)),
        job->store);
  }
  if (event.offset < appender.offset && !REEVE_BUG(kAppendOffsetIgnored)) {
    if (event.offset + event.count > appender.offset) {
      return RefuseAppend(event.stream,
                          MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                                    StrCat("the batch at offset ", event.offset,
                                           " reaches beyond the committed ", appender.offset)),
                          job->store);
    }
    effects.replies.push_back({event.stream,
                               AppendReply{absl::OkStatus(), appender.offset, {}, job->id},
                               Latest(job->store)});
    return;
  }
  if (!event.keys.empty() && job->known == nullptr) {
    return RefuseAppend(event.stream,
                        MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                                  "keys: the job was created without accepts_new_inputs"),
                        job->store);
  }
  if (job->known == nullptr && uint64_t{job->total} + event.count > kMaxTasksPerJob) {
    return RefuseAppend(event.stream,
                        MakeError(absl::StatusCode::kInvalidArgument, "TOO_MANY_TASKS",
                                  StrCat("a job has at most ", kMaxTasksPerJob, " tasks")),
                        job->store);
  }
  if (!HasRoom(*job, event.count, event.bytes)) return parked.push_back(std::move(event));
  appender.offset += event.count;
  Selection tasks = SelectAll(*job, event.count, event.keys);
  const Run run{job->total, tasks.count};
  if (tasks.count > 0) {
    AddChunk(*job, std::move(tasks), std::move(event.inputs), event.bytes, stream->second.second,
             appender.offset);
  } else {
    Put(job->store, PutAppender{job->id, stream->second.second, appender.offset});
  }
  UpdateListing(*job);
  if (job->watched) changed_jobs.insert(job->id);
  effects.replies.push_back({event.stream,
                             AppendReply{absl::OkStatus(), appender.offset, run, job->id},
                             Latest(job->store)});
}

void Scheduler::Impl::On(const Now&, CloseAppender& event) {
  const auto stream = streams.find(event.stream);
  if (stream == streams.end()) return;
  if (Job* job = FindJob(stream->second.first)) {
    Appender& appender = job->appenders[stream->second.second];
    if (appender.stream == event.stream) appender.stream = {};
  }
  streams.erase(stream);
}

void Scheduler::Impl::On(const Now& now, CloseJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoSuchJob(event.job));
  if (job->state == JobState::kOpen) {
    job->state = JobState::kActive;
    if (job->unfinished() > 0) {
      Put(job->store, PutJobState{job->id, job->state, CountsOf(*job), absl::InfiniteFuture(), {}});
      effects.jobs.push_back({ViewOf(*job), job->last_seq, {}, Latest(job->store)});
    }  // Otherwise it ends right here, and is never seen active.
  }
  const CallId call = event.call;
  const JobId id = job->id;
  EndIfDone(now, *job);
  if (const Job* still = FindJob(id)) return ReplyJob(call, *still);
  JobView ended;
  ended.job = id;
  effects.replies.push_back({call, JobReply{absl::OkStatus(), ended}, Latest(StoreKind::kDurable)});
}

void Scheduler::Impl::On(const Now& now, CancelJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoSuchJob(event.job));
  if (job->state != JobState::kCancelling) SetCancelling(now, *job);
  const CallId call = event.call;
  const JobId id = job->id;
  EndIfDone(now, *job);
  if (const Job* still = FindJob(id)) return ReplyJob(call, *still);
  JobView ended;
  ended.job = id;
  effects.replies.push_back({call, JobReply{absl::OkStatus(), ended}, Latest(StoreKind::kDurable)});
}

void Scheduler::Impl::SetCancelling(const Now& now, Job& job) {
  Unlist(job);
  job.state = JobState::kCancelling;
  job.cancel_deadline = now.monotonic + options.cancel_grace;
  if (!REEVE_BUG(kCancelNotWritten))
    Put(job.store, PutJobState{job.id, job.state, CountsOf(job), absl::InfiniteFuture(), {}});
  const auto cancel = [&job](const IntervalSet& set) {
    for (const Run run : set.Runs()) job.cancelled.Add(run);
    job.cancelled_count += set.size();
  };
  for (IntervalSet* set : {&job.ready, &job.solo}) {
    for (const Run run : set->Runs()) {
      TakeFrom(*set, job, run);
      job.cancelled.Add(run);
      job.cancelled_count += run.count;
    }
  }
  cancel(job.unclaimed);
  job.unclaimed.Clear();
  for (const auto& [time, bucket] : job.scheduled) cancel(bucket);
  job.scheduled.clear();
  job.scheduled_count = 0;
  std::map<SessionId, SendCancel> sends;
  for (const LeaseSeq seq : job.leases) {
    const Lease& lease = *leases.at(seq);
    for (const Run run : lease.runs.Runs()) sends[lease.session].runs.push_back({seq, run});
  }
  // After the commit: a crash before it leaves the job as it was, and nothing was stopped for
  // nothing.
  for (auto& [session, send] : sends)
    effects.sends.push_back({session, std::move(send), Latest(job.store)});
  effects.jobs.push_back({ViewOf(job), job.last_seq, {}, Latest(job.store)});
}

void Scheduler::Impl::EndIfDone(const Now& now, Job& job) {
  if (job.state == JobState::kOpen || job.unfinished() > 0) return;
  if (job.state == JobState::kCancelling) {
    job.state = JobState::kCancelled;
  } else {
    job.state = job.failed > 0 ? JobState::kFailed : JobState::kSucceeded;
  }
  JobView view = ViewOf(job);
  view.end_time = now.wall;
  Put(job.store, PutJobState{job.id, job.state, view.counts, now.wall, job.cancelled.Runs()});
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
  Delist(job);
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

// ---- EPHEMERAL jobs: results live until every cursor has passed them ----

bool Scheduler::Impl::ResultsFull(const Job& job) const {
  return job.options.ephemeral && !REEVE_BUG(kEphemeralUnbounded) &&
         (job.result_bytes >= options.ephemeral_job_bytes / 2 ||
          (job.result_bytes > 0 && ephemeral_results >= options.ephemeral_bytes / 2));
}

void Scheduler::Impl::On(const Now& now, CursorMoved& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr || !job->options.ephemeral) return;
  const auto [cursor, opened] = job->cursors.try_emplace(event.cursor);
  if (opened) {
    // It goes on where a closed one stopped: the nearest before it.
    auto nearest = job->cursors.end();
    for (auto it = job->cursors.begin(); it != job->cursors.end(); ++it) {
      if (it == cursor || it->second.closed_at == absl::InfiniteDuration() ||
          it->second.passed > event.passed)
        continue;
      if (nearest == job->cursors.end() || it->second.passed > nearest->second.passed) nearest = it;
    }
    if (nearest != job->cursors.end()) job->cursors.erase(nearest);
  }
  cursor->second.passed = std::max(cursor->second.passed, event.passed);
  if (event.closed) cursor->second.closed_at = job->cursorless_since = now.monotonic;
  DropPassedResults(*job);
}

void Scheduler::Impl::DropPassedResults(Job& job) {
  uint64_t passed = job.cursors.empty() ? 0 : UINT64_MAX;
  for (const auto& [id, cursor] : job.cursors) passed = std::min(passed, cursor.passed);
  uint64_t bytes = 0, through = 0;
  while (!job.kept_results.empty() && job.kept_results.front().first <= passed) {
    through = job.kept_results.front().first;
    bytes += job.kept_results.front().second;
    job.kept_results.pop_front();
  }
  if (through == 0 || REEVE_BUG(kEphemeralKept)) return;
  Put(StoreKind::kMemory, DropResults{job.id, through});
  CountResults(job, 0, bytes);
}

void Scheduler::Impl::CountResults(Job& job, uint64_t added, uint64_t dropped) {
  const auto full = [this] { return ephemeral_results >= options.ephemeral_bytes / 2; };
  const bool was_full = full();
  job.result_bytes += added - dropped;
  ephemeral_results += added - dropped;
  UpdateListing(job);
  if (full() == was_full) return;
  for (const JobId other : ephemeral_jobs) UpdateListing(*jobs.at(other));
}

void Scheduler::Impl::CheckCursors(const Now& now) {
  for (const JobId id : std::vector<JobId>(ephemeral_jobs.begin(), ephemeral_jobs.end())) {
    Job& job = *jobs.at(id);
    std::erase_if(job.cursors, [&now, this](const auto& cursor) {
      return now.monotonic - cursor.second.closed_at >= options.cursor_life;
    });
    DropPassedResults(job);
    if (!job.cursors.empty() || now.monotonic - job.cursorless_since < options.cursor_life)
      continue;
    if (job.state != JobState::kCancelling) SetCancelling(now, job);
    EndIfDone(now, job);
  }
}

void Scheduler::Impl::ForgetOldRequests(const Now& now) {
  while (!request_order.empty() && (request_order.size() > kMaxRequestIds ||
                                    Steady(now) - request_order.front().first > kRequestIdLife)) {
    requests.erase(request_order.front().second);
    request_order.pop_front();
  }
}

}  // namespace reeve
