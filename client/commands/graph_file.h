// Several jobs that wait for one another, as a file says: YAML, of which JSON is a part.
// docs/jobs.md tells what may stand in one.
//
// Pure: nothing is asked of a master, and no other file is read. Thread: none.

#ifndef REEVE_CLIENT_COMMANDS_GRAPH_FILE_H_
#define REEVE_CLIENT_COMMANDS_GRAPH_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/map.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

struct GraphDependency {
  std::string job;      // Of the file; empty: `job_id`.
  uint64_t job_id = 0;  // One that is there already.
  v1::Dependency::Condition condition = v1::Dependency::ON_SUCCESS;
  bool results = false;
  std::string folder;  // For the results; empty: the default.
  int line = 0;
};

struct GraphJob {
  int line = 0;
  MapOptions options;  // `options.job.name` is its name, unique in the file.
  std::vector<GraphDependency> after;
};

struct Graph {
  std::string file;  // For messages.
  std::vector<GraphJob> jobs;
};

// Errors, of both: a usage error that begins with `FILE:LINE: `.
absl::StatusOr<Graph> ParseGraph(const std::string& text, const std::string& file);
// Places in `graph.jobs`, each behind those it waits for; otherwise as in the file. Errors: names
// that are none, and jobs that wait for one another in a circle.
absl::StatusOr<std::vector<size_t>> OrderOf(const Graph& graph);

// At a line of the file.
absl::Status GraphError(const Graph& graph, int line, std::string_view message);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_GRAPH_FILE_H_
