// What happens to a job besides its tasks: closed, cancelled, paused, changed, stopped by its own
// rules or because its time is over.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {

absl::Status NoUnfinishedJob(JobId job) {
  return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                   StrCat("there is no unfinished job ", job.value));
}

// The answer to a call that may have ended the job.
void Scheduler::Impl::ReplyChanged(CallId call, JobId id) {
  if (const Job* still = FindJob(id)) return ReplyJob(call, *still);
  JobView ended;
  ended.job = id;
  effects.replies.push_back({call, JobReply{absl::OkStatus(), ended}, Latest(StoreKind::kDurable)});
}

void Scheduler::Impl::PutState(const Job& job) {
  Put(job.store,
      PutJobState{
          job.id, job.state, CountsOf(job), absl::InfiniteFuture(), {}, job.paused, job.ending});
}

void Scheduler::Impl::Close(Job& job) {
  if (job.state != JobState::kOpen) return;
  job.state = JobState::kActive;
  if (job.unfinished() == 0) return;  // It ends right here, and is never seen active.
  PutState(job);
  effects.jobs.push_back({ViewOf(job), job.last_seq, {}, Latest(job.store)});
}

void Scheduler::Impl::On(const Now& now, CloseJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoUnfinishedJob(event.job));
  Close(*job);
  EndIfDone(now, *job);
  ReplyChanged(event.call, event.job);
}

void Scheduler::Impl::On(const Now& now, CancelJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoUnfinishedJob(event.job));
  Stop(now, *job, {JobState::kCancelled, Cause::kCancelledByUser, false});
  EndIfDone(now, *job);
  ReplyChanged(event.call, event.job);
}

void Scheduler::Impl::On(const Now&, PauseJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoUnfinishedJob(event.job));
  if (!std::exchange(job->paused, true)) {
    if (!REEVE_BUG(kPauseForgotten)) PutState(*job);
    UpdateListing(*job);
    effects.jobs.push_back({ViewOf(*job), job->last_seq, {}, Latest(job->store)});
  }
  ReplyJob(event.call, *job);
}

void Scheduler::Impl::On(const Now& now, ResumeJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoUnfinishedJob(event.job));
  if (std::exchange(job->paused, false)) {
    job->waiting_since = now.monotonic;
    PutState(*job);
    UpdateListing(*job);
    effects.jobs.push_back({ViewOf(*job), job->last_seq, {}, Latest(job->store)});
  }
  ReplyJob(event.call, *job);
}

void Scheduler::Impl::On(const Now&, UpdateJob& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return RefuseJob(event.call, NoUnfinishedJob(event.job));
  Unlist(*job);
  if (event.priority.has_value()) job->level = job->options.priority = *event.priority;
  if (event.max_in_flight.has_value()) job->options.max_in_flight = *event.max_in_flight;
  Put(job->store, PutJobOptions{job->id, job->options.priority, job->options.max_in_flight});
  UpdateListing(*job);
  effects.jobs.push_back({ViewOf(*job), job->last_seq, {}, Latest(job->store)});
  ReplyJob(event.call, *job);
}

void Scheduler::Impl::On(const Now&, DeleteJob& event) {
  absl::Status status;
  const auto refuse = [&status](std::string_view reason, const std::string& why) {
    status = MakeError(absl::StatusCode::kFailedPrecondition, reason, why);
  };
  if (FindJob(event.job) != nullptr && !REEVE_BUG(kDeleteUnfinished)) {
    refuse("JOB_NOT_ENDED", StrCat("job ", event.job.value, " has not ended; cancel it first"));
  } else {
    for (const auto& [id, job] : jobs) {
      // Also one that runs: a restart looks again at what it waited for, and reads its results.
      if (job->extras() == nullptr) continue;
      for (const JobDependency& dependency : job->extras()->after) {
        if (dependency.job != event.job || REEVE_BUG(kDeleteNeeded)) continue;
        refuse("JOB_NEEDED", StrCat("job ", id.value, " depends on it"));
      }
    }
  }
  if (status.ok()) {
    // Its store is not known here: an EPHEMERAL job is in the other.
    if (!REEVE_BUG(kDeleteNotWritten)) Put(StoreKind::kDurable, DropJob{event.job});
    Put(StoreKind::kMemory, DropJob{event.job});
    if (deleted.insert(event.job).second) deleted_order.push_back(event.job);
    if (deleted_order.size() > kMostDeleted) {
      deleted.erase(deleted_order.front());
      deleted_order.pop_front();
    }
  }
  effects.replies.push_back(
      {event.call, StatusReply{std::move(status)}, Latest(StoreKind::kDurable)});
}

// ---- Ending early ----

void Scheduler::Impl::Stop(const Now& now, Job& job, Ending ending) {
  // What is being cancelled stays so; what may end by itself may still be cancelled.
  if (job.state == JobState::kCancelling || (job.ending.halted && ending.halted)) return;
  Unlist(job);
  job.ending = ending;
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
  for (const auto& [time, bucket] : job.scheduled) cancel(bucket);
  job.scheduled.clear();
  job.scheduled_count = 0;
  if (!ending.halted) {
    job.state = JobState::kCancelling;
    job.cancel_deadline = now.monotonic + options.cancel_grace;
    cancel(job.unclaimed);
    job.unclaimed.Clear();
    std::map<SessionId, SendCancel> sends;
    for (const LeaseSeq seq : job.leases) {
      const Lease& lease = *leases.at(seq);
      for (const Run run : lease.runs.Runs()) sends[lease.session].runs.push_back({seq, run});
    }
    if (!REEVE_BUG(kCancelNotWritten)) PutState(job);
    // After the commit: a crash before it leaves the job as it was, and nothing was stopped for
    // nothing.
    for (auto& [session, send] : sends)
      effects.sends.push_back({session, std::move(send), Latest(job.store)});
  } else {
    PutState(job);
  }
  effects.jobs.push_back({ViewOf(job), job.last_seq, {}, Latest(job.store)});
}

void Scheduler::Impl::CheckStopRules(const Now& now, Job& job) {
  if (job.ending.as != JobState::kUnspecified || REEVE_BUG(kStopRulesIgnored)) return;
  const StopRule& rule = job.extras()->stop;
  const bool failures = rule.max_failures > 0 && job.failed >= rule.max_failures;
  const bool percent = rule.max_failure_percent > 0 &&
                       job.failed * 100 > uint64_t{rule.max_failure_percent} * job.tasks();
  const bool success = rule.first_success && job.succeeded > 0;
  if (!failures && !percent && !success) return;
  // A task that succeeded does not fail a job that was to have one.
  Stop(
      now, job,
      {success ? JobState::kSucceeded : JobState::kFailed, Cause::kStopRule, rule.let_running_end});
}

// ---- Times ----

void Scheduler::Impl::SetAlarm(Job& job) {
  const JobExtras& extras = *job.extras();
  absl::Time next = absl::InfiniteFuture();
  if (job.not_yet) next = std::min(next, extras.start_time);
  if (job.state != JobState::kCancelling && !REEVE_BUG(kDeadlineIgnored))
    next = std::min(next, extras.expire_time);
  if (job.state == JobState::kOpen && job.unfinished() == 0)
    next = std::min(next, job.idle_since + extras.close_when_idle);
  if (next == job.alarm) return;
  if (job.alarm != absl::InfiniteFuture()) alarms.erase({job.alarm, job.id});
  job.alarm = next;
  if (next != absl::InfiniteFuture()) alarms.insert({next, job.id});
}

void Scheduler::Impl::RingAlarms(const Now& now) {
  while (!alarms.empty() && alarms.begin()->first <= Steady(now)) {
    Job& job = *jobs.at(alarms.begin()->second);
    alarms.erase(alarms.begin());
    job.alarm = absl::InfiniteFuture();
    Ring(now, job);
  }
}

void Scheduler::Impl::Ring(const Now& now, Job& job) {
  const JobExtras& extras = *job.extras();
  const absl::Time time = Steady(now);
  if (job.not_yet && extras.start_time <= time) {
    job.not_yet = false;
    job.waiting_since = now.monotonic;
    if (job.watched) changed_jobs.insert(job.id);
  }
  const bool idle = job.state == JobState::kOpen && job.unfinished() == 0 &&
                    job.idle_since + extras.close_when_idle <= time;
  if (idle) Close(job);
  if (extras.expire_time <= time && !idle && !REEVE_BUG(kDeadlineIgnored))
    Stop(now, job, {JobState::kExpired, Cause::kDeadline, false});
  SetAlarm(job);
  UpdateListing(job);
  EndIfDone(now, job);
}

}  // namespace reeve
