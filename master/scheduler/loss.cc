// What becomes of tasks whose worker is gone: who is suspected, who goes on, who ends.
//
// Three budgets are kept apart. An attempt that failed counts in admission.cc. A worker process
// that died is one crash for the task that its crash note names, or that ran alone; without a note
// it is one suspicion, free, for each task that was running. Everybody else on the worker was only
// interrupted and goes back to the queue.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// Tasks in one row that the master writes by itself.
constexpr uint32_t kRowTasks = 65'536;

}  // namespace

uint64_t DeathOf(std::string_view process_id) {
  if (process_id.empty()) return 0;
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a.
  for (const char c : process_id) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash | 1;
}

Blame Scheduler::Impl::BlameFor(const WorkerRecord& before, const Hello& event) const {
  if (event.suspects.empty() && event.suspects_process.empty()) return WithoutNote(before);
  Blame blame{true, false, true, DeathOf(before.process_id), {}};
  // The note is of a process before that one, told before; `before` ended with nothing running.
  if (!event.suspects_process.empty() && event.suspects_process != before.process_id) return blame;
  blame.named = event.culprit_named;
  for (const HeldRun& suspect : event.suspects)
    blame.running.push_back({suspect.job, suspect.run.first, {}, {}});
  return blame;
}

// A task that takes worker and parent down within a second of its begin is in no heartbeat and in
// no note: it is among what was to be run first. Free, as every suspicion is.
Blame Scheduler::Impl::WithoutNote(const WorkerRecord& worker) const {
  Blame blame{true, false, false, DeathOf(worker.process_id), worker.running};
  std::set<std::pair<JobId, TaskIndex>> named;
  for (const RunningTask& task : worker.running) named.insert({task.job, task.index});
  std::array<uint64_t, kLaneCount> idle{};
  for (int lane = 0; lane < kLaneCount; ++lane) idle[lane] = worker.lanes[lane].slots;
  const auto visit = [&](const auto& each) {
    for (const LeaseSeq seq : worker.leases) {
      const Lease& lease = *leases.at(seq);
      uint64_t& slots = idle[static_cast<int>(lease.lane)];
      for (const Run run : lease.runs.Runs()) each(lease, run, slots);
    }
  };
  visit([&named](const Lease& lease, Run run, uint64_t& slots) {
    const auto from = named.lower_bound({lease.job, run.first});
    const auto to = named.lower_bound({lease.job, run.end()});
    slots -= std::min<uint64_t>(slots, static_cast<uint64_t>(std::distance(from, to)));
  });
  if (REEVE_BUG(kShortRunsUnsuspected)) return blame;
  visit([&](const Lease& lease, Run run, uint64_t& slots) {
    for (TaskIndex i = run.first; i < run.end() && slots > 0; ++i) {
      if (named.contains({lease.job, i})) continue;
      blame.running.push_back({lease.job, i, {}, {}});
      --slots;
    }
  });
  return blame;
}

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
      if (solo && !blame.noted) charged.insert(lost.FirstRun()->first);
      if (REEVE_BUG(kNeighboursCharged)) {
        for (const Run run : lost.Runs()) charged.insert(run.first);
      }
      for (const TaskIndex index : charged) {
        lost.Remove({index, 1});
        Charge(now, job, index, blame.named || (solo && !REEVE_BUG(kSoloDeathIsSuspicion)),
               blame.death, &write);
      }
    }
    if (!write.retries.empty()) Record(job, std::move(write));
    LoseRuns(now, job, lost.Runs());
    EndIfDone(now, job);
  }
}

void Scheduler::Impl::LoseRuns(const Now& now, Job& job, const std::vector<Run>& runs) {
  if (job.options.at_most_once && job.state != JobState::kCancelling &&
      !REEVE_BUG(kAtMostOnceRunAgain))
    return FailRuns(now, job, runs, Reason::kWorkerLost);
  GiveBack(now, job, runs);
}

RetryOutcome Scheduler::Impl::CountDeath(const Now& now, Job& job, TaskIndex index, bool crash,
                                         uint64_t death) {
  Budget& budget = job.budgets[index];
  if (death != 0) budget.deaths.push_back(death);
  ++(crash ? budget.crashes : budget.suspicions);
  ++(crash ? totals.crashes : totals.suspicions);
  RetryOutcome outcome;
  outcome.run = {index, 1};
  outcome.reason = crash ? Reason::kWorkerLost : Reason::kNone;
  outcome.failed_attempts = budget.failed_attempts;
  outcome.suspicions = budget.suspicions;
  outcome.crashes = budget.crashes;
  outcome.due = Steady(now);
  outcome.death = death;
  outcome.details = DetailsOf(job, index);
  if (crash && budget.crashes < kMaxCrashes) ++job.retried;  // It will be tried again.
  return outcome;
}

void Scheduler::Impl::Charge(const Now& now, Job& job, TaskIndex index, bool crash, uint64_t death,
                             PutResults* write) {
  RetryOutcome outcome = CountDeath(now, job, index, crash, death);
  if (outcome.crashes >= kMaxCrashes && !REEVE_BUG(kPoisonTriedForEver))
    return FailRuns(now, job, {{index, 1}}, Reason::kPoisoned);
  if (crash) {
    outcome.due = Postpone(now, job, index, Backoff(job, index, outcome.crashes));
  } else {
    GoOnAfter(now, job, index, {job.store, next_commit[static_cast<int>(job.store)]});
  }
  write->retries.push_back(std::move(outcome));
}

void Scheduler::Impl::GoOnAfter(const Now& now, Job& job, TaskIndex index, After recorded) {
  const absl::Time when = Steady(now);
  job.scheduled[when].Add({index, 1});
  ++job.scheduled_count;
  due[{when, job.id}] = recorded;
}

bool Scheduler::Impl::IsLive(const Job& job, TaskIndex index) const {
  if (job.unclaimed.Contains(index) || job.ready.Contains(index) || job.solo.Contains(index))
    return true;
  for (const auto& [time, bucket] : job.scheduled) {
    if (bucket.Contains(index)) return true;
  }
  for (const LeaseSeq seq : job.leases) {
    if (leases.at(seq)->runs.Contains(index)) return true;
  }
  return false;
}

// The worker died while no lease of this life named it: the master has restarted since. Whoever
// has the task now, or may still come back with it, keeps it. The death may be in the record
// already: the life before committed it and ended before its Welcome, or nobody heard the Welcome.
void Scheduler::Impl::ChargeTold(const Now& now, const Hello& event) {
  const uint64_t death = DeathOf(event.suspects_process);
  for (const HeldRun& suspect : event.suspects) {
    const TaskIndex index = suspect.run.first;
    Job* job = FindJob(suspect.job);
    if (job == nullptr || index >= job->total || job->options.at_most_once ||
        ChunkOf(*job, index).birth != suspect.birth || job->state == JobState::kCancelling ||
        !IsLive(*job, index)) {
      continue;
    }
    const auto found = job->budgets.find(index);
    const Budget budget = found == job->budgets.end() ? Budget{} : found->second;
    const bool counted =
        std::find(budget.deaths.begin(), budget.deaths.end(), death) != budget.deaths.end();
    if (counted && !REEVE_BUG(kDeathCountedTwice)) continue;
    // It ran alone, then or in fact.
    const bool crash = event.culprit_named || (budget.solo() && event.suspects.size() == 1);
    const bool last = crash && budget.crashes + 1 >= kMaxCrashes;
    // Somebody runs it meanwhile: that attempt decides.
    if (last && !job->unclaimed.Contains(index)) continue;
    RetryOutcome outcome = CountDeath(now, *job, index, crash, death);
    if (last && !REEVE_BUG(kPoisonTriedForEver)) {
      job->unclaimed.Remove({index, 1});
      FailRuns(now, *job, {{index, 1}}, Reason::kPoisoned);
      EndIfDone(now, *job);
      continue;
    }
    PutResults write;
    write.retries.push_back(std::move(outcome));
    Record(*job, std::move(write));
    if (!job->ready.Contains(index)) continue;
    // It may have to run alone from now on.
    TakeFrom(job->ready, *job, {index, 1});
    GoOnAfter(now, *job, index, Latest(job->store));
    UpdateListing(*job);
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
    ForgetRunning(job, run);
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
