#include "tests/simulation/asks_book.h"

#include <algorithm>

#include "tests/simulation/asks.h"
#include "tests/simulation/work.h"

namespace reeve::sim {
namespace {

bool IsMet(JobDependency::Condition condition, JobState state, Cause cause) {
  switch (condition) {
    case JobDependency::Condition::kSuccess:
      return state == JobState::kSucceeded || cause == Cause::kSkipped;
    case JobDependency::Condition::kFailure:
      return state == JobState::kFailed || state == JobState::kExpired;
    case JobDependency::Condition::kEnd: return IsTerminal(state);
  }
  return false;
}

bool HasLabels(const std::vector<LabelTerm>& selector, uint32_t worker) {
  const auto labels = LabelsOf(worker);
  return std::all_of(selector.begin(), selector.end(), [&labels](const LabelTerm& term) {
    const auto label = labels.find(term.name);
    const bool has = label != labels.end();
    switch (term.kind) {
      case LabelTerm::Kind::kEquals: return has && label->second == term.value;
      case LabelTerm::Kind::kDiffers: return !has || label->second != term.value;
      case LabelTerm::Kind::kExists: return has;
      case LabelTerm::Kind::kMissing: return !has;
    }
    return false;
  });
}

}  // namespace

void AsksBook::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

void AsksBook::OnLife() {
  leases_.clear();
  details_.clear();
  view_.OnLife();
  limits_.OnLife();
  schedules_.OnLife();
  turns_.OnLife();
  drains_.OnLife();
}

void AsksBook::OnSubmitted(const WriteBatch& batch) {
  for (const Write& write : batch.writes) {
    const auto* drop = std::get_if<DropJob>(&write);
    if (drop != nullptr && !CheckDeleted(batch.store, *drop)) continue;
    if (const auto* put = std::get_if<PutJob>(&write)) {
      if (!put->selected.empty()) world_->Saw(Seen::kRetryJob);
      CheckUnique(*put);
      schedules_.OnSubmitted(batch, *put);
    }
    if (const auto* queue = std::get_if<DropQueue>(&write)) CheckDeleted(*queue);
    if (const auto* put = std::get_if<PutSchedule>(&write)) schedules_.OnSubmitted(*put);
    if (const auto* put = std::get_if<PutJobState>(&write)) CheckEnding(*put);
    limits_.OnSubmitted(write);
    drains_.OnSubmitted(write);
    view_.Apply(write);
  }
}

// ---- What goes out ----

void AsksBook::OnAssigned(const AssignedSpan& span, SessionId session,
                          const std::string& worker_id) {
  if (!leases_.insert(span.lease).second) return;  // Sent again.
  const uint32_t worker = WorkerNumberOf(worker_id);
  if (const AskedJob* job = view_.Find(span.job)) {
    CheckMayGo(*job, span, worker);
    turns_.OnAssigned(*job, span);
  }
  CheckDetails(span);
  drains_.OnAssigned(span, worker_id);
  limits_.OnAssigned(span, session, worker);
}

void AsksBook::CheckMayGo(const AskedJob& job, const AssignedSpan& span, uint32_t worker) {
  const uint64_t id = job.id.value;
  Require(!job.paused, "nothing of a paused job goes out", id, span.run.first);
  Require(job.ending.as == JobState::kUnspecified && !IsTerminal(job.state),
          "nothing of a job goes out once it is to end", id, span.run.first);
  const AskedQueue* queue = view_.FindQueue(job.queue());
  Require(queue == nullptr || !queue->settings.paused, "nothing of a paused queue goes out", id,
          span.run.first);
  for (TaskIndex i = span.run.first; i < span.run.end(); ++i)
    Require(job.Has(i), "only what was selected is tried again", id, i);
  const JobExtras* extras = job.extras();
  if (extras == nullptr) return;
  Require(extras->start_time <= view_.Steady(), "nothing of a job goes out before its start time",
          id, span.run.first);
  Require(extras->expire_time > view_.Steady(), "nothing of a job goes out after its deadline", id,
          span.run.first);
  Require(HasLabels(extras->selector, worker), "a task goes to a worker that it selects", id,
          worker);
  if (!extras->after.empty()) CheckDependencies(job, span);
}

void AsksBook::CheckDetails(const AssignedSpan& span) {
  for (TaskIndex i = span.run.first; i < span.run.end(); ++i) {
    const auto details = details_.find({span.job, i});
    if (details == details_.end() || details->second.empty()) continue;
    Require(span.run.count == 1 && span.details == details->second,
            "what an attempt leaves is told to the next", span.job.value, i);
    world_->Saw(Seen::kDetailsTold);
  }
}

void AsksBook::CheckDependencies(const AskedJob& job, const AssignedSpan& span) {
  LoadResults wanted{job.id, {}};
  for (const JobDependency& dependency : job.extras()->after) {
    if (dependency.results) wanted.of.push_back(dependency);
  }
  if (!wanted.of.empty()) {
    world_->Saw(Seen::kResultsTold);
    Require(span.brief.view() == BriefOf(wanted).view(),
            "a task is told the results of the jobs before it", job.id.value, span.run.first);
  }
  for (const JobDependency& dependency : job.extras()->after) {
    const JobRow* row = (*store_)->Find(dependency.job);
    Require(row != nullptr && IsTerminal(row->state) &&
                IsMet(dependency.condition, row->state, row->ending.cause),
            "nothing of a job goes out before those it depends on have durably ended as wanted",
            job.id.value, dependency.job.value);
  }
  world_->Saw(Seen::kDependencyMet);
}

// ---- What is decided ----

void AsksBook::CheckUnique(const PutJob& put) {
  const JobExtras* extras = put.options.extras.get();
  if (extras == nullptr || extras->unique_key.empty()) return;
  for (const auto& [id, job] : view_.jobs()) {
    if (job.extras() == nullptr || job.extras()->unique_key != extras->unique_key ||
        job.options.owner != put.options.owner || IsTerminal(job.state)) {
      continue;
    }
    // One that is replaced may still be at workers.
    const bool may =
        extras->unique_policy == UniquePolicy::kReplace || job.ending.cause == Cause::kReplaced;
    Require(may && job.state == JobState::kCancelling, "a unique key has one unfinished job",
            id.value, put.view.job.value);
  }
}

bool AsksBook::CheckDeleted(StoreKind store, const DropJob& drop) {
  const AskedJob* job = view_.Find(drop.job);
  if (job == nullptr || job->options.ephemeral != (store == StoreKind::kMemory)) return false;
  Require(IsTerminal(job->state), "only what has ended is deleted", drop.job.value);
  deleted_.push_back(drop.job);
  return true;
}

void AsksBook::CheckDeleted(const DropQueue& drop) {
  for (const auto& [id, job] : view_.jobs()) {
    // An EPHEMERAL job may have ended in this step: its end is written elsewhere.
    Require(job.queue() != drop.name || IsTerminal(job.state) || job.options.ephemeral,
            "a queue in use is not deleted", id.value);
  }
}

// One that nobody set up, or that was deleted, has the defaults.
void AsksBook::OnQueues(const std::vector<QueueView>& queues) {
  size_t set_up = 0;
  for (const QueueView& queue : queues) {
    const AskedQueue* asked = view_.FindQueue(queue.settings.name);
    QueueSettings defaults;
    defaults.name = queue.settings.name;
    set_up += asked != nullptr;
    Require(queue.settings == (asked == nullptr ? defaults : asked->settings),
            "a queue is as it was set up, or has the defaults", queue.jobs, queue.tasks);
  }
  Require(set_up == view_.queues(), "a queue that was set up is there", set_up, view_.queues());
}

// Not before: what others are may stand in the other store's writes.
void AsksBook::AfterWrites() {
  if (deleted_.empty()) return;
  const std::vector<JobId> deleted = std::exchange(deleted_, {});
  for (const auto& [id, job] : view_.jobs()) {
    if (job.extras() == nullptr || IsTerminal(job.state)) continue;
    for (const JobDependency& dependency : job.extras()->after) {
      Require(std::find(deleted.begin(), deleted.end(), dependency.job) == deleted.end(),
              "what others depend on is not deleted", id.value, dependency.job.value);
    }
  }
}

bool AsksBook::IsStopped(const StopRule& rule, const TaskCounts& counts) const {
  return (rule.max_failures > 0 && counts.failed >= rule.max_failures) ||
         (rule.max_failure_percent > 0 &&
          counts.failed * 100 > uint64_t{rule.max_failure_percent} * counts.total) ||
         (rule.first_success && counts.succeeded > 0);
}

bool AsksBook::IsUnmet(const AskedJob& job) const {
  for (const JobDependency& dependency : job.extras()->after) {
    const AskedJob* other = view_.Find(dependency.job);
    if (other == nullptr) return true;  // Deleted, or gone with its master.
    if (IsTerminal(other->state) &&
        !IsMet(dependency.condition, other->state, other->ending.cause)) {
      return true;
    }
  }
  return false;
}

// Whoever ends a job early must have had a reason.
void AsksBook::CheckEnding(const PutJobState& put) {
  const AskedJob* job = view_.Find(put.job);
  if (job == nullptr || put.ending == job->ending || put.ending.cause == job->ending.cause) return;
  const uint64_t id = put.job.value;
  const JobExtras* extras = job->extras();
  switch (put.ending.cause) {
    case Cause::kDeadline:
      world_->Saw(Seen::kExpired);
      Require(extras != nullptr && extras->expire_time <= view_.Steady() &&
                  put.ending.as == JobState::kExpired,
              "a job expires at its deadline", id);
      break;
    case Cause::kStopRule:
      world_->Saw(put.ending.halted ? Seen::kHalted : Seen::kStopped);
      Require(extras != nullptr && IsStopped(extras->stop, put.counts),
              "a job is stopped by its rules", id, put.counts.failed);
      break;
    case Cause::kDependency:
    case Cause::kSkipped:
      world_->Saw(put.ending.cause == Cause::kSkipped ? Seen::kSkipped : Seen::kUnmet);
      Require(extras != nullptr && IsUnmet(*job) &&
                  extras->skip_if_unmet == (put.ending.cause == Cause::kSkipped),
              "a job is cancelled for a dependency that cannot hold any more", id);
      break;
    case Cause::kReplaced:
      world_->Saw(Seen::kReplaced);
      // By a job with the same key, or by the next of its schedule.
      Require(job->request.find('\t') != std::string::npos ||
                  (extras != nullptr && !extras->unique_key.empty()),
              "a job is replaced by one that may", id);
      break;
    default: break;
  }
}

void AsksBook::CheckEnd(const PutJobState& put, const JobRow& row) {
  const uint64_t id = put.job.value;
  const JobExtras* extras = row.put.options.extras.get();
  if (put.ending.as != JobState::kUnspecified) {
    Require(put.state == put.ending.as, "a job that is made to end ends so", id,
            static_cast<uint64_t>(put.state));
    return;
  }
  Require(put.state == JobState::kFailed || put.state == JobState::kSucceeded,
          "a job ends by its tasks or for a cause", id, static_cast<uint64_t>(put.state));
  if (extras == nullptr) return;
  Require(!IsStopped(extras->stop, put.counts), "a job whose stop rule holds is stopped", id,
          put.counts.failed);
}

}  // namespace reeve::sim
