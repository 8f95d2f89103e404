// Tasks that are appended to open jobs: each appender has its own offsets, and what has no room
// waits.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {

void Scheduler::Impl::RefuseAppend(CallId stream, absl::Status status, StoreKind store) {
  effects.replies.push_back({stream, AppendReply{std::move(status), 0, {}, {}}, Latest(store)});
}

void Scheduler::Impl::On(const Now&, OpenAppender& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr && event.job && event.job < JobId(next_job)) {
    return RefuseAppend(event.stream,
                        MakeError(absl::StatusCode::kFailedPrecondition, "JOB_NOT_OPEN",
                                  StrCat("job ", event.job.value, " has ended")));
  }
  if (job == nullptr) return RefuseAppend(event.stream, NoUnfinishedJob(event.job));
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
  const Queue& queue = job.queue();
  if (queue.settings.max_tasks > 0 && queue.tasks > 0 &&
      queue.tasks + count > queue.settings.max_tasks) {
    return false;
  }
  // One batch fits into an empty queue, however small the bound.
  if (job.options.ephemeral && job.queued_bytes > 0 &&
      (ephemeral_inputs + bytes > options.ephemeral_bytes / 2 ||
       job.queued_bytes + bytes > options.ephemeral_job_bytes / 2)) {
    return false;
  }
  if (job.share != nullptr && job.share->tasks > 0 && !REEVE_BUG(kOwnerUnbounded) &&
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

void Scheduler::Impl::Append(const Now& now, AppendTasks& event) {
  const auto stream = streams.find(event.stream);
  if (stream == streams.end()) return;  // Replaced or refused; it was told.
  Job* job = FindJob(stream->second.first);
  if (job == nullptr || job->state != JobState::kOpen || job->ending.halted) {
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
             appender.offset, std::move(event.task_keys));
    job->idle_since = Steady(now);
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

}  // namespace reeve
