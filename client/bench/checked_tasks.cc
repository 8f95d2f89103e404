#include "client/bench/checked_tasks.h"

#include <algorithm>
#include <utility>

#include "client/result_stream.h"

namespace reeve {

absl::StatusOr<uint64_t> RunChecked(
    BenchCluster* bench, v1::JobSpec spec, const std::vector<std::string>& inputs,
    const std::function<bool(const ResultEntry& entry, uint64_t index)>& is_right) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = std::move(spec);
  auto& batch = *request.mutable_batch();
  batch.set_task_count(static_cast<uint32_t>(inputs.size()));
  for (const std::string& input : inputs) {
    batch.add_input_bytes(static_cast<uint32_t>(input.size()));
    batch.mutable_inputs()->append(input);
  }
  const auto job = bench->client().CreateJob(std::move(request));
  if (!job.ok()) return job.status();
  v1::StreamResultsRequest wanted;
  wanted.set_job_id(job->job_id());
  wanted.set_follow(true);
  ResultStream stream(&bench->client(), &bench->canceller(), wanted);
  std::vector<bool> right(inputs.size(), false);
  for (;;) {
    const auto results = stream.Next();
    if (!results.ok()) return results.status();
    if (*results == nullptr) break;
    (*results)->ForEach((*results)->head_runs(), [&](const ResultEntry& entry) {
      if (entry.index < right.size() && is_right(entry, entry.index)) right[entry.index] = true;
    });
  }
  return static_cast<uint64_t>(std::count(right.begin(), right.end(), true));
}

}  // namespace reeve
