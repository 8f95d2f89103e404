// How jobs and tasks are named, durations and addresses: what is accepted is bounded and reads
// back.

#include "client/input/selector.h"

#include <string>

#include "base/ids.h"
#include "client/clusters.h"
#include "client/input/duration.h"
#include "tests/fuzz/fuzz.h"

namespace reeve::fuzz {

void Fuzz(std::string_view input) {
  const auto jobs = ParseJobSelector(input);
  if (jobs.ok() && jobs->kind == JobSelector::Kind::kIds) {
    Require(!jobs->ids.empty() && jobs->ids.size() <= 100'000, "ids are bounded");
    if (jobs->ids.size() <= 100) {
      std::string again;
      for (const uint64_t id : jobs->ids) again += (again.empty() ? "" : ",") + std::to_string(id);
      const auto back = ParseJobSelector(again);
      Require(back.ok() && *back == *jobs, "ids written out read the same");
    }
  }
  if (const auto task = ParseTaskSelector(input); task.ok()) {
    Require(task->index < kMaxTasksPerJob, "an index lies within a job");
    Require(task->job.kind == JobSelector::Kind::kLast || task->job.ids.size() == 1,
            "a task has one job");
  }
  if (const auto duration = ParseDurationOption("--timeout", input); duration.ok()) {
    Require(*duration > absl::ZeroDuration() && *duration < absl::InfiniteDuration(),
            "a duration is positive and finite");
  }
  if (const auto address = ParseAddress(input); address.ok()) {
    Require(address->port != 0 && !address->host.empty(), "an address is whole");
    const auto back = ParseAddress(address->ToString());
    Require(back.ok() && back->host == address->host && back->port == address->port,
            "an address written out reads the same");
  }
}

}  // namespace reeve::fuzz
