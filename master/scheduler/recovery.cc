// Recovery: from what the store remembers to a scheduler that goes on.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {

Scheduler::Impl::Impl(const SchedulerOptions& scheduler_options, Image image, Now now)
    : options(scheduler_options), epoch(image.epoch), born(now) {
  next_job = reserved_for_sure = std::max<uint64_t>(1, image.next_job.value);
  ReserveIds();
  for (RequestImage& request : image.requests) {
    requests[request.request_id] = {request.content_hash, request.job};
    request_order.emplace_back(request.create_time, std::move(request.request_id));
  }
  std::stable_sort(request_order.begin(), request_order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const RosterImage& entry : image.roster) {
    roster[entry.worker_id] = {entry.number, true};
    next_worker = std::max(next_worker, entry.number.value + 1);
    if (!REEVE_BUG(kRosterNotAwaited)) ++awaited;
  }
  if (!REEVE_BUG(kDrainNotRestored)) drained.insert(image.drained.begin(), image.drained.end());
  for (QueueSettings& settings : image.queues) {
    Queue& queue = QueueOf(settings.name);
    queue.settings = std::move(settings);
    queue.set_up = true;
    // Whatever the life before let pass.
    queue.gate.Begin(now.monotonic + queue.settings.rate.per);
  }
  reattach_deadline = now.monotonic + options.reattach_window;
  last_now = now;
  for (JobImage& job : image.jobs) Restore(job, now);
  restoring = false;
  ended_at_start.clear();
  for (ScheduleImage& schedule : image.schedules) RestoreSchedule(schedule, now);
}

void Scheduler::Impl::Restore(JobImage& image, const Now& now) {
  auto owned = std::make_unique<Job>();
  Job& job = *owned;
  job.id = image.job.view.job;
  job.options = image.job.options;
  job.options.priority = std::clamp(job.options.priority, 0, kHighestPriority);
  TakeUp(now, job);
  if (REEVE_BUG(kOwnerForgotten)) Delist(job);
  job.record = image.job.view.record;
  job.state = image.state;
  job.paused = image.paused && !REEVE_BUG(kPauseNotRestored);
  job.ending = image.ending;
  // As older stores have it.
  if (job.state == JobState::kCancelling && job.ending.as == JobState::kUnspecified)
    job.ending = {JobState::kCancelled, Cause::kCancelledByUser, false};
  // As if one of each key had gone out just now: no gate was ever ahead by more.
  if (job.keys != nullptr && job.extras()->key_rate.limited())
    job.keys->not_before = now.monotonic + job.extras()->key_rate.interval();
  job.create_time = image.job.view.create_time;
  job.frontier = image.frontier;
  job.last_seq = image.last_seq;
  for (ChunkImage& stored : image.chunks) {
    Chunk chunk;
    chunk.run = stored.run;
    chunk.birth = stored.birth;
    chunk.bytes = stored.bytes;
    chunk.has_inputs = image.job.array_count == 0;
    chunk.positions = stored.positions;
    if (!stored.task_keys.empty()) {
      chunk.task_keys = std::make_shared<const std::vector<uint64_t>>(std::move(stored.task_keys));
    }
    chunk.left = stored.run.count;
    job.total = stored.run.end();
    job.queue().tasks += stored.run.count;
    if (chunk.has_inputs) {
      CountQueued(job, static_cast<int64_t>(stored.run.count), static_cast<int64_t>(stored.bytes));
    }
    job.chunks.push_back(std::move(chunk));
  }
  for (const auto& [name, offset] : image.appenders) job.appenders[name].offset = offset;
  if (!REEVE_BUG(kCountsNotLoaded)) job.counters = image.counters;

  if (job.options.accepts_inputs) {
    job.known = std::make_unique<KnownInputs>();
    job.known->keys.reserve(image.keys.size());
    if (!REEVE_BUG(kKeysForgotten)) job.known->keys.insert(image.keys.begin(), image.keys.end());
    job.known->duplicates = image.duplicate_inputs;
    job.known->dropped = image.dropped_inputs;
    reserved_keys += job.options.max_tasks;
  }
  if (!image.job.selected.empty() && !REEVE_BUG(kSelectedNotRestored))
    Leave(job, image.job.selected);
  IntervalSet open(Run{0, job.total});
  for (const Run run : job.absent.Runs()) open.Remove(run);
  for (const ResultRun& result : image.results) {
    open.Remove(result.run.run());
    FinishInChunks(job, result.run.run());
    (result.state == TaskState::kSucceeded ? job.succeeded : job.failed) += result.run.count;
  }
  struct Later {
    absl::Time due;
    absl::Duration longest;  // Nothing of its kind waits longer.
  };
  std::map<TaskIndex, Later> later;
  const RetryRules rules = job.extras() == nullptr ? RetryRules() : job.extras()->retry;
  const bool budgeted = job.queue().settings.retry_rate.limited();
  for (const RetryOutcome& retry : image.retries) {
    if (retry.reason != Reason::kNone) job.retried += retry.run.count;
    for (const Run run : open.Intersection(retry.run)) {
      for (TaskIndex i = run.first; i < run.end(); ++i) {
        Budget& budget = job.budgets[i];
        budget.failed_attempts = retry.failed_attempts;
        budget.suspicions = REEVE_BUG(kSuspicionsForgotten) ? 0 : retry.suspicions;
        budget.crashes = retry.crashes;
        budget.failed = std::max(budget.failed, retry.lease);
        if (!job.details.empty()) job.details.erase(i);
        KeepDetails(job, i, retry.details);
        if (retry.death != 0) budget.deaths.push_back(retry.death);
        // A handler that asks for another time says when.
        const bool asked = retry.reason == Reason::kNone && retry.death == 0;
        later[i] = {retry.due, asked || budgeted ? kLongestWait
                                                 : std::max(kLongestBackoff, rules.max_backoff)};
      }
    }
  }
  jobs.emplace(job.id, std::move(owned));
  for (const EndedJob& ended : ended_at_start) image.ended.push_back(ended);
  if (job.state == JobState::kCancelling) {
    // No worker holds a lease of this life: nothing to wait for.
    job.cancelled_count = open.size();
    job.cancelled = std::move(open);
    return EndIfDone(now, job);
  }
  if (job.ending.halted) {
    // What may be at workers may end there; everything else is over.
    later.clear();
    for (const Run run :
         open.Intersection({job.frontier, job.total - std::min(job.total, job.frontier)})) {
      job.cancelled.Add(run);
      job.cancelled_count += run.count;
      open.Remove(run);
    }
  }
  for (const auto& [index, wait] : later) {
    if (wait.due <= now.wall) continue;  // It may have begun again.
    // No back-off is longer: the clock was set back.
    const absl::Time when = std::min(wait.due, now.wall + wait.longest);
    open.Remove({index, 1});
    job.scheduled[when].Add({index, 1});
    ++job.scheduled_count;
    if (index < job.frontier) job.restored_due.Add({index, 1});
    due[{when, job.id}] = {};
  }
  for (const Run run : open.Intersection({0, job.frontier}))
    REEVE_BUG(kRerunOnRestart) ? AddReady(job, run) : void(job.unclaimed.Add(run));
  for (const Run run :
       open.Intersection({job.frontier, job.total - std::min(job.total, job.frontier)})) {
    AddReady(job, run);
  }
  if (job.extras() != nullptr) {
    Await(now, job, image.ended);
    SetAlarm(job);
  }
  UpdateListing(job);
  EndIfDone(now, job);
}

void Scheduler::Impl::ReleaseUnclaimed(const Now& now) {
  reattach_deadline = absl::InfiniteDuration();
  std::vector<Job*> held;
  for (auto& [id, job] : jobs) {
    job->restored_due.Clear();
    if (!job->unclaimed.empty()) held.push_back(job.get());
    // What counts the tasks at workers has waited until they were known.
    UpdateListing(*job);
  }
  for (Job* job : held) {
    for (const auto& [index, budget] : job->budgets) {
      if (budget.deaths.empty() || job->unclaimed.Remove({index, 1}) == 0) continue;
      GoOnAfter(now, *job, index, Latest(job->store));
    }
    const std::vector<Run> runs = job->unclaimed.Runs();
    job->unclaimed.Clear();
    LoseRuns(now, *job, runs);
    EndIfDone(now, *job);
  }
  for (auto it = roster.begin(); it != roster.end();) {
    if (!it->second.awaited) {
      ++it;
      continue;
    }
    Put(StoreKind::kDurable, DropRoster{it->first});
    it = roster.erase(it);
  }
  awaited = 0;
}

}  // namespace reeve
