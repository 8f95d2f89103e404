// Jobs that wait for other jobs.
//
// A job waits in memory alone: after a restart what it waits for is counted again from how the
// other jobs stand in the store. Nothing of it goes out before the end of the last one is durable.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// Of a frame that has a job's record and what it is to know of others, for its spans.
constexpr size_t kFrameReserve = 256u << 10;

bool IsMet(JobDependency::Condition condition, const EndedJob& ended) {
  switch (condition) {
    case JobDependency::Condition::kSuccess:
      return ended.state == JobState::kSucceeded || ended.cause == Cause::kSkipped;
    case JobDependency::Condition::kFailure:
      return ended.state == JobState::kFailed || ended.state == JobState::kExpired;
    case JobDependency::Condition::kEnd: return true;
  }
  return false;
}

const EndedJob* Find(const std::vector<EndedJob>& ended, JobId job) {
  const auto found =
      std::find_if(ended.begin(), ended.end(), [job](const EndedJob& e) { return e.job == job; });
  return found == ended.end() ? nullptr : &*found;
}

}  // namespace

absl::Status Scheduler::Impl::CheckDependencies(const CreateJob& event) const {
  if (event.options.extras == nullptr) return absl::OkStatus();
  for (const JobDependency& dependency : event.options.extras->after) {
    if ((dependency.job.value & CreateJobs::kPlaceBit) != 0) continue;
    const bool gone = deleted.contains(dependency.job) && !REEVE_BUG(kDeletionForgotten);
    if (FindJob(dependency.job) != nullptr) continue;
    if (Find(event.ended, dependency.job) != nullptr && !gone) continue;
    return MakeError(absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
                     StrCat("after: there is no job ", dependency.job.value));
  }
  return absl::OkStatus();
}

void Scheduler::Impl::Await(const Now& now, Job& job, const std::vector<EndedJob>& ended) {
  bool unmet = false;
  for (const JobDependency& dependency : job.extras()->after) {
    if (Job* other = FindJob(dependency.job)) {
      other->dependents.push_back(job.id);
      ++job.blocked_by;
      continue;
    }
    const EndedJob* known = Find(ended, dependency.job);
    // The store keeps what others depend on; if it is not there, nobody can say that it succeeded.
    unmet = unmet || known == nullptr || !IsMet(dependency.condition, *known);
  }
  if (unmet && !REEVE_BUG(kDependencyIgnored)) return StopUnmet(now, job);
  if (job.blocked_by == 0 && !job.extras()->after.empty()) Unblock(job);
}

void Scheduler::Impl::StopUnmet(const Now& now, Job& job) {
  const bool skip = job.extras()->skip_if_unmet;
  Stop(now, job, {JobState::kCancelled, skip ? Cause::kSkipped : Cause::kDependency, false});
}

void Scheduler::Impl::Unblock(Job& job) {
  const std::vector<JobDependency>& after = job.extras()->after;
  LoadResults wanted{job.id, {}};
  for (const JobDependency& dependency : after) {
    if (dependency.results) wanted.of.push_back(dependency);
  }
  if (!wanted.of.empty()) {
    job.awaits_results = true;
    effects.results_wanted.push_back(std::move(wanted));
  }
  job.waiting_since = last_now.monotonic;
  if (job.watched) changed_jobs.insert(job.id);
}

// One after the other, not one within the other: chains may be long.
void Scheduler::Impl::SettleEnded(const Now& now) {
  while (!ended_for_others.empty()) {
    const EndedForOthers ended = std::move(ended_for_others.front());
    ended_for_others.pop_front();
    for (const JobId id : ended.dependents) {
      Job* job = FindJob(id);
      if (job == nullptr) continue;
      for (const JobDependency& dependency : job->extras()->after) {
        if (dependency.job != ended.job.job) continue;
        if (IsMet(dependency.condition, ended.job) || REEVE_BUG(kDependencyIgnored)) continue;
        StopUnmet(now, *job);
        EndIfDone(now, *job);
        job = FindJob(id);
        break;
      }
      if (job == nullptr || job->state == JobState::kCancelling) continue;
      met[static_cast<int>(ended.after.store)].emplace_back(ended.after.number, id);
    }
  }
}

void Scheduler::Impl::ReleaseDependents(const Now&) {
  for (int store = 0; store < kStoreCount; ++store) {
    while (!met[store].empty() &&
           (met[store].front().first <= committed[store] || REEVE_BUG(kUnblockedBeforeCommit))) {
      const JobId id = met[store].front().second;
      met[store].pop_front();
      Job* job = FindJob(id);
      if (job == nullptr || job->blocked_by == 0 || --job->blocked_by > 0) continue;
      Unblock(*job);
      UpdateListing(*job);
    }
  }
}

void Scheduler::Impl::On(const Now& now, ResultsLoaded& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr || !job->awaits_results) return;
  job->awaits_results = false;
  if (job->record.size() + event.brief.size() > kMaxMessageBytes - kFrameReserve)
    event = {event.job, {}, Reason::kBadInput};  // Its workers would refuse the frame for good.
  job->brief = std::move(event.brief);
  if (event.failed != Reason::kNone) {
    for (IntervalSet* set : {&job->ready, &job->solo}) {
      const std::vector<Run> runs = set->Runs();
      for (const Run run : runs) TakeFrom(*set, *job, run);
      FailRuns(now, *job, runs, event.failed);
    }
    return EndIfDone(now, *job);
  }
  UpdateListing(*job);
}

}  // namespace reeve
