// Commands that look: `ps`, `job get`, `task list|get|why`, `worker list`, `cluster info`, `stats`.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_INSPECT_H_
#define REEVE_CLIENT_COMMANDS_INSPECT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct ListOptions {
  std::vector<std::string> states;  // Names of the API, in any case; empty: all.
  uint32_t limit = 0;               // 0: a screenful; everything with --all.
  bool all = false;
  // ---- Of jobs only ----
  std::vector<std::string> labels;  // Terms, as of a worker selector.
  std::string queue;
  std::string name;
};

absl::StatusOr<int> RunPs(Session& session, const ListOptions& options);
absl::StatusOr<int> RunJobGet(Session& session, const std::vector<std::string>& jobs);
// One document: the job itself, or a list if there are several; or the text.
void PrintJobs(Session& session, const v1::ListJobsResponse& jobs, std::string_view text);
absl::StatusOr<int> RunTaskList(Session& session, const std::string& job,
                                const ListOptions& options);
absl::StatusOr<int> RunTaskGet(Session& session, const std::string& task);
absl::StatusOr<int> RunTaskWhy(Session& session, const std::string& task);
// What a running task says of itself: `42.0 %, page 7`.
std::string ProgressText(const v1::TaskProgress& progress);
absl::StatusOr<int> RunWorkerList(Session& session);
// Every page of them.
absl::StatusOr<v1::ListWorkersResponse> ListAllWorkers(JobClient* client);
absl::StatusOr<int> RunClusterInfo(Session& session);

struct StatsOptions {
  bool reset = false;       // Begin anew; what was there is shown.
  bool prometheus = false;  // In the text format of Prometheus.
};
absl::StatusOr<int> RunStats(Session& session, const StatsOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_INSPECT_H_
