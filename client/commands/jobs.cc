#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "base/json_text.h"
#include "base/strings.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/input/job_rules.h"
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
      return UsageError(StrCat("--state '", name,
                               "': open, active, paused, cancelling, succeeded, failed, "
                               "cancelled or expired"));
    }
    request->add_states(state);
  }
  return absl::OkStatus();
}

absl::Status AddFilters(const ListOptions& options, v1::ListJobsRequest* request) {
  for (const std::string& term : options.labels) {
    if (const absl::Status s = CheckLabelTerm("--label", term); !s.ok()) return s;
    request->add_label_selector(term);
  }
  if (!options.queue.empty()) {
    if (const absl::Status s = CheckName("--queue", options.queue); !s.ok()) return s;
    request->set_queue(options.queue);
  }
  if (!IsUtf8(options.name)) return UsageError("--name: not UTF-8");
  request->set_name(options.name);
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

// In lower case; "" where its tasks alone decide.
std::string Cause(const v1::Job& job) {
  if (job.cause() == v1::Job::CAUSE_UNSPECIFIED) return "";
  return absl::AsciiStrToLower(v1::Job::Cause_Name(job.cause()));
}

std::string JobTable(const v1::ListJobsResponse& jobs) {
  Table table({"JOB", "STATE", "QUEUE", "PRIORITY", "TASKS", "DONE", "FAILED", "TIME", "NAME",
               "CAUSE", "PROGRESS", "WHAT"});
  for (const v1::Job& job : jobs.jobs()) {
    const v1::TaskCounts& counts = job.counts();
    const uint64_t done =
        counts.succeeded() + counts.failed() + counts.cancelled() + counts.expired();
    table.Add(
        {StrCat(job.job_id()), v1::Job::State_Name(job.state()), Printable(job.spec().queue(), 64),
         StrCat(job.spec().priority()), StrCat(counts.total()), StrCat(done),
         StrCat(counts.failed()), Age(job), Printable(job.spec().name(), 32), Cause(job),
         job.has_progress() ? ProgressText(job.progress()) : "", What(job.spec(), kCommandWidth)});
  }
  return table.ToString();
}

std::string_view ConditionText(v1::Dependency::Condition condition) {
  if (condition == v1::Dependency::ON_FAILURE) return "its failure";
  return condition == v1::Dependency::ON_END ? "its end" : "its success";
}

// What it asked for, a line each.
void AppendRules(const v1::JobSpec& spec, std::string* text) {
  for (const v1::Dependency& after : spec.after()) {
    StrAppend(text, "after       job ", after.job_id(), ", ", ConditionText(after.condition()),
              after.results() ? ", with its results" : "", "\n");
  }
  if (spec.has_start_time()) StrAppend(text, "starts      ", LocalTime(spec.start_time()), "\n");
  if (spec.has_expire_time()) StrAppend(text, "expires     ", LocalTime(spec.expire_time()), "\n");
  if (spec.max_in_flight() > 0) StrAppend(text, "in flight   ", spec.max_in_flight(), " at most\n");
  const std::map<std::string, std::string> labels(spec.labels().begin(), spec.labels().end());
  for (const auto& [name, value] : labels)
    StrAppend(text, "label       ", name, "=", Printable(value, 63), "\n");
  const std::map<std::string, double> resources(spec.resources().begin(), spec.resources().end());
  for (const auto& [name, amount] : resources)
    StrAppend(text, "resource    ", name, " ", amount, "\n");
  for (const std::string& term : spec.worker_selector())
    StrAppend(text, "on          ", Printable(term, 200), "\n");
  if (!spec.unique_key().empty())
    StrAppend(text, "unique      ", Printable(spec.unique_key(), 200), "\n");
  if (spec.retry_of() > 0) StrAppend(text, "retry of    job ", spec.retry_of(), "\n");
  if (!spec.schedule().empty())
    StrAppend(text, "schedule    ", Printable(spec.schedule(), 64), "\n");
}

std::string DescribeJob(const v1::Job& job) {
  const v1::TaskCounts& counts = job.counts();
  std::string text = StrCat("job         ", job.job_id(), "\n");
  if (!job.spec().name().empty())
    StrAppend(&text, "name        ", Printable(job.spec().name(), 200), "\n");
  StrAppend(&text, "state       ", v1::Job::State_Name(job.state()),
            job.paused() && job.state() != v1::Job::PAUSED ? ", paused" : "", "\n");
  if (job.cause() != v1::Job::CAUSE_UNSPECIFIED) StrAppend(&text, "cause       ", Cause(job), "\n");
  StrAppend(&text, "handler     ", job.spec().handler(), "\n");
  if (job.spec().has_command())
    StrAppend(&text, "command     ", What(job.spec(), kWholeCommand), "\n");
  StrAppend(&text, "durability  ", v1::JobSpec::Durability_Name(job.spec().durability()), "\n");
  StrAppend(&text, "queue       ", Printable(job.spec().queue(), 64), ", priority ",
            job.spec().priority(), "\n");
  AppendRules(job.spec(), &text);
  StrAppend(&text, "attempts    ", job.spec().max_attempts(), " at most\n");
  StrAppend(&text, "created     ", Ago(job.create_time()), "\n");
  StrAppend(&text, "time        ", Age(job), job.has_end_time() ? "" : " so far", "\n");
  StrAppend(&text, "tasks       ", counts.total(), ": ", counts.succeeded(), " succeeded, ",
            counts.failed(), " failed, ", counts.cancelled(), " cancelled, ", counts.assigned(),
            " at workers, ", counts.ready(), " ready, ", counts.scheduled(),
            " waiting for their time",
            counts.blocked() > 0 ? StrCat(", ", counts.blocked(), " waiting for other jobs") : "",
            counts.expired() > 0 ? StrCat(", ", counts.expired(), " expired") : "", "\n");
  if (job.has_progress()) {
    StrAppend(&text, "progress    task ", job.progress_index(), ": ", ProgressText(job.progress()),
              "\n");
  }
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

}  // namespace

void PrintJobs(Session& session, const v1::ListJobsResponse& jobs, std::string_view text) {
  if (jobs.jobs_size() == 1) return session.Print(jobs.jobs(0), text);
  session.Print(jobs, text);
}

absl::StatusOr<int> RunPs(Session& session, const ListOptions& options) {
  v1::ListJobsRequest request;
  if (const absl::Status status = AddStates(options.states, &request); !status.ok()) return status;
  if (const absl::Status status = AddFilters(options, &request); !status.ok()) return status;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
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

}  // namespace reeve
