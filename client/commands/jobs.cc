#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "base/error.h"
#include "base/strings.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/output/json.h"
#include "client/output/table.h"

namespace reeve {
namespace {

constexpr uint32_t kScreenful = 20;
constexpr uint32_t kMaxPage = 1000;
constexpr size_t kCommandWidth = 48, kWholeCommand = 4000;

absl::Status AddStates(const std::vector<std::string>& names, v1::ListJobsRequest* request) {
  for (const std::string& name : names) {
    v1::Job::State state;
    if (!v1::Job::State_Parse(absl::AsciiStrToUpper(name), &state) ||
        state == v1::Job::STATE_UNSPECIFIED) {
      return UsageError(
          StrCat("--state '", name, "': open, active, cancelling, succeeded, failed or cancelled"));
    }
    request->add_states(state);
  }
  return absl::OkStatus();
}

// The command or the handler, on one line of `width` columns at most.
std::string What(const v1::JobSpec& spec, size_t width) {
  if (!spec.has_command() || spec.command().argv_size() == 0) return spec.handler();
  std::string line;
  for (const std::string& word : spec.command().argv())
    StrAppend(&line, line.empty() ? "" : " ", word);
  return Printable(line, width);
}

std::string Age(const v1::Job& job) {
  const absl::Time start = ToTime(job.create_time());
  const absl::Time end = job.has_end_time() ? ToTime(job.end_time()) : absl::Now();
  return HumanDuration(end - start);
}

std::string JobTable(const v1::ListJobsResponse& jobs) {
  Table table({"JOB", "STATE", "TASKS", "DONE", "FAILED", "TIME", "NAME", "WHAT"});
  for (const v1::Job& job : jobs.jobs()) {
    const v1::TaskCounts& counts = job.counts();
    const uint64_t done = counts.succeeded() + counts.failed() + counts.cancelled();
    table.Add({StrCat(job.job_id()), v1::Job::State_Name(job.state()), StrCat(counts.total()),
               StrCat(done), StrCat(counts.failed()), Age(job), Printable(job.spec().name(), 32),
               What(job.spec(), kCommandWidth)});
  }
  return table.ToString();
}

std::string DescribeJob(const v1::Job& job) {
  const v1::TaskCounts& counts = job.counts();
  std::string text = StrCat("job         ", job.job_id(), "\n");
  if (!job.spec().name().empty())
    StrAppend(&text, "name        ", Printable(job.spec().name(), 200), "\n");
  StrAppend(&text, "state       ", v1::Job::State_Name(job.state()), "\n");
  StrAppend(&text, "handler     ", job.spec().handler(), "\n");
  if (job.spec().has_command())
    StrAppend(&text, "command     ", What(job.spec(), kWholeCommand), "\n");
  StrAppend(&text, "durability  ", v1::JobSpec::Durability_Name(job.spec().durability()), "\n");
  StrAppend(&text, "attempts    ", job.spec().max_attempts(), " at most\n");
  StrAppend(&text, "created     ", Ago(job.create_time()), "\n");
  StrAppend(&text, "time        ", Age(job), job.has_end_time() ? "" : " so far", "\n");
  StrAppend(&text, "tasks       ", counts.total(), ": ", counts.succeeded(), " succeeded, ",
            counts.failed(), " failed, ", counts.cancelled(), " cancelled, ", counts.assigned(),
            " at workers, ", counts.ready(), " ready, ", counts.scheduled(), " waiting to retry\n");
  if (job.spec().accepts_new_inputs()) {
    StrAppend(&text, "new inputs  up to ", job.spec().max_tasks(),
              " tasks; dropped: ", counts.duplicate_inputs(), " duplicates, ",
              counts.dropped_inputs(), " beyond the limit\n");
  }
  const std::map<std::string, int64_t> counters(job.counters().begin(), job.counters().end());
  for (const auto& [name, value] : counters)
    StrAppend(&text, "counter     ", Printable(name, 64), " ", value, "\n");
  if (counts.retried() > 0) StrAppend(&text, "retried     ", counts.retried(), " attempts\n");
  return text;
}

// One document: the job itself, or a list if there are several.
void PrintJobs(Session& session, const v1::ListJobsResponse& jobs, std::string_view text) {
  if (jobs.jobs_size() == 1) return session.Print(jobs.jobs(0), text);
  session.Print(jobs, text);
}

}  // namespace

absl::StatusOr<int> RunPs(Session& session, const ListOptions& options) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  v1::ListJobsRequest request;
  if (const absl::Status status = AddStates(options.states, &request); !status.ok()) return status;
  const uint64_t wanted =
      options.all ? UINT64_MAX : (options.limit > 0 ? options.limit : kScreenful);
  v1::ListJobsResponse jobs;
  do {
    request.set_page_size(static_cast<uint32_t>(
        std::min<uint64_t>(kMaxPage, wanted - static_cast<uint64_t>(jobs.jobs_size()))));
    const auto page = (*client)->ListJobs(request);
    if (!page.ok()) return page.status();
    jobs.mutable_jobs()->MergeFrom(page->jobs());
    jobs.set_next_page_token(page->next_page_token());
    request.set_page_token(page->next_page_token());
  } while (!jobs.next_page_token().empty() && static_cast<uint64_t>(jobs.jobs_size()) < wanted);
  session.Print(jobs, JobTable(jobs));
  if (!jobs.next_page_token().empty()) {
    session.console().Note(
        StrCat("the newest ", jobs.jobs_size(), " are shown; --all shows the rest"));
  }
  return kExitOk;
}

absl::StatusOr<int> RunJobGet(Session& session, const std::vector<std::string>& selectors) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto ids = session.SelectJobs(selectors, AllJobs::kEvery);
  if (!ids.ok()) return ids.status();
  v1::ListJobsResponse jobs;
  std::string text;
  for (const uint64_t id : *ids) {
    auto job = (*client)->GetJob(id);
    if (!job.ok()) return job.status();
    StrAppend(&text, text.empty() ? "" : "\n", DescribeJob(*job));
    *jobs.add_jobs() = *std::move(job);
  }
  PrintJobs(session, jobs, text);
  return kExitOk;
}

absl::StatusOr<int> RunCancel(Session& session, const std::vector<std::string>& selectors) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto ids = session.SelectJobs(selectors, AllJobs::kActive);
  if (!ids.ok()) return ids.status();
  absl::Status first_error;
  v1::ListJobsResponse jobs;
  std::string text;
  for (const uint64_t id : *ids) {
    auto job = (*client)->CancelJob(id);
    if (job.ok()) {
      StrAppend(&text, "job ", id, ": ", v1::Job::State_Name(job->state()), "\n");
      *jobs.add_jobs() = *std::move(job);
      continue;
    }
    // The others are cancelled all the same.
    if (ids->size() > 1) session.console().Fail(job.status());
    if (first_error.ok()) first_error = job.status();
  }
  if (jobs.jobs_size() > 0) PrintJobs(session, jobs, text);
  if (first_error.ok()) return kExitOk;
  if (ids->size() > 1) return ExitCodeOf(first_error);
  return first_error;
}

}  // namespace reeve
