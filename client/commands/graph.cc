#include "client/commands/graph.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/strings.h"
#include "client/commands/wait.h"
#include "client/exit_code.h"
#include "client/input/job_rules.h"

namespace reeve {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    return text.str();
  }
  std::ifstream file(path);
  if (!file) return UsageError(StrCat("cannot read ", path, ": ", strerror(errno)));
  text << file.rdbuf();
  if (file.bad() || text.fail()) return UsageError(StrCat("cannot read ", path));
  return text.str();
}

absl::Status AddDependencies(const Graph& graph, const GraphJob& job,
                             const std::map<std::string, uint32_t>& positions, v1::JobSpec* spec) {
  for (const GraphDependency& each : job.after) {
    v1::Dependency* const dependency = spec->add_after();
    dependency->set_condition(each.condition);
    dependency->set_results(each.results);
    dependency->set_name(each.folder);
    if (each.job.empty()) {
      dependency->set_job_id(each.job_id);
      continue;
    }
    dependency->set_position(positions.at(each.job));
    if (!each.results || !each.folder.empty()) continue;
    // The id, which is the default, is not known yet.
    if (!CheckFolderName("", each.job).ok()) {
      return GraphError(graph, each.line,
                        StrCat("the results of '", each.job,
                               "' need a name for their folder: as: NAME, 1 to 64 of A-Z a-z 0-9 "
                               "_ -"));
    }
    dependency->set_name(each.job);
  }
  return absl::OkStatus();
}

std::string TaskWord(const v1::CreateJobRequest& request) {
  const uint32_t count =
      request.has_array() ? request.array().count() : request.batch().task_count();
  return StrCat(count, count == 1 ? " task" : " tasks", request.open() ? ", open" : "");
}

// Names, numbers of tasks, and what each waits for, in the order they are created.
std::string Describe(const v1::CreateJobsRequest& request) {
  std::string text;
  for (const v1::CreateJobRequest& job : request.jobs()) {
    StrAppend(&text, job.spec().name(), ": ", TaskWord(job));
    const char* separator = ", after ";
    for (const v1::Dependency& after : job.spec().after()) {
      const std::string name =
          after.position() > 0 ? request.jobs(static_cast<int>(after.position()) - 1).spec().name()
                               : StrCat(after.job_id());
      StrAppend(&text, separator, name);
      separator = ", ";
    }
    text += "\n";
  }
  return text;
}

}  // namespace

absl::StatusOr<v1::CreateJobsRequest> BuildGraph(Session& session, const Graph& graph,
                                                 const std::vector<size_t>& order) {
  v1::CreateJobsRequest request;
  std::map<std::string, uint32_t> positions;
  for (const size_t place : order) {
    const GraphJob& job = graph.jobs[place];
    const std::string& name = job.options.job.name;
    absl::StatusOr<v1::CreateJobRequest> built = BuildWholeJob(session, job.options);
    if (!built.ok()) {
      return GraphError(graph, job.line,
                        StrCat("job '", name, "': ", ToStd(built.status().message())));
    }
    const absl::Status status = AddDependencies(graph, job, positions, built->mutable_spec());
    if (!status.ok()) return status;
    *request.add_jobs() = *std::move(built);
    positions[name] = static_cast<uint32_t>(request.jobs_size());
  }
  if (request.ByteSizeLong() > kMaxPayloadBytes)
    return GraphError(graph, 1, "the jobs and their inputs are over 3 MiB in all");
  return request;
}

absl::StatusOr<int> RunSubmitGraph(Session& session, const GraphOptions& options) {
  const absl::StatusOr<std::string> text = ReadFile(options.file);
  if (!text.ok()) return text.status();
  const auto graph = ParseGraph(*text, options.file == "-" ? "standard input" : options.file);
  if (!graph.ok()) return graph.status();
  const auto order = OrderOf(*graph);
  if (!order.ok()) return order.status();
  absl::StatusOr<v1::CreateJobsRequest> request = BuildGraph(session, *graph, *order);
  if (!request.ok()) return request.status();
  if (options.dry_run) {
    session.Print(*request, Describe(*request));
    return kExitOk;
  }
  request->set_request_id(options.request_id);
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto created = (*client)->CreateJobs(*std::move(request));
  if (!created.ok()) return created.status();
  if (created->jobs_size() != static_cast<int>(order->size()))
    return absl::InternalError("the master answered with another number of jobs");

  // As in the file.
  v1::CreateJobsResponse jobs;
  for (size_t i = 0; i < order->size(); ++i) jobs.add_jobs();
  for (size_t i = 0; i < order->size(); ++i)
    *jobs.mutable_jobs(static_cast<int>((*order)[i])) = created->jobs(static_cast<int>(i));
  std::string lines;
  WaitOptions wait;
  wait.timeout = options.timeout;
  for (const v1::Job& job : jobs.jobs()) {
    wait.jobs.push_back(StrCat(job.job_id()));
    StrAppend(&lines, job.job_id(),
              session.console().is_quiet() ? "" : StrCat(" ", job.spec().name()), "\n");
  }
  // With --wait and --json, the documents are the jobs as they ended.
  if (!options.wait || !session.console().is_json()) session.Print(jobs, lines);
  if (options.wait) return RunWait(session, wait);
  session.console().Note(StrCat("submitted; next: ", session.Command(), " wait ", wait.jobs.front(),
                                "-", wait.jobs.back(), ", or ", session.Command(), " ps"));
  return kExitOk;
}

}  // namespace reeve
