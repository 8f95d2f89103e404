#include "tests/simulation/asks_view.h"

#include <algorithm>

#include "tests/simulation/asks.h"
#include "tests/simulation/work.h"

namespace reeve::sim {

const ChunkImage* AskedJob::ChunkOf(TaskIndex index) const {
  const auto after =
      std::upper_bound(chunks.begin(), chunks.end(), index,
                       [](TaskIndex i, const ChunkImage& chunk) { return i < chunk.run.first; });
  if (after == chunks.begin()) return nullptr;
  const ChunkImage& chunk = *std::prev(after);
  return index < chunk.run.end() ? &chunk : nullptr;
}

uint64_t AskedJob::KeyOf(TaskIndex index) const {
  const ChunkImage* chunk = ChunkOf(index);
  if (chunk == nullptr || chunk->task_keys.empty()) return 0;
  return chunk->task_keys[index - chunk->run.first];
}

void AsksView::OnLife() {
  born_offset_ = world_->wall_offset;
  const std::map<JobId, AskedJob> before = std::exchange(jobs_, {});
  for (const auto& [id, row] : (*store_)->jobs()) {
    Apply(row.put);
    AskedJob& job = jobs_[id];
    job.state = row.state;
    job.paused = row.paused;
    job.ending = row.ending;
    job.chunks = row.chunks;
    const auto known = before.find(id);
    if (known != before.end()) job.most_in_flight = known->second.most_in_flight;
  }
  const std::map<std::string, AskedQueue> queues = std::exchange(queues_, {});
  for (const auto& [name, settings] : (*store_)->queues()) {
    queues_[name].settings = settings;
    const auto known = queues.find(name);
    if (known != queues.end()) queues_[name].most_in_flight = known->second.most_in_flight;
  }
}

void AsksView::Apply(const Write& write) {
  std::visit([this](const auto& put) { Apply(put); }, write);
}

void AsksView::Apply(const PutJob& put) {
  AskedJob& job = jobs_[put.view.job];
  job.id = put.view.job;
  job.options = put.options;
  job.request = put.request_id;
  job.state = put.view.state;
  job.since = world_->now;
  job.plan = WordOf(put.view.record.view(), 0) & 0xff;
  job.most_in_flight = put.options.max_in_flight;
  job.selected.Clear();
  for (const Run run : put.selected) job.selected.Add(run);
}

void AsksView::Apply(const PutJobState& put) {
  AskedJob& job = jobs_[put.job];
  job.state = put.state;
  job.paused = put.paused;
  job.ending = put.ending;
}

void AsksView::Apply(const PutJobOptions& put) {
  AskedJob& job = jobs_[put.job];
  job.options.priority = put.priority;
  job.options.max_in_flight = put.max_in_flight;
  const bool none = job.most_in_flight == 0 || put.max_in_flight == 0;
  job.most_in_flight = none ? 0 : std::max(job.most_in_flight, put.max_in_flight);
}

void AsksView::Apply(const PutInputs& put) {
  jobs_[put.job].chunks.push_back(
      {put.run, put.birth, put.bytes, put.positions, put.task_keys, put.source});
}

void AsksView::Apply(const PutQueue& put) {
  const auto [it, fresh] = queues_.try_emplace(put.settings.name);
  AskedQueue& queue = it->second;
  const uint32_t limit = put.settings.max_in_flight;
  if (fresh) {
    const bool used = std::any_of(jobs_.begin(), jobs_.end(), [&put](const auto& job) {
      return job.second.queue() == put.settings.name;
    });
    queue.most_in_flight = used ? 0 : limit;
  } else {
    const bool none = queue.most_in_flight == 0 || limit == 0;
    queue.most_in_flight = none ? 0 : std::max(queue.most_in_flight, limit);
  }
  queue.settings = put.settings;
}

const AskedJob* AsksView::Find(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? nullptr : &it->second;
}

const AskedQueue* AsksView::FindQueue(const std::string& name) const {
  const auto it = queues_.find(name);
  return it == queues_.end() ? nullptr : &it->second;
}

absl::Time AsksView::Steady() const {
  return WallAt(world_->now) + absl::Microseconds(born_offset_);
}

}  // namespace reeve::sim
