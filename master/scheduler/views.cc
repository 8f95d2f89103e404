// Reads: what people see, why a task waits, and whether the state agrees with itself.

#include <algorithm>

#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {

std::vector<JobView> Scheduler::ListJobs(JobId before, size_t limit) const {
  std::vector<JobView> views;
  auto it = before ? impl_->jobs.lower_bound(before) : impl_->jobs.end();
  while (it != impl_->jobs.begin() && views.size() < limit)
    views.push_back(impl_->ViewOf(*(--it)->second));
  return views;
}

bool Scheduler::IsHeldBy(SessionId session, JobId id, TaskIndex index) const {
  const Job* job = impl_->FindJob(id);
  const auto worker = impl_->workers.find(session);
  return job != nullptr && worker != impl_->workers.end() &&
         impl_->Holds(*worker->second, *job, index);
}

std::vector<std::pair<Run, TaskState>> Scheduler::LiveRuns(JobId id) const {
  std::vector<std::pair<Run, TaskState>> runs;
  const Job* job = impl_->FindJob(id);
  if (job == nullptr) return runs;
  const auto add = [&runs](const IntervalSet& set, TaskState state) {
    for (const Run run : set.Runs()) runs.emplace_back(run, state);
  };
  const TaskState waiting = job->blocked_by > 0 ? TaskState::kBlocked
                            : job->not_yet      ? TaskState::kScheduled
                                                : TaskState::kReady;
  add(job->ready, waiting);
  add(job->solo, waiting);
  add(job->unclaimed, TaskState::kAssigned);
  add(job->cancelled,
      job->ending.as == JobState::kExpired ? TaskState::kExpired : TaskState::kCancelled);
  for (const auto& [time, bucket] : job->scheduled) add(bucket, TaskState::kScheduled);
  for (const LeaseSeq seq : job->leases) add(impl_->leases.at(seq)->runs, TaskState::kAssigned);
  std::sort(runs.begin(), runs.end(),
            [](const auto& a, const auto& b) { return a.first.first < b.first.first; });
  return runs;
}

std::vector<WorkerView> Scheduler::ListWorkers() const {
  std::vector<WorkerView> views;
  for (const auto& [session, worker] : impl_->workers) {
    WorkerView view;
    view.number = worker->number;
    view.worker_id = worker->worker_id;
    view.hostname = worker->hostname;
    view.name = worker->name;
    view.labels = worker->labels;
    view.version = worker->version;
    view.pid = worker->pid;
    view.state = worker->draining      ? WorkerView::State::kDraining
                 : !worker->responds() ? WorkerView::State::kSuspect
                 : worker->drained     ? WorkerView::State::kDrained
                                       : WorkerView::State::kOnline;
    view.resources = worker->resources;
    for (const auto& [name, used] : worker->used) {
      if (used > 0) view.used_resources[name] = used;
    }
    view.handlers = worker->handlers;
    view.lanes = worker->lanes;
    view.pools = worker->pools;
    for (const uint64_t held : worker->held) view.held += held;
    view.finished = worker->finished;
    view.joined = worker->joined;
    view.last_seen = worker->last_seen_wall;
    views.push_back(std::move(view));
  }
  std::sort(views.begin(), views.end(),
            [](const WorkerView& a, const WorkerView& b) { return a.number < b.number; });
  return views;
}

std::map<std::string, HandlerStats> Scheduler::Statistics() const {
  std::map<std::string, HandlerStats> used;
  for (const auto& [name, stats] : impl_->statistics) {
    if (stats.succeeded > 0 || !stats.failed.empty()) used.emplace(name, stats);
  }
  return used;
}

// Jobs point to them: they stay where they are.
void Scheduler::ResetStatistics() {
  for (auto& [name, stats] : impl_->statistics) stats = HandlerStats();
}

Scheduler::Totals Scheduler::totals() const {
  Totals totals = impl_->totals;
  totals.workers = impl_->workers.size();
  totals.active_jobs = impl_->jobs.size();
  for (const auto& [id, job] : impl_->jobs) {
    totals.unfinished_tasks += job->unfinished();
    if (job->known != nullptr) totals.known_keys += job->known->keys.size();
  }
  totals.queued_bytes = impl_->queued_bytes;
  totals.resident_bytes = impl_->resident_bytes;
  return totals;
}

std::optional<TaskView> Scheduler::Impl::ViewTask(const Now& now, JobId id, TaskIndex index) const {
  const Job* job = FindJob(id);
  if (job == nullptr || index >= job->total || job->absent.Contains(index)) return std::nullopt;
  TaskView view;
  const auto budget = job->budgets.find(index);
  if (budget != job->budgets.end()) view.attempt = budget->second.attempt() - 1;
  if (job->ready.Contains(index) || job->solo.Contains(index)) {
    view.state = job->blocked_by > 0 ? TaskState::kBlocked
                 : job->not_yet      ? TaskState::kScheduled
                                     : TaskState::kReady;
    if (view.state == TaskState::kScheduled)
      view.due = now.wall + (job->extras()->start_time - Steady(now));
  } else if (job->unclaimed.Contains(index)) {
    view.state = TaskState::kAssigned;
  } else if (job->cancelled.Contains(index)) {
    view.state = job->ending.as == JobState::kExpired ? TaskState::kExpired : TaskState::kCancelled;
  }
  for (const auto& [time, bucket] : job->scheduled) {
    if (!bucket.Contains(index)) continue;
    view.state = TaskState::kScheduled;
    view.due = now.wall + (time - Steady(now));  // On the clock people see.
  }
  for (const LeaseSeq seq : job->leases) {
    const Lease& lease = *leases.at(seq);
    if (!lease.runs.Contains(index)) continue;
    view.state = TaskState::kAssigned;
    view.attempt = lease.attempt;
    const auto worker = workers.find(lease.session);
    if (worker == workers.end()) continue;
    view.worker = worker->second->number;
    for (const RunningTask& task : worker->second->running) {
      if (task.job != id || task.index != index) continue;
      view.state = TaskState::kRunning;
      view.permille = task.permille;
      view.note = task.note;
    }
  }
  Explain(now, *job, index, &view);
  return view;
}

}  // namespace reeve
