#include "tests/simulation/sim_store.h"

#include <algorithm>
#include <utility>

namespace reeve::sim {

const ChunkImage* JobRow::ChunkOf(TaskIndex index) const {
  for (const ChunkImage& chunk : chunks) {
    if (index >= chunk.run.first && index < chunk.run.end()) return &chunk;
  }
  return nullptr;
}

uint64_t JobRow::kept_result_bytes() const {
  uint64_t bytes = 0;
  for (size_t seq = dropped_results; seq < result_bytes.size(); ++seq) bytes += result_bytes[seq];
  return bytes;
}

Image SimStore::Load() {
  Image image;
  image.epoch = Epoch(++epoch_);
  image.next_job = JobId(job_ids_below_);
  committed_ = 0;
  for (const auto& [id, row] : jobs_) {
    image.requests.push_back(
        {row.put.request_id, row.put.content_hash, id, row.put.view.create_time});
    if (IsTerminal(row.state)) continue;
    JobImage job;
    job.job = row.put;
    job.state = row.state;
    job.frontier = row.frontier;
    job.chunks = row.chunks;
    job.appenders = row.appenders;
    job.results = row.results;
    job.retries = row.retries;
    job.last_seq = row.last_seq;
    job.keys = row.keys;
    job.duplicate_inputs = row.counts.duplicate_inputs;
    job.counters = row.counts.counters;
    job.dropped_inputs = row.counts.dropped_inputs;
    image.jobs.push_back(std::move(job));
  }
  for (const auto& [worker_id, number] : roster_) image.roster.push_back({worker_id, number});
  return image;
}

void SimStore::Submit(WriteBatch batch) {
  pending_.push_back(std::move(batch));
  if (under_way_ == 0) Begin();
}

void SimStore::Begin() {
  if (pending_.empty()) return;
  under_way_ = pending_.size();
  int64_t takes = world_->stores.Between(world_->config.commit_min, world_->config.commit_max);
  if (world_->now < slow_until_) takes += slow_extra_;
  world_->At(world_->now + takes, Kind::kCommitDone, 0, epoch_);
}

bool SimStore::OnCommitDone(uint64_t* committed) {
  if (std::exchange(fail_next_, false)) {
    world_->Note("commit failed", fail_applies_);
    return false;  // OnMasterDied settles what becomes of it.
  }
  for (; under_way_ > 0; --under_way_) {
    committed_ = pending_.front().number;
    Apply(pending_.front());
    pending_.pop_front();
  }
  *committed = committed_;
  Begin();
  return true;
}

void SimStore::OnMasterDied(bool applied) {
  if (applied && under_way_ > 0) world_->Saw(Seen::kCommitAnswerLost);
  for (size_t i = 0; applied && i < under_way_; ++i) Apply(pending_[i]);
  pending_.clear();
  under_way_ = 0;
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (!it->second.ephemeral()) {
      ++it;
      continue;
    }
    world_->Saw(Seen::kEphemeralGone);
    requests_.erase(it->second.put.request_id);
    it = jobs_.erase(it);
  }
}

InputsRef SimStore::Inputs(JobId job, TaskIndex first) const {
  const JobRow* row = Find(job);
  if (row == nullptr) return nullptr;
  for (size_t i = 0; i < row->chunks.size(); ++i) {
    if (row->chunks[i].run.first == first) return row->inputs[i];
  }
  return nullptr;
}

const JobRow* SimStore::Find(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? nullptr : &it->second;
}

JobId SimStore::JobOf(const std::string& request) const {
  const auto it = requests_.find(request);
  return it == requests_.end() ? JobId() : it->second;
}

void SimStore::Apply(const WriteBatch& batch) {
  for (const Write& write : batch.writes) {
    watcher_->OnApply(write);
    if (!world_->broken.empty()) return;
    std::visit([this](const auto& put) { Apply(put); }, write);
  }
}

void SimStore::Apply(const PutJob& put) {
  JobRow& row = jobs_[put.view.job];
  row.put = put;
  row.state = put.view.state;
  requests_[put.request_id] = put.view.job;
}

void SimStore::Apply(const PutJobState& put) {
  JobRow& row = jobs_[put.job];
  row.state = put.state;
  row.counts = put.counts;
  if (IsTerminal(put.state)) row.cancelled = put.cancelled;
}

void SimStore::Apply(const PutInputs& put) {
  JobRow& row = jobs_[put.job];
  row.chunks.push_back({put.run, put.birth, put.bytes, put.positions});
  row.keys.insert(row.keys.end(), put.keys.begin(), put.keys.end());
  row.inputs.push_back(put.inputs);
  row.tasks.resize(put.run.end());
  if (!put.appender.empty()) row.appenders[put.appender] = put.appender_offset;
}

void SimStore::Apply(const PutResults& put) {
  JobRow& row = jobs_[put.job];
  row.last_seq = put.seq;
  row.result_bytes.push_back(put.body.size());
  for (const ResultRun& run : put.runs) {
    row.results.push_back(run);
    for (TaskIndex i = run.run.first; i < run.run.first + run.run.count; ++i)
      row.tasks[i].state = run.state;
  }
  for (const RetryOutcome& retry : put.retries) {
    row.retries.push_back(retry);
    for (TaskIndex i = retry.run.first; i < retry.run.end(); ++i) {
      row.tasks[i].failures = retry.failed_attempts;
      row.tasks[i].suspicions = retry.suspicions;
      row.tasks[i].crashes = retry.crashes;
    }
  }
}

}  // namespace reeve::sim
