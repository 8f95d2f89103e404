#include "tests/simulation/bounds_book.h"

#include <algorithm>

#include "base/interval_set.h"

namespace reeve::sim {

void BoundsBook::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

// ---- Inputs that wait ----

void BoundsBook::OnLife() {
  queued_.clear();
  selected_.clear();
  owners_.clear();
  readers_.clear();
  tasks_ = bytes_ = chunks_ = 0;
  newest_ = {};
  for (const auto& [id, row] : (*store_)->jobs()) {
    if (IsTerminal(row.state)) continue;
    Own(id, row.put.options.owner);
    if (row.put.options.accepts_inputs) continue;
    for (size_t i = 0; i < row.chunks.size(); ++i) {
      if (row.inputs[i] != nullptr) Add(id, row.chunks[i].run, row.chunks[i].bytes);
    }
    for (TaskIndex i = 0; i < row.total(); ++i) {
      if (IsTerminal(row.tasks[i].state) || !row.Has(i)) Finish(id, {i, 1});
    }
  }
}

void BoundsBook::Add(JobId job, Run run, uint64_t bytes) {
  Chunk& chunk = queued_[job][run.first];
  chunk = {run, bytes, IntervalSet(run)};
  tasks_ += run.count;
  bytes_ += bytes;
  ++chunks_;
}

// After a whole step: two stores' writes stand in no order.
void BoundsBook::CheckQueue() {
  const SchedulerOptions& caps = world_->config.scheduler;
  // One batch fits into an empty queue, however small the bound.
  Require(
      chunks_ <= 1 || (tasks_ <= caps.max_queued_payload_tasks && bytes_ <= caps.max_queued_bytes),
      "the queue of inputs has its bounds", tasks_, bytes_);
  for (const auto& [job, chunks] : queued_) {
    const JobRow* row = (*store_)->Find(job);
    if (chunks.size() <= 1 || row == nullptr || !row->ephemeral()) continue;
    uint64_t bytes = 0;
    for (const auto& [first, chunk] : chunks) bytes += chunk.bytes;
    Require(bytes <= caps.ephemeral_job_bytes / 2,
            "the inputs of an ephemeral job have their bound", job.value, bytes);
  }
}

void BoundsBook::Own(JobId job, const std::string& owner) {
  if (!owner.empty()) owners_[job] = owner;
}

// Whatever the scheduler counts, and whether or not it was born since.
void BoundsBook::CheckOwners() {
  struct Share {
    uint64_t jobs = 0, chunks = 0, tasks = 0, bytes = 0;
  };
  std::map<std::string, Share> shares;
  for (const auto& [job, owner] : owners_) {
    Share& share = shares[owner];
    ++share.jobs;
    const auto queued = queued_.find(job);
    if (queued == queued_.end()) continue;
    for (const auto& [first, chunk] : queued->second) {
      ++share.chunks;
      share.tasks += chunk.run.count;
      share.bytes += chunk.bytes;
    }
  }
  const SchedulerOptions& caps = world_->config.scheduler;
  for (const auto& [owner, share] : shares) {
    Require(share.jobs <= caps.max_active_jobs_per_owner, "an owner has no more jobs than it may",
            share.jobs);
    Require(share.chunks <= 1 || (share.tasks <= caps.max_queued_payload_tasks_per_owner &&
                                  share.bytes <= caps.max_queued_bytes_per_owner),
            "an owner has no more waiting than it may", share.tasks, share.bytes);
    if (share.jobs == caps.max_active_jobs_per_owner) world_->Saw(Seen::kOwnerFull);
  }
}

void BoundsBook::Erase(JobId, const Chunk& chunk) {
  tasks_ -= chunk.run.count;
  bytes_ -= chunk.bytes;
  --chunks_;
}

void BoundsBook::Finish(JobId job, Run run) {
  const auto chunks = queued_.find(job);
  if (chunks == queued_.end()) return;
  for (auto it = chunks->second.begin(); it != chunks->second.end();) {
    it->second.left.Remove(run);
    if (!it->second.left.empty()) {
      ++it;
      continue;
    }
    Erase(job, it->second);
    it = chunks->second.erase(it);
  }
}

void BoundsBook::OnSubmitted(const WriteBatch& batch) {
  for (const Write& write : batch.writes) {
    const auto* put = std::get_if<PutInputs>(&write);
    // Those with keys are not counted: no bound refuses what comes with results.
    if (put != nullptr && (put->inputs != nullptr || put->source) && put->keys.empty()) {
      Add(put->job, put->run, put->bytes);
      const auto selected = selected_.find(put->job);
      if (selected == selected_.end()) continue;
      for (const Run run : selected->second.Missing(put->run)) Finish(put->job, run);
    } else if (const auto* job = std::get_if<PutJob>(&write)) {
      for (const Run run : job->selected) selected_[job->view.job].Add(run);
      Own(job->view.job, job->options.owner);
    } else if (const auto* results = std::get_if<PutResults>(&write)) {
      for (const ResultRun& run : results->runs) Finish(results->job, run.run.run());
    } else if (const auto* state = std::get_if<PutJobState>(&write);
               state && IsTerminal(state->state)) {
      for (const auto& [first, chunk] : queued_[state->job]) Erase(state->job, chunk);
      queued_.erase(state->job);
      owners_.erase(state->job);
    }
  }
}

// ---- What workers hold ----

void BoundsBook::OnHello(const Hello& hello) {
  uint64_t& brought = brought_[hello.worker_id];
  brought = 0;
  for (const HeldRun& held : hello.held) brought += held.run.count;
}

void BoundsBook::OnWorkers(const std::vector<WorkerView>& workers) {
  // What has its time, and each party to the turns, gets in among what waits at a worker, up to one
  // task a slot, however much the worker came back with.
  const uint64_t others = world_->config.Parties() - 1 + (world_->config.HasRates() ? 1 : 0);
  const uint64_t most =
      std::max(world_->config.scheduler.max_held_per_worker, world_->config.slots);
  for (const WorkerView& worker : workers) {
    uint64_t& brought = brought_[worker.worker_id];
    Require(worker.held <= std::max(most, brought) + others * world_->config.slots,
            "a worker holds no more than its credit", worker.number.value, worker.held);
    brought = std::min(brought, worker.held);
  }
}

// ---- EPHEMERAL jobs ----

void BoundsBook::OnAssigned(const AssignedSpan& span) {
  // Sent again: it was given when there was room.
  if (span.lease <= newest_) return;
  newest_ = span.lease;
  const JobRow* row = (*store_)->Find(span.job);
  if (row == nullptr || !row->ephemeral()) return;
  Require(row->kept_result_bytes() < world_->config.scheduler.ephemeral_job_bytes / 2,
          "an ephemeral job whose results are not read gets no further", span.job.value,
          row->kept_result_bytes());
}

void BoundsBook::OnCursor(const CursorMoved& moved) {
  const JobRow* row = (*store_)->Find(moved.job);
  if (row == nullptr || IsTerminal(row->state)) return;
  Reader& reader = readers_[moved.job][moved.cursor];
  reader.passed = std::max(reader.passed, moved.passed);
  reader.closed = reader.closed || moved.closed;
}

void BoundsBook::Check(const DropInputs& drop) {
  const JobRow* row = (*store_)->Find(drop.job);
  const ChunkImage* chunk = row == nullptr ? nullptr : row->ChunkOf(drop.first);
  if (chunk == nullptr) return Require(false, "inputs given back are there", drop.job.value);
  world_->Saw(Seen::kInputsGivenBack);
}

void BoundsBook::Check(const DropResults& drop) {
  world_->Saw(Seen::kResultsGivenBack);
  uint64_t farthest = 0;
  for (const auto& [cursor, reader] : readers_[drop.job]) {
    farthest = std::max(farthest, reader.passed);
    Require(reader.closed || drop.through <= reader.passed,
            "results are kept until every open stream has passed them", drop.job.value,
            drop.through);
  }
  Require(drop.through <= farthest, "results are kept until somebody has read them", drop.job.value,
          drop.through);
}

void BoundsBook::CheckGivenBack(JobId id, const JobRow& row) {
  for (size_t i = 0; i < row.chunks.size(); ++i) {
    const Run run = row.chunks[i].run;
    if (row.inputs[i] == nullptr) continue;
    bool ended = true;
    for (TaskIndex t = run.first; t < run.end(); ++t) ended &= IsTerminal(row.tasks[t].state);
    Require(row.dropped_inputs.contains(run.first) == ended,
            "inputs are given back when all their tasks have ended", id.value, run.first);
  }
  uint64_t passed = UINT64_MAX;
  for (const auto& [cursor, reader] : readers_[id])
    passed = std::min(passed, reader.closed ? 0 : reader.passed);
  if (passed == UINT64_MAX) return;
  Require(row.dropped_results >= std::min(passed, row.last_seq),
          "results are given back once every stream has passed them", id.value, passed);
}

void BoundsBook::AfterWrites() {
  CheckQueue();
  if (!owners_.empty()) CheckOwners();
  for (const auto& [id, row] : (*store_)->jobs()) {
    if (!row.ephemeral() || IsTerminal(row.state)) continue;
    CheckGivenBack(id, row);
    if (row.kept_result_bytes() >= world_->config.scheduler.ephemeral_job_bytes / 2)
      world_->Saw(Seen::kEphemeralFull);
  }
}

}  // namespace reeve::sim
