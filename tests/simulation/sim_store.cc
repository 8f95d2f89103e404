#include "tests/simulation/sim_store.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/asks.h"

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

void SimStore::LoadJob(const JobRow& row, Image* image) const {
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
  job.paused = row.paused;
  job.ending = row.ending;
  if (row.put.options.extras != nullptr) {
    for (const JobDependency& dependency : row.put.options.extras->after) {
      const JobRow* other = Find(dependency.job);
      if (other != nullptr && IsTerminal(other->state))
        job.ended.push_back({dependency.job, other->state, other->ending.cause});
    }
  }
  image->jobs.push_back(std::move(job));
}

Image SimStore::Load() {
  Image image;
  image.epoch = Epoch(++epoch_);
  image.next_job = JobId(job_ids_below_);
  committed_ = 0;
  for (const auto& [id, row] : jobs_) {
    image.requests.push_back(
        {row.put.request_id, row.put.content_hash, id, row.put.view.create_time});
    if (!IsTerminal(row.state)) LoadJob(row, &image);
  }
  for (const auto& [worker_id, number] : roster_) image.roster.push_back({worker_id, number});
  image.drained.assign(drained_.begin(), drained_.end());
  for (const auto& [name, settings] : queues_) image.queues.push_back(settings);
  for (const auto& [name, put] : schedules_) {
    image.schedules.push_back({put.owner, put.name, put.record, put.progress, put.request_id,
                               put.content_hash, SettingsOf(world_->config, name)});
  }
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

WorkerNumber SimStore::NumberOf(const std::string& worker_id) const {
  const auto it = roster_.find(worker_id);
  return it == roster_.end() ? WorkerNumber() : it->second;
}

void SimStore::Apply(const WriteBatch& batch) {
  for (const Write& write : batch.writes) {
    if (IsElsewhere(batch.store, write)) continue;
    watcher_->OnApply(write);
    if (!world_->broken.empty()) return;
    std::visit([this](const auto& put) { Apply(put); }, write);
  }
}

void SimStore::Apply(const PutJob& put) {
  JobRow& row = jobs_[put.view.job];
  row.put = put;
  row.state = put.view.state;
  for (const Run run : put.selected) row.selected.Add(run);
  requests_[put.request_id] = put.view.job;
}

void SimStore::Apply(const PutJobState& put) {
  JobRow& row = jobs_[put.job];
  row.state = put.state;
  row.counts = put.counts;
  row.paused = put.paused;
  row.ending = put.ending;
  if (IsTerminal(put.state)) row.cancelled = put.cancelled;
}

void SimStore::Apply(const PutJobOptions& put) {
  JobRow& row = jobs_[put.job];
  row.put.options.priority = put.priority;
  row.put.options.max_in_flight = put.max_in_flight;
}

bool SimStore::IsElsewhere(StoreKind store, const Write& write) const {
  const auto* drop = std::get_if<DropJob>(&write);
  const JobRow* row = drop == nullptr ? nullptr : Find(drop->job);
  return row != nullptr && row->ephemeral() != (store == StoreKind::kMemory);
}

void SimStore::Apply(const DropJob& drop) {
  const auto row = jobs_.find(drop.job);
  if (row == jobs_.end()) return;
  requests_.erase(row->second.put.request_id);
  deleted_.insert(drop.job);
  jobs_.erase(row);
}

void SimStore::Apply(const PutDrained& put) {
  if (put.drained) {
    drained_.insert(put.worker_id);
  } else {
    drained_.erase(put.worker_id);
  }
}

void SimStore::Apply(const PutSchedule& put) {
  had_schedules_.insert(put.name);
  PutSchedule& row = schedules_[put.name];
  row.progress = put.progress;
  if (put.record.size() == 0) return;
  const ScheduleProgress progress = put.progress;
  row = put;
  row.progress = progress;
}

void SimStore::Apply(const PutInputs& put) {
  JobRow& row = jobs_[put.job];
  row.chunks.push_back({put.run, put.birth, put.bytes, put.positions, put.task_keys, put.source});
  row.keys.insert(row.keys.end(), put.keys.begin(), put.keys.end());
  // Shared: the bytes are those of the other job.
  row.inputs.push_back(put.source ? Inputs(put.source, put.run.first) : put.inputs);
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
