#include "master/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "master/scheduler/state.h"

namespace reeve {

void Scheduler::Impl::Put(StoreKind store, Write write, uint64_t bytes) {
  WriteBatch& batch = writing[static_cast<int>(store)];
  batch.writes.push_back(std::move(write));
  batch.bytes += bytes;
}

After Scheduler::Impl::Latest(StoreKind store) const {
  const int s = static_cast<int>(store);
  return {store, writing[s].writes.empty() ? next_commit[s] - 1 : next_commit[s]};
}

Job* Scheduler::Impl::FindJob(JobId id) {
  const auto it = jobs.find(id);
  return it == jobs.end() ? nullptr : it->second.get();
}

const Job* Scheduler::Impl::FindJob(JobId id) const {
  const auto it = jobs.find(id);
  return it == jobs.end() ? nullptr : it->second.get();
}

void Scheduler::Impl::On(const Now&, Committed& event) {
  committed[static_cast<int>(event.store)] = event.number;
  if (event.store != StoreKind::kDurable) return;
  for (; !reserving.empty() && reserving.front().first <= event.number; reserving.pop_front())
    reserved_for_sure = reserving.front().second;
  for (auto it = frontier_waits.begin(); it != frontier_waits.end();) {
    Job* job = FindJob(*it);
    if (job != nullptr && job->frontier_commit > event.number) {
      ++it;
      continue;
    }
    if (job != nullptr)
      job->frontier = std::max(job->frontier, std::exchange(job->frontier_pending, 0));
    it = frontier_waits.erase(it);
  }
}

void Scheduler::Impl::On(const Now&, DiskLow& event) {
  disk_low = event.low;
  room_changed = true;
}

void Scheduler::Impl::On(const Now& now, InputsLoaded& event) {
  Job* job = FindJob(event.job);
  if (job == nullptr) return;
  Chunk& chunk = ChunkOf(*job, event.first);
  if (!chunk.loading) return;
  chunk.loading = false;
  --loading_count;
  loading_bytes -= chunk.bytes;
  if (event.damaged) {
    for (IntervalSet* set : {&job->ready, &job->solo}) {
      const std::vector<Run> runs = set->Intersection(chunk.run);
      for (const Run run : runs) TakeFrom(*set, *job, run);
      FailRuns(now, *job, runs, Reason::kDataLoss);
    }
    return EndIfDone(now, *job);
  }
  if (chunk.ready == 0 || event.inputs == nullptr) return;
  chunk.inputs = std::move(event.inputs);
  resident_bytes += chunk.bytes;
  UpdateListing(*job);
}

void Scheduler::Impl::On(const Now& now, Tick&) {
  CheckWorkers(now);
  CheckCursors(now);
}

void Scheduler::Impl::On(const Now&, DrainMaster&) { draining = true; }

void Scheduler::Impl::ReleaseDue(const Now& now) {
  for (auto next = due.begin(); next != due.end() && next->first.first <= Steady(now);) {
    const auto [time, id] = next->first;
    if (!IsCommitted(next->second)) {
      ++next;
      continue;
    }
    next = due.erase(next);
    Job* job = FindJob(id);
    if (job == nullptr) continue;
    const auto bucket = job->scheduled.find(time);
    if (bucket == job->scheduled.end()) continue;
    const std::vector<Run> runs = bucket->second.Runs();
    job->scheduled_count -= bucket->second.size();
    job->scheduled.erase(bucket);
    for (const Run run : runs) {
      for (const Run part : job->restored_due.Missing(run)) AddReady(*job, part);
      for (const Run part : job->restored_due.Intersection(run)) job->unclaimed.Add(part);
    }
    UpdateListing(*job);
    // Of a halted job nothing goes on: these may have been the last.
    EndIfDone(now, *job);
  }
}

Effects Scheduler::Impl::TakeEffects(const Now& now) {
  last_now = now;
  ReleaseDue(now);
  RingAlarms(now);
  WakeKeys(now);
  FireSchedules(now);
  if (now.monotonic >= next_check) {
    CheckWorkers(now);
    CheckCursors(now);
  }
  if (now.monotonic >= reattach_deadline ||
      (awaited == 0 && reattach_deadline != absl::InfiniteDuration())) {
    ReleaseUnclaimed(now);
  }
  if (room_changed && !parked.empty()) RetryParked(now);
  SettleEnded(now);
  ReleaseDependents(now);
  Age(now);
  if (!draining) Place(now);
  for (const JobId id : changed_jobs) {
    const Job* job = FindJob(id);
    if (job == nullptr) continue;
    effects.jobs.push_back({ViewOf(*job), job->last_seq, {}, Latest(job->store)});
  }
  changed_jobs.clear();
  for (int s = 0; s < kStoreCount; ++s) {
    if (writing[s].writes.empty()) continue;
    writing[s].store = static_cast<StoreKind>(s);
    writing[s].number = next_commit[s]++;
    effects.writes.push_back(std::exchange(writing[s], {}));
  }
  for (auto& [session, assignment] : assigning)
    effects.assignments.push_back(std::move(assignment));
  assigning.clear();
  return std::exchange(effects, {});
}

absl::Duration Scheduler::Impl::NextDeadline() const {
  absl::Duration next =
      std::min(reattach_deadline,
               workers.empty() && ephemeral_jobs.empty() ? absl::InfiniteDuration() : next_check);
  for (const auto& [id, job] : jobs) {
    if (job->state != JobState::kCancelling) break;  // Checked with the workers otherwise.
    next = std::min(next, job->cancel_deadline);
  }
  next = std::min(next, next_gate);
  if (!key_wakes.empty()) next = std::min(next, std::get<0>(*key_wakes.begin()));
  const auto at = [this](absl::Time time) { return born.monotonic + (time - born.wall); };
  if (!alarms.empty()) next = std::min(next, at(alarms.begin()->first));
  if (!fire_times.empty())
    next = std::min(next, last_now.monotonic + (fire_times.begin()->first - last_now.wall));
  for (const auto& [bucket, recorded] : due) {
    if (!IsCommitted(recorded)) continue;  // Commits wake the loop by themselves.
    return std::min(next, at(bucket.first));
  }
  return next;
}

Scheduler::Scheduler(const SchedulerOptions& options, Image image, Now now)
    : impl_(std::make_unique<Impl>(options, std::move(image), now)) {}

Scheduler::~Scheduler() = default;

void Scheduler::Step(const Now& now, Event event) {
  impl_->last_now = now;
  std::visit([&](auto& e) { impl_->On(now, e); }, event);
}

Effects Scheduler::TakeEffects(const Now& now) { return impl_->TakeEffects(now); }

absl::Duration Scheduler::NextDeadline() const { return impl_->NextDeadline(); }

void Scheduler::CheckInvariants() const { impl_->CheckInvariants(); }

Epoch Scheduler::epoch() const { return impl_->epoch; }

std::optional<JobView> Scheduler::FindJob(JobId job) const {
  const Job* found = impl_->FindJob(job);
  if (found == nullptr) return std::nullopt;
  return impl_->ViewOf(*found);
}

std::optional<TaskView> Scheduler::FindTask(const Now& now, JobId job, TaskIndex index) const {
  return impl_->ViewTask(now, job, index);
}

void Scheduler::Watch(JobId job, bool on) {
  if (Job* found = impl_->FindJob(job)) found->watched = on;
}

}  // namespace reeve
