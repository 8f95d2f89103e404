// Reads: what people see, why a task waits, and whether the state agrees with itself.

#include <algorithm>
#include <cstdio>
#include <cstdlib>

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
  if (job == nullptr) return false;
  for (const LeaseSeq seq : job->leases) {
    const Lease& lease = *impl_->leases.at(seq);
    if (lease.session == session && lease.runs.Contains(index)) return true;
  }
  return false;
}

std::vector<std::pair<Run, TaskState>> Scheduler::LiveRuns(JobId id) const {
  std::vector<std::pair<Run, TaskState>> runs;
  const Job* job = impl_->FindJob(id);
  if (job == nullptr) return runs;
  const auto add = [&runs](const IntervalSet& set, TaskState state) {
    for (const Run run : set.Runs()) runs.emplace_back(run, state);
  };
  add(job->ready, TaskState::kReady);
  add(job->solo, TaskState::kReady);
  add(job->unclaimed, TaskState::kAssigned);
  add(job->cancelled, TaskState::kCancelled);
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
    view.state = worker->draining     ? WorkerView::State::kDraining
                 : worker->responds() ? WorkerView::State::kOnline
                                      : WorkerView::State::kSuspect;
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
  if (job == nullptr || index >= job->total) return std::nullopt;
  TaskView view;
  const auto budget = job->budgets.find(index);
  if (budget != job->budgets.end()) view.attempt = budget->second.attempt() - 1;
  if (job->ready.Contains(index) || job->solo.Contains(index)) {
    view.state = TaskState::kReady;
  } else if (job->unclaimed.Contains(index)) {
    view.state = TaskState::kAssigned;
  } else if (job->cancelled.Contains(index)) {
    view.state = TaskState::kCancelled;
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

void Scheduler::Impl::Explain(const Now& now, const Job& job, TaskIndex index,
                              TaskView* view) const {
  auto& say = view->explanations;
  if (job.state == JobState::kCancelling) say.push_back("The job is being cancelled.");
  switch (view->state) {
    case TaskState::kScheduled:
      say.push_back(StrCat("Attempt ", view->attempt, " failed; the next begins in ",
                           absl::ToInt64Milliseconds(*view->due - now.wall), " ms."));
      return;
    case TaskState::kAssigned:
    case TaskState::kRunning:
      if (!view->worker.has_value()) {
        say.push_back(
            "It was given to a worker before the master restarted; waiting for that worker to "
            "return.");
      } else if (view->state == TaskState::kRunning) {
        say.push_back(StrCat("It is running on ", WorkerName(*view->worker), "."));
      } else {
        say.push_back(StrCat("It was sent to ", WorkerName(*view->worker),
                             " and waits there for a slot or has just begun."));
      }
      return;
    case TaskState::kCancelled: say.push_back("The job was cancelled before it ended."); return;
    case TaskState::kReady: break;
    default: return;
  }
  const auto work = classes.find(job.options.handler);
  if (work == classes.end() || work->second.workers.empty()) {
    say.push_back(workers.empty() ? "No worker is connected."
                                  : StrCat("No connected worker offers the handler `",
                                           job.options.handler, "`."));
    return;
  }
  if (job.options.max_in_flight > 0 && job.in_flight >= job.options.max_in_flight) {
    say.push_back(StrCat("The job has ", job.in_flight,
                         " tasks at workers, as many as its limit max_in_flight allows."));
  }
  if (ResultsFull(job)) {
    say.push_back(
        "Results of ephemeral jobs wait to be read; nothing more goes out until they are.");
  }
  size_t takes = 0;
  uint64_t held = 0;
  for (const SessionId session : work->second.workers) {
    const WorkerRecord& worker = *workers.at(session);
    if (worker.takes_work()) ++takes;
    held += worker.held[static_cast<int>(LaneOf(worker, job.options.handler))];
  }
  if (takes == 0) {
    say.push_back(StrCat(
        "All ", work->second.workers.size(),
        " workers that offer the handler are silent, draining or have no room for results."));
    return;
  }
  uint64_t ahead = 0;
  for (const auto& [priority, id] : work->second.jobs) {
    if (id == job.id) break;
    ahead += jobs.at(id)->ready.size();
  }
  if (ahead > 0)
    say.push_back(StrCat(ahead, " tasks of jobs of higher priority or created earlier go first."));
  uint64_t before = 0;
  for (const Run run : job.ready.Intersection({0, index})) before += run.count;
  if (before > 0) say.push_back(StrCat(before, " tasks of the same job go first."));
  say.push_back(StrCat(takes, " workers offer the handler and hold ", held,
                       " tasks; it goes out as soon as one has room."));
}

namespace {

void Require(bool holds, const char* formula, JobId job) {
  if (holds) return;
  std::fprintf(stderr, "scheduler invariant broken: %s (job %llu)\n", formula,
               static_cast<unsigned long long>(job.value));
  std::abort();
}

}  // namespace

void Scheduler::Impl::CheckInvariants() const {
  std::map<SessionId, std::array<uint64_t, kLaneCount>> held;
  std::map<SessionId, uint64_t> held_bytes;
  for (const auto& [seq, lease] : leases) {
    Require(!lease->runs.empty(), "a lease holds something", lease->job);
    Require(jobs.contains(lease->job), "a lease's job exists", lease->job);
    Require(workers.contains(lease->session), "a lease's worker exists", lease->job);
    Require(jobs.at(lease->job)->leases.contains(seq), "the job knows the lease", lease->job);
    Require(workers.at(lease->session)->leases.contains(seq), "the worker knows the lease",
            lease->job);
    held[lease->session][static_cast<int>(lease->lane)] += lease->runs.size();
    held_bytes[lease->session] += lease->runs.size() * lease->task_bytes;
  }
  for (const auto& [session, worker] : workers) {
    bool alone = false;
    for (const LeaseSeq seq : worker->leases) alone = alone || leases.at(seq)->solo;
    Require(alone == worker->alone, "alone exactly with a solo task", {});
    Require(worker->held_bytes == held_bytes[session], "held bytes add up", {});
    for (int lane = 0; lane < kLaneCount; ++lane) {
      Require(worker->held[lane] == held[session][lane], "held counts add up", {});
    }
  }
  uint64_t resident = 0, queued = 0, results = 0, reserved = 0;
  std::map<std::string, Share> counted;
  for (const auto& [id, job] : jobs) {
    IntervalSet seen;
    const auto once = [&seen, id = id](const IntervalSet& set) {
      for (const Run run : set.Runs())
        Require(seen.Add(run) == run.count, "an index is in one place", id);
    };
    once(job->ready);
    once(job->solo);
    once(job->unclaimed);
    once(job->cancelled);
    uint64_t scheduled = 0, in_flight = 0;
    for (const auto& [time, bucket] : job->scheduled) {
      once(bucket);
      scheduled += bucket.size();
      Require(due.contains({time, id}), "a bucket has its due entry", id);
    }
    for (const LeaseSeq seq : job->leases) {
      once(leases.at(seq)->runs);
      in_flight += leases.at(seq)->runs.size();
      for (const Run run : leases.at(seq)->runs.Runs()) {
        Require(job->options.ephemeral || run.end() <= job->frontier,
                "nothing at or beyond the frontier is assigned", id);
      }
    }
    Require(scheduled == job->scheduled_count, "scheduled count", id);
    Require(in_flight == job->in_flight, "in-flight count", id);
    Require(job->total == seen.size() + job->succeeded + job->failed, "every task is in one state",
            id);
    uint64_t ready = 0;
    TaskIndex next = 0;
    for (const Chunk& chunk : job->chunks) {
      Require(chunk.run.first == next, "chunks have no gaps", id);
      next = chunk.run.end();
      ready += chunk.ready;
      if (chunk.inputs != nullptr) resident += chunk.bytes;
      Require(chunk.positions == nullptr || chunk.positions->count() == chunk.run.count,
              "positions of a chunk are those of its tasks", id);
    }
    Require(next == job->total, "chunks are all of the job", id);
    Require((job->known != nullptr) == job->options.accepts_inputs,
            "keys are kept exactly where inputs are accepted", id);
    if (job->known != nullptr) {
      reserved += job->options.max_tasks;
      Require(job->total <= job->options.max_tasks, "no more tasks than max_tasks", id);
      Require(job->known->keys.size() <= job->total, "a key has a task", id);
    }
    Require(ready == job->ready.size() + job->solo.size(), "ready counts of chunks", id);
    Require(solo_jobs.contains(id) == !job->solo.empty(), "solo jobs have solo tasks", id);
    const bool limited =
        job->options.max_in_flight > 0 && job->in_flight >= job->options.max_in_flight;
    Require(job->listed == (!job->ready.empty() && !limited && !ResultsFull(*job) &&
                            job->state != JobState::kCancelling),
            "listed exactly if it has work to place", id);
    uint64_t waiting = 0, tasks = 0;
    for (const Chunk& chunk : job->chunks) {
      if (chunk.left == 0 || !chunk.has_inputs) continue;
      waiting += chunk.bytes;
      tasks += chunk.run.count;
    }
    if (!job->options.owner.empty()) {
      Share& share = counted[job->options.owner];
      share = {share.jobs + 1, share.tasks + tasks, share.bytes + waiting};
    }
    Require(waiting == job->queued_bytes, "queued bytes are those of chunks with tasks left", id);
    queued += waiting;
    uint64_t kept = 0;
    for (const auto& [seq, bytes] : job->kept_results) kept += bytes;
    Require(kept == job->result_bytes, "result bytes are those not passed", id);
    results += kept;
  }
  Require(resident == resident_bytes, "resident bytes", {});
  Require(queued == queued_bytes, "queued bytes", {});
  Require(counted == shares, "shares of owners are those of their jobs", {});
  Require(reserved == reserved_keys, "reserved keys", {});
  Require(results == ephemeral_results, "ephemeral result bytes", {});
}

}  // namespace reeve
