// What becomes of tasks whose worker is gone: who is suspected, who goes on, who ends.
//
// Three budgets are kept apart. An attempt that failed counts in admission.cc. A worker process
// that died is one crash for the task that its crash note names, or that ran alone; without a note
// it is one suspicion, free, for each task that was running. Everybody else on the worker was only
// interrupted and goes back to the queue.

#include <algorithm>
#include <utility>

#include "master/scheduler/state.h"

namespace reeve {
namespace {

// Tasks in one row that the master writes by itself.
constexpr uint32_t kRowTasks = 65'536;

}  // namespace

void Scheduler::Impl::LoseLeases(const Now& now, const std::set<LeaseSeq>& seqs,
                                 const Blame& blame) {
  for (const LeaseSeq seq : seqs) {
    Lease& lease = *leases.at(seq);
    Job& job = *jobs.at(lease.job);
    const bool solo = lease.solo;
    IntervalSet lost;
    for (const Run run : lease.runs.Runs()) lost.Add(run);
    for (const Run run : lost.Runs()) CutLease(lease, run);
    PutResults write;
    if (blame.died && job.state != JobState::kCancelling && !job.options.at_most_once) {
      std::set<TaskIndex> charged;
      for (const RunningTask& task : blame.running) {
        if (task.job == job.id && lost.Contains(task.index)) charged.insert(task.index);
      }
      if (solo) charged.insert(lost.FirstRun()->first);
      for (const TaskIndex index : charged) {
        lost.Remove({index, 1});
        Charge(now, job, index, blame.named || solo, &write);
      }
    }
    if (!write.retries.empty()) Record(job, std::move(write));
    LoseRuns(now, job, lost.Runs());
    EndIfDone(now, job);
  }
}

void Scheduler::Impl::LoseRuns(const Now& now, Job& job, const std::vector<Run>& runs) {
  if (job.options.at_most_once && job.state != JobState::kCancelling)
    return FailRuns(now, job, runs, Reason::kWorkerLost);
  GiveBack(now, job, runs);
}

RetryOutcome Scheduler::Impl::CountDeath(const Now& now, Job& job, TaskIndex index, bool crash) {
  Budget& budget = job.budgets[index];
  ++(crash ? budget.crashes : budget.suspicions);
  ++(crash ? totals.crashes : totals.suspicions);
  RetryOutcome outcome;
  outcome.run = {index, 1};
  outcome.reason = crash ? Reason::kWorkerLost : Reason::kNone;
  outcome.failed_attempts = budget.failed_attempts;
  outcome.suspicions = budget.suspicions;
  outcome.crashes = budget.crashes;
  outcome.due = now.wall;
  if (crash && budget.crashes < kMaxCrashes) ++job.retried;  // It will be tried again.
  return outcome;
}

void Scheduler::Impl::Charge(const Now& now, Job& job, TaskIndex index, bool crash,
                             PutResults* write) {
  RetryOutcome outcome = CountDeath(now, job, index, crash);
  if (outcome.crashes >= kMaxCrashes) return FailRuns(now, job, {{index, 1}}, Reason::kPoisoned);
  if (crash) {
    outcome.due = Postpone(now, job, index, outcome.crashes);
  } else {
    AddReady(job, {index, 1});
  }
  write->retries.push_back(outcome);
  UpdateListing(job);
}

// The worker died while no lease of this life named it: the master has restarted since. Whoever
// held the task may still come back with it, so it stays where it is.
void Scheduler::Impl::ChargeUnclaimed(const Now& now, const Hello& event) {
  for (const HeldRun& suspect : event.suspects) {
    const TaskIndex index = suspect.run.first;
    Job* job = FindJob(suspect.job);
    if (job == nullptr || !job->unclaimed.Contains(index) || job->options.at_most_once ||
        ChunkOf(*job, index).birth != suspect.birth)
      continue;
    const bool crash = event.culprit_named || job->budgets[index].solo();
    const RetryOutcome outcome = CountDeath(now, *job, index, crash);
    if (outcome.crashes >= kMaxCrashes) {
      job->unclaimed.Remove({index, 1});
      FailRuns(now, *job, {{index, 1}}, Reason::kPoisoned);
      EndIfDone(now, *job);
      continue;
    }
    PutResults write;
    write.retries.push_back(outcome);
    Record(*job, std::move(write));
  }
}

// The core writes these entries itself: they are a function of the decision alone, and there is no
// payload in them.
void Scheduler::Impl::FailRuns(const Now& now, Job& job, const std::vector<Run>& runs,
                               Reason reason) {
  PutResults write;
  ResultBatchBuilder builder;
  const auto flush = [&] {
    if (builder.empty()) return;
    write.body = Buffer(builder.Finish(""));
    Record(job, std::exchange(write, {}));
  };
  for (Run run : runs) {
    job.failed += run.count;
    FinishInChunks(job, run);
    while (run.count > 0) {
      const Run part{run.first, std::min(run.count, kRowTasks - builder.count())};
      write.runs.push_back({{part.first, part.count, builder.count()}, TaskState::kFailed});
      for (TaskIndex index = part.first; index < part.end(); ++index) {
        ResultEntry entry;
        entry.index = index;
        entry.state = TaskState::kFailed;
        entry.reason = reason;
        const auto budget = job.budgets.find(index);
        // Those that ended by a crash count it already.
        if (budget != job.budgets.end())
          entry.attempt = budget->second.failed_attempts + std::max(1u, budget->second.crashes);
        entry.start_us = absl::ToUnixMicros(now.wall);
        builder.Add(entry);
      }
      job.budgets.erase(job.budgets.lower_bound(part.first), job.budgets.lower_bound(part.end()));
      if (builder.count() >= kRowTasks) flush();
      run = {part.end(), run.count - part.count};
    }
  }
  flush();
  if (job.watched) changed_jobs.insert(job.id);
  UpdateListing(job);
}

}  // namespace reeve
