#include "tests/simulation/checker.h"

#include <algorithm>
#include <cstring>

#include "base/result_batch.h"

namespace reeve::sim {

void Checker::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

// ---- Master ----

void Checker::OnLife(const Image& image) {
  Require(image.epoch.value > epoch_, "the epoch rises", image.epoch.value);
  epoch_ = image.epoch.value;
  holder_.clear();
  welcomed_.clear();
  current_.clear();
  bounds_.OnLife();
  asks_.OnLife();
  nodes_.clear();
  for (const auto& [id, row] : store_->jobs()) {
    if (!row.put.options.accepts_inputs) continue;
    for (TaskIndex i = 0; i < row.total(); ++i) nodes_[id][i] = std::string(InputOf(row, i));
  }
  // Submitted is not committed.
  counters_.clear();
  for (const auto& [id, row] : store_->jobs()) counters_[id] = row.counts.counters;
  for (auto it = acked_.begin(); it != acked_.end();) {
    // Nothing was promised to an EPHEMERAL job beyond the master that took it in.
    it = store_->Find(it->second) == nullptr && ephemeral_.contains(it->second) ? acked_.erase(it)
                                                                                : std::next(it);
  }
}

void Checker::OnRestored(const std::vector<JobView>& jobs) {
  for (const JobView& view : jobs) {
    const uint64_t id = view.job.value;
    const JobRow* row = store_->Find(view.job);
    if (row == nullptr) return Require(false, "a job that goes on is in the store", id);
    uint64_t tasks = 0, succeeded = 0, failed = 0;
    for (TaskIndex i = 0; i < row->total(); ++i) {
      tasks += row->Has(i);
      succeeded += row->tasks[i].state == TaskState::kSucceeded;
      failed += row->tasks[i].state == TaskState::kFailed;
    }
    const TaskCounts& counts = view.counts;
    Require(counts.total == tasks && counts.succeeded == succeeded && counts.failed == failed,
            "a job that goes on counts what is recorded", id, counts.total);
    Require(counts.blocked + counts.scheduled + counts.ready + counts.assigned + succeeded +
                    failed + counts.cancelled + counts.expired ==
                tasks,
            "every task of a job that goes on is counted once", id, tasks);
    if (row->selected.size() > 0) world_->Saw(Seen::kRetryJobRestored);
  }
}

void Checker::OnSubmitted(const WriteBatch& batch) {
  bounds_.OnSubmitted(batch);
  asks_.OnSubmitted(batch);
  CheckAdded(batch);
  CheckCounted(batch);
  for (const Write& write : batch.writes) {
    if (const auto* drop = std::get_if<DropRoster>(&write)) losses_.OnGivenUp(drop->worker_id);
    if (const auto* put = std::get_if<PutJob>(&write))
      Require(!known_ids_.contains(put->view.job),
              "an id that a worker or a client has seen never means another job",
              put->view.job.value);
  }
}

void Checker::OnApply(const Write& write) {
  std::visit([this](const auto& put) { Check(put); }, write);
}

void Checker::OnArrived(const ResultsArrived& arrived) {
  if (arrived.epoch.value != epoch_) return;
  for (const ResultBatchArrived& batch : arrived.batches) {
    const uint64_t uid = WordOf(batch.body.view(), 0) & ~kLaneBodyMask;
    const JobRow* row = store_->Find(batch.job);
    if (row != nullptr && row->state == JobState::kCancelling)
      world_->Saw(Seen::kCancelVersusFinish);
    for (const LeasedRun& leased : batch.runs) {
      for (TaskIndex i = leased.run.first; i < leased.run.end(); ++i) {
        const auto holder = holder_.find({batch.job, i});
        if (holder != holder_.end() && holder->second == leased.lease) current_.insert({uid, i});
      }
    }
  }
}

void Checker::CheckFrontier(const AssignedSpan& span) {
  const JobRow* row = store_->Find(span.job);
  if (row != nullptr && row->ephemeral()) return;  // Nothing of it outlives the master.
  uint32_t frontier = row == nullptr ? 0 : row->frontier;
  const ChunkImage* chunk = row == nullptr ? nullptr : row->ChunkOf(span.run.first);
  if (chunk != nullptr && chunk->birth == span.birth) {
    return Require(span.run.end() <= frontier, "nothing beyond the durable frontier is assigned",
                   span.job.value, span.run.first);
  }
  // Its inputs are on their way: a frontier in the same transaction, or before it, covers it.
  for (const WriteBatch& batch : store_->pending()) {
    bool found = false;
    for (const Write& write : batch.writes) {
      if (const auto* put = std::get_if<PutFrontier>(&write); put && put->job == span.job)
        frontier = put->frontier;
      const auto* inputs = std::get_if<PutInputs>(&write);
      found = found || (inputs && inputs->job == span.job && inputs->birth == span.birth);
    }
    if (!found) continue;
    return Require(span.run.end() <= frontier, "a step covers the inputs of its transaction",
                   span.job.value, span.run.first);
  }
  Require(false, "what is assigned is written", span.job.value, span.run.first);
}

void Checker::CheckSpan(const AssignedSpan& span, SessionId session) {
  known_ids_.insert(span.job);
  CheckFrontier(span);
  bounds_.OnAssigned(span);
  const JobRow* row = store_->Find(span.job);
  for (TaskIndex i = span.run.first; i < span.run.end(); ++i) {
    LeaseSeq& holder = holder_[{span.job, i}];
    const bool again = span.lease <= holder;
    // Sent again under the same number, perhaps after the index went elsewhere.
    if (!again) holder = span.lease;
    losses_.OnGiven(session, span.job, i, span.solo);
    if (again || row == nullptr || i >= row->total()) continue;
    constexpr uint32_t kSoloAfter = 3;
    Require(span.solo || row->tasks[i].suspicions < kSoloAfter,
            "a task suspected too often runs alone", span.job.value, i);
    Require(!span.solo || span.run.count == 1, "a suspect runs alone", span.job.value, i);
  }
}

void Checker::OnAssigned(const Assignment& assignment, const std::string& worker_id) {
  Require(store_->InRoster(worker_id), "a worker is in the roster before its first assignment");
  for (const AssignedSpan& span : assignment.spans) {
    CheckSpan(span, assignment.session);
    asks_.OnAssigned(span, assignment.session, worker_id);
  }
}

void Checker::OnWelcome(SessionId session, const SendWelcome& welcome,
                        const std::string& worker_id) {
  Require(store_->InRoster(worker_id), "a worker is in the roster before it is welcomed");
  welcomed_.insert(worker_id);
  asks_.limits().OnWelcome(session, welcome, WorkerNumberOf(worker_id));
  for (const WelcomeRun& run : welcome.runs) {
    world_->Saw(run.lease ? Seen::kReattached : Seen::kDropped);
    const JobRow* row = store_->Find(run.job);
    for (TaskIndex i = run.run.first; run.lease && i < run.run.end(); ++i) {
      const bool suspect = row != nullptr && i < row->total() && row->tasks[i].suspicions >= 3;
      losses_.OnGiven(session, run.job, i, suspect && run.run.count == 1);
      LeaseSeq& holder = holder_[{run.job, i}];
      if (run.lease > holder) holder = run.lease;
    }
  }
}

void Checker::OnJobReply(const std::string& request, bool create, JobState at_least,
                         const JobReply& reply) {
  if (!reply.status.ok() || store_->IsDeleted(reply.view.job)) return;
  const JobId durable = store_->JobOf(request);
  if (create && reply.view.job && durable != reply.view.job) {
    // Attached to the one that has its unique key.
    const JobRow* other = store_->Find(reply.view.job);
    const JobExtras* extras = other == nullptr ? nullptr : other->put.options.extras.get();
    known_ids_.insert(reply.view.job);
    world_->Saw(Seen::kAttached);
    return Require(extras != nullptr && !extras->unique_key.empty(),
                   "a request is attached to a job with a unique key", reply.view.job.value);
  }
  Require(durable && durable == reply.view.job, "an acknowledged job is durable",
          reply.view.job.value, durable.value);
  known_ids_.insert(durable);
  const JobRow* row = store_->Find(durable);
  if (row == nullptr) return;
  if (create) {
    const auto [known, fresh] = acked_.try_emplace(request, durable);
    Require(known->second == durable, "a request id names one job", durable.value);
    if (!fresh) world_->Saw(Seen::kRequestRepeated);
  }
  Require(row->state >= at_least, "an acknowledged change of state is durable", durable.value,
          static_cast<uint64_t>(row->state));
  if (at_least == JobState::kCancelling) acked_states_[request] = at_least;
}

void Checker::OnJobsReply(const std::string& request, const JobsReply& reply) {
  for (size_t i = 0; i < reply.views.size(); ++i) {
    JobReply one;
    one.view = reply.views[i];
    OnJobReply(request + "#" + std::to_string(i), true, JobState::kUnspecified, one);
  }
}

void Checker::OnPauseReply(bool paused, const JobReply& reply) {
  if (!reply.status.ok()) return;
  const JobRow* row = store_->Find(reply.view.job);
  Require(row != nullptr && (row->paused == paused || IsTerminal(row->state)),
          "an acknowledged pause is durable", reply.view.job.value, paused);
  world_->Saw(Seen::kPaused);
}

void Checker::OnDeleteReply(JobId job, const absl::Status& status) {
  if (!status.ok()) return world_->Saw(Seen::kDeleteRefused);
  Require(store_->Find(job) == nullptr, "what is acknowledged as deleted is gone", job.value);
  if (store_->IsDeleted(job)) world_->Saw(Seen::kDeleted);
}

void Checker::OnAppendReply(const std::string& appender, const AppendReply& reply) {
  if (!reply.status.ok()) return;
  const JobRow* row = store_->Find(reply.job);
  if (store_->IsDeleted(reply.job)) return;
  if (row == nullptr) return Require(false, "an acknowledged append is durable", reply.job.value);
  const auto offset = row->appenders.find(appender);
  const uint64_t durable = offset == row->appenders.end() ? 0 : offset->second;
  Require(reply.committed_offset <= durable, "an acknowledged append is durable", reply.job.value,
          reply.committed_offset);
  Require(reply.run.end() <= row->total(), "acknowledged indexes are durable", reply.job.value);
}

void Checker::OnAck(const AckResults& ack) {
  world_->Saw(Seen::kStaleRefused, ack.superseded.size());
  for (const uint64_t number : ack.recorded) {
    const auto uid = batch_of_.find({ack.session, number});
    if (uid == batch_of_.end()) continue;
    const BatchRecord& batch = batches_[uid->second - 1];
    if (store_->IsDeleted(batch.job)) continue;
    const JobRow* row = store_->Find(batch.job);
    for (const BatchRecord::Entry& entry : batch.entries) {
      if (entry.state == TaskState::kCancelled) continue;
      const TaskRow* task =
          row != nullptr && entry.index < row->total() ? &row->tasks[entry.index] : nullptr;
      const bool terminal = task != nullptr && task->state != TaskState::kUnspecified;
      const bool counted = retried_.contains({uid->second, entry.index});
      Require(terminal || counted, "a batch acknowledged as recorded is durable", batch.job.value,
              entry.index);
    }
  }
}

void Checker::OnResultsNotice(const ResultsNotice& notice) {
  const JobRow* row = store_->Find(notice.job);
  if (store_->IsDeleted(notice.job)) return;
  Require(row != nullptr && row->last_seq >= notice.seq, "what a stream shows is durable",
          notice.job.value, notice.seq);
}

void Checker::OnJobNotice(const JobNotice& notice) {
  const JobRow* row = store_->Find(notice.view.job);
  if (store_->IsDeleted(notice.view.job)) return;
  // Of a paused job the state is hidden.
  Require(
      row != nullptr && (row->state >= notice.view.state || notice.view.state == JobState::kPaused),
      "what a watcher sees is durable", notice.view.job.value);
}

void Checker::CheckAdded(const WriteBatch& batch) {
  std::map<JobId, std::set<uint64_t>> addable;
  for (const Write& write : batch.writes) {
    const auto* put = std::get_if<PutResults>(&write);
    if (put == nullptr || !nodes_.contains(put->job)) continue;
    for (const ResultRun& run : put->runs) {
      if (run.state != TaskState::kSucceeded) continue;
      for (TaskIndex i = run.run.first; i < run.run.first + run.run.count; ++i) {
        for (const std::string& child : ChildrenOf(world_->config, nodes_[put->job][i]))
          addable[put->job].insert(NodeOf(child));
      }
    }
  }
  for (const Write& write : batch.writes) {
    const auto* put = std::get_if<PutInputs>(&write);
    if (put == nullptr || put->keys.empty()) continue;
    const bool by_task = put->appender.empty() && put->run.first > 0;
    if (by_task) world_->Saw(Seen::kInputsAdded, put->run.count);
    for (uint32_t i = 0; i < put->run.count; ++i) {
      const std::string_view input =
          put->inputs->Input(put->positions == nullptr ? i : put->positions->At(i));
      nodes_[put->job][put->run.first + i] = std::string(input);
      if (by_task)
        Require(addable[put->job].contains(NodeOf(input)),
                "a new input is recorded with the result of a task that adds it", put->job.value,
                put->run.first + i);
    }
  }
}

// Counters are those of the tasks that succeeded, once each, in the commit of their results.
void Checker::CheckCounted(const WriteBatch& batch) {
  std::set<JobId> changed;
  for (const Write& write : batch.writes) {
    const auto* put = std::get_if<PutResults>(&write);
    if (put == nullptr || !Counts(put->job)) continue;
    for (const ResultRun& run : put->runs) {
      if (run.state != TaskState::kSucceeded) continue;
      changed.insert(put->job);
      for (TaskIndex i = run.run.first; i < run.run.first + run.run.count; ++i)
        counters_[put->job][CounterOf(i)] += CountOf(i);
    }
  }
  std::map<JobId, const PutJobState*> states;  // The last of each.
  for (const Write& write : batch.writes) {
    const auto* put = std::get_if<PutJobState>(&write);
    if (put != nullptr && Counts(put->job)) states[put->job] = put;
  }
  for (const auto& [job, put] : states)
    Require(put->counts.counters == counters_[job], "counters are those of recorded results",
            job.value);
  for (const JobId job : changed)
    Require(states.contains(job), "what is counted is recorded with the results", job.value);
}

// ---- Workers ----

uint64_t Checker::OnReport(BatchRecord record) {
  batches_.push_back(std::move(record));
  return batches_.size();
}

void Checker::OnSent(SessionId session, uint64_t number, const Buffer& body) {
  const uint64_t uid = WordOf(body.view(), 0) & ~kLaneBodyMask;
  const auto [it, fresh] = batch_of_.try_emplace({session, number}, uid);
  if (!fresh) world_->Saw(Seen::kResultsResent);
  Require(it->second == uid, "a batch number names one batch", number);
}

void Checker::OnBegin(JobId job, Birth birth, TaskIndex index, uint64_t value, bool at_most_once) {
  Executions& task = executions_[{job.value, birth, index}];
  ++task.begun;
  if (at_most_once)
    Require(begun_once_.insert(value).second, "what runs at most once never begins twice",
            job.value, index);
  if (world_->config.strict)
    Require(task.begun <= task.failed + losses_.deaths_under(job, index) + 1,
            "nothing is run again without need", job.value, index);
}

void Checker::OnExclusiveBegin(JobId job, TaskIndex index, uint64_t value) {
  Require(exclusive_.insert(value).second, "an exclusive task never runs at two places at once",
          job.value, index);
}

uint32_t Checker::begun(JobId job, Birth birth, TaskIndex index) const {
  const auto task = executions_.find({job.value, birth, index});
  return task == executions_.end() ? 0 : task->second.begun;
}

FailedEntry Checker::FailureIn(const Buffer& body, const agent::Failed& failed) const {
  const uint64_t uid = WordOf(body.view(), 0) & ~kLaneBodyMask;
  FailedEntry entry = batches_[uid - 1].entries[failed.position].failure;
  entry.position = failed.position;
  entry.state = failed.state;
  return entry;
}

void Checker::OnEnd(const Place& place, JobId job, Birth birth, TaskIndex index, TaskState state) {
  asks_.limits().OnStopped(place);
  if (state == TaskState::kFailed) ++executions_[{job.value, birth, index}].failed;
}

// ---- End ----

bool Checker::AllEnded() const {
  for (const auto& [id, row] : store_->jobs()) {
    if (!IsTerminal(row.state)) return false;
  }
  return true;
}

void Checker::AtEnd(bool finished) {
  asks_.AtEnd(finished);
  for (const auto& [request, job] : acked_) {
    const JobRow* row = store_->Find(job);
    if (row == nullptr && (ephemeral_.contains(job) || store_->IsDeleted(job))) continue;
    if (row == nullptr) return Require(false, "an acknowledged job is never lost", job.value);
    if (finished)
      Require(IsTerminal(row->state), "what was acknowledged comes to its end", job.value,
              static_cast<uint64_t>(row->state));
    if (finished) CheckPoison(*row);
    CheckNothingLost(*row);
  }
}

void Checker::CheckNothingLost(const JobRow& row) {
  if (!row.put.options.accepts_inputs) return;
  std::set<uint64_t> there, wanted;
  for (TaskIndex i = 0; i < row.total(); ++i) {
    there.insert(NodeOf(InputOf(row, i)));
    if (row.tasks[i].state != TaskState::kSucceeded) continue;
    for (const std::string& child : ChildrenOf(world_->config, InputOf(row, i)))
      wanted.insert(NodeOf(child));
  }
  const uint64_t key = WordOf(row.put.view.record.view(), 0);
  for (const auto& [appender, offset] : row.appenders) {
    for (uint64_t i = 0; i < offset; ++i)
      wanted.insert(NodeOf(ClientInput(world_->config, key, appender[0] - 'a', i)));
  }
  Require(row.total() == row.put.options.max_tasks ||
              std::includes(there.begin(), there.end(), wanted.begin(), wanted.end()),
          "no new input is lost", row.put.view.job.value, row.total());
}

void Checker::CheckPoison(const JobRow& row) {
  const JobPlan& plan = PlanOf(world_->config, row);
  if (plan.poison.not_always || row.ending.as != JobState::kUnspecified) return;
  for (TaskIndex i = 0; i < row.total(); ++i) {
    if (row.Has(i) && IsPoisonTask(plan, ValueOf(world_->config, row, i)))
      Require(row.tasks[i].state == TaskState::kFailed, "a poison task ends as failed",
              row.put.view.job.value, i);
  }
}

}  // namespace reeve::sim
