#include "client/commands/control.h"

#include <functional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/strings.h"
#include "client/commands/inspect.h"
#include "client/commands/wait.h"
#include "client/exit_code.h"
#include "client/input/job_rules.h"
#include "client/input/selector.h"
#include "client/output/json.h"

namespace reeve {
namespace {

constexpr size_t kMaxRetriedIndexes = 10'000;

// Goes through the jobs, whatever becomes of one.
//
// Returns: those that `act` answered. `first_error`: the first one it gave; of several jobs, all
// are printed here.
v1::ListJobsResponse ForEach(Session& session, const std::vector<uint64_t>& ids,
                             const std::function<absl::StatusOr<v1::Job>(uint64_t)>& act,
                             absl::Status* first_error) {
  v1::ListJobsResponse jobs;
  for (const uint64_t id : ids) {
    absl::StatusOr<v1::Job> job = act(id);
    if (job.ok()) {
      *jobs.add_jobs() = *std::move(job);
      continue;
    }
    if (ids.size() > 1) session.console().Fail(job.status());
    if (first_error->ok()) *first_error = job.status();
  }
  return jobs;
}

absl::StatusOr<int> ExitOf(const std::vector<uint64_t>& ids, const absl::Status& first_error) {
  if (first_error.ok()) return kExitOk;
  if (ids.size() > 1) return ExitCodeOf(first_error);
  return first_error;
}

using Change = std::function<absl::StatusOr<v1::Job>(JobClient*, uint64_t)>;

absl::StatusOr<int> ChangeJobs(Session& session, const std::vector<std::string>& selectors,
                               AllJobs all, const Change& change) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto ids = session.SelectJobs(selectors, all);
  if (!ids.ok()) return ids.status();
  absl::Status first_error;
  const v1::ListJobsResponse jobs = ForEach(
      session, *ids, [&](uint64_t id) { return change(*client, id); }, &first_error);
  std::string text;
  for (const v1::Job& job : jobs.jobs()) {
    StrAppend(&text, "job ", job.job_id(), ": ", v1::Job::State_Name(job.state()),
              job.paused() && job.state() != v1::Job::PAUSED ? ", paused" : "", "\n");
  }
  if (jobs.jobs_size() > 0) PrintJobs(session, jobs, text);
  return ExitOf(*ids, first_error);
}

absl::StatusOr<v1::RetryJobRequest> ParseRetry(const RetryOptions& options) {
  v1::RetryJobRequest request;
  request.set_succeeded_too(options.all);
  if (options.failed) request.add_states(v1::Task::FAILED);
  for (const std::string& name : options.states) {
    v1::Task::State state;
    if (!v1::Task::State_Parse(absl::AsciiStrToUpper(name), &state) ||
        state < v1::Task::SUCCEEDED || state == v1::Task::BLOCKED) {
      return UsageError(StrCat("--state '", name, "': failed, cancelled, expired, or, with --all, ",
                               "succeeded"));
    }
    request.add_states(state);
  }
  for (const std::string& name : options.reasons) {
    const auto reason = ParseReason("--reason", name);
    if (!reason.ok()) return reason.status();
    request.add_reasons(*reason);
  }
  for (const std::string& codes : options.exit_codes) {
    for (const absl::string_view text : absl::StrSplit(ToAbsl(codes), ',')) {
      const auto code = ParseExitCode("--exit-code", ToStd(text));
      if (!code.ok()) return code.status();
      request.add_exit_codes(*code);
    }
  }
  if (options.tasks.empty()) return request;
  const auto indexes = ParseNumbers(options.tasks, kMaxRetriedIndexes);
  if (!indexes.ok()) return UsageError(StrCat("--task: ", indexes.status().message()));
  for (const uint64_t index : *indexes) {
    if (index >= kMaxTasksPerJob) return UsageError(StrCat("--task: there is no task ", index));
    request.add_indexes(static_cast<uint32_t>(index));
  }
  return request;
}

}  // namespace

absl::StatusOr<int> RunCancel(Session& session, const std::vector<std::string>& jobs) {
  return ChangeJobs(session, jobs, AllJobs::kActive,
                    [](JobClient* client, uint64_t id) { return client->CancelJob(id); });
}

absl::StatusOr<int> RunPause(Session& session, const std::vector<std::string>& jobs) {
  return ChangeJobs(session, jobs, AllJobs::kActive,
                    [](JobClient* client, uint64_t id) { return client->PauseJob(id); });
}

absl::StatusOr<int> RunResume(Session& session, const std::vector<std::string>& jobs) {
  return ChangeJobs(session, jobs, AllJobs::kActive,
                    [](JobClient* client, uint64_t id) { return client->ResumeJob(id); });
}

absl::StatusOr<int> RunClose(Session& session, const std::vector<std::string>& jobs) {
  return ChangeJobs(session, jobs, AllJobs::kActive,
                    [](JobClient* client, uint64_t id) { return client->CloseJob(id); });
}

absl::StatusOr<int> RunUpdate(Session& session, const UpdateOptions& options) {
  if (!options.priority.has_value() && !options.max_in_flight.has_value())
    return UsageError("nothing to change; give --priority or --max-in-flight");
  v1::UpdateJobRequest request;
  if (options.priority.has_value()) request.set_priority(static_cast<int32_t>(*options.priority));
  if (options.max_in_flight.has_value()) request.set_max_in_flight(*options.max_in_flight);
  return ChangeJobs(session, options.jobs, AllJobs::kActive, [&](JobClient* client, uint64_t id) {
    request.set_job_id(id);
    return client->UpdateJob(request);
  });
}

absl::StatusOr<int> RunDelete(Session& session, const std::vector<std::string>& jobs) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto ids = session.SelectJobs(jobs, AllJobs::kEnded);
  if (!ids.ok()) return ids.status();
  absl::Status first_error;
  const v1::ListJobsResponse deleted = ForEach(
      session, *ids,
      [&](uint64_t id) -> absl::StatusOr<v1::Job> {
        if (const absl::Status status = (*client)->DeleteJob(id); !status.ok()) return status;
        v1::Job job;
        job.set_job_id(id);
        return job;
      },
      &first_error);
  std::string text;
  JsonWriter json;
  json.BeginObject().Key("deleted_job_ids").BeginArray();
  for (const v1::Job& job : deleted.jobs()) {
    StrAppend(&text, "job ", job.job_id(), ": deleted\n");
    json.String(StrCat(job.job_id()));
  }
  json.EndArray().EndObject();
  if (deleted.jobs_size() > 0)
    session.console().Out(session.console().is_json() ? json.text() + "\n" : text);
  return ExitOf(*ids, first_error);
}

absl::StatusOr<int> RunRetry(Session& session, const RetryOptions& options) {
  absl::StatusOr<v1::RetryJobRequest> request = ParseRetry(options);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto ids = session.SelectJobs(options.jobs, AllJobs::kEnded);
  if (!ids.ok()) return ids.status();
  absl::Status first_error;
  const v1::ListJobsResponse jobs = ForEach(
      session, *ids,
      [&](uint64_t id) {
        request->set_job_id(id);
        return (*client)->RetryJob(*request);
      },
      &first_error);
  std::string text;
  WaitOptions wait;
  wait.timeout = options.timeout;
  for (const v1::Job& job : jobs.jobs()) {
    StrAppend(&text, job.job_id(), "\n");
    wait.jobs.push_back(StrCat(job.job_id()));
  }
  // With --wait and --json, the documents are the jobs as they ended.
  const bool prints = !options.wait || !session.console().is_json();
  if (prints && jobs.jobs_size() > 0) PrintJobs(session, jobs, text);
  const absl::StatusOr<int> code = ExitOf(*ids, first_error);
  if (!options.wait || wait.jobs.empty()) return code;
  const absl::StatusOr<int> waited = RunWait(session, wait);
  if (!code.ok() || !waited.ok()) return code.ok() ? waited : code;
  return WorseExitCode(*code, *waited);
}

}  // namespace reeve
