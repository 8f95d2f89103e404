#include "worker/lanes/lane.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace reeve {

std::string_view InputOf(const LaneSpan& span, TaskIndex index, char (&digits)[24]) {
  const JobContext& job = *span.job;
  if (!job.is_array) return span.inputs.At(index - span.inputs_first);
  if (job.has_shared_input) return job.shared_input;
  const int64_t value = job.array_start + static_cast<int64_t>(index) * job.array_step;
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  return {digits, static_cast<size_t>(end - digits)};
}

std::optional<std::string_view> FindResult(const JobContext& job, std::string_view name,
                                           TaskIndex index) {
  for (const PredecessorResults& predecessor : job.predecessors) {
    if (predecessor.name != name) continue;
    const auto it = predecessor.results.find(index);
    if (it != predecessor.results.end()) return it->second;
  }
  return std::nullopt;
}

absl::Status CheckDetails(std::string_view details) {
  if (details.size() <= kMaxDetailsBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("details have at most ", kMaxDetailsBytes, " bytes, these have ", details.size()));
}

std::vector<RunningAttempt> Longest(std::vector<RunningAttempt> running, size_t limit) {
  const size_t count = std::min(limit, running.size());
  std::partial_sort(
      running.begin(), running.begin() + static_cast<ptrdiff_t>(count), running.end(),
      [](const RunningAttempt& a, const RunningAttempt& b) { return a.running > b.running; });
  running.resize(count);
  return running;
}

}  // namespace reeve
