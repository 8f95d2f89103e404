// `reeve submit -f FILE`: several jobs in one step.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_GRAPH_H_
#define REEVE_CLIENT_COMMANDS_GRAPH_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/graph_file.h"
#include "client/commands/session.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

struct GraphOptions {
  std::string file;  // `-`: standard input.
  bool wait = false;
  bool dry_run = false;
  std::string timeout;
  std::string request_id;
};

// Prints ids and names in the order of the file. Returns: the exit code; with `wait`, as `wait`.
absl::StatusOr<int> RunSubmitGraph(Session& session, const GraphOptions& options);

// The jobs in `order` (see OrderOf). Errors: a usage error that begins with `FILE:LINE: `.
absl::StatusOr<v1::CreateJobsRequest> BuildGraph(Session& session, const Graph& graph,
                                                 const std::vector<size_t>& order);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_GRAPH_H_
