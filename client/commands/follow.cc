#include "client/commands/follow.h"

#include <utility>

#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

v1::StreamResultsRequest RequestOf(const v1::Job& job, const FollowOptions& options) {
  v1::StreamResultsRequest request;
  request.set_job_id(job.job_id());
  request.set_cursor(options.cursor);
  request.set_order(options.ordered ? v1::StreamResultsRequest::BY_INDEX
                                    : v1::StreamResultsRequest::AS_COMPLETED);
  request.set_follow(options.follow);
  for (const v1::Task::State state : options.only) request.add_states(state);
  return request;
}

bool HasOwnLines(const std::string& handler) {
  return handler == "exec" || handler == "jq" || handler == "crawl";
}

}  // namespace

ResultFollower::ResultFollower(Session* session, JobClient* client, Canceller* canceller,
                               Progress* progress, const v1::Job& job, FollowOptions options)
    : canceller_(canceller),
      progress_(progress),
      job_(job.job_id()),
      options_(std::move(options)),
      printer_(&session->console(), {.has_own_lines = HasOwnLines(job.spec().handler())}),
      stream_(client, canceller, RequestOf(job, options_)) {}

absl::StatusOr<FollowEnd> ResultFollower::Follow() {
  for (;;) {
    const auto batch = stream_.Next();
    if (!batch.ok()) {
      if (canceller_->is_cancelled()) return FollowEnd::kDetached;
      return batch.status();
    }
    if (*batch == nullptr) {
      return stream_.is_complete() ? FollowEnd::kEnded : FollowEnd::kCaughtUp;
    }
    if (options_.on_batch) {
      if (const absl::Status status = options_.on_batch(**batch); !status.ok()) return status;
    }
    if (!Print(**batch)) return FollowEnd::kReaderGone;
  }
}

bool ResultFollower::Print(const ResultBatch& batch) {
  batch.ForEach(batch.head_runs(),
                [&](const ResultEntry& entry) { printer_.Add(job_, entry, batch.worker()); });
  if (progress_ != nullptr) {
    progress_->done = printer_.count();
    progress_->failed = printer_.failed_count();
  }
  return printer_.Flush();
}

std::function<std::optional<uint64_t>()> RunningCount(JobClient* client, uint64_t job_id) {
  return [client, job_id]() -> std::optional<uint64_t> {
    const auto job = client->GetJob(job_id);
    if (!job.ok()) return std::nullopt;
    return job->counts().assigned();
  };
}

std::string DescribeEnd(const v1::Job& job) {
  if (job.state() == v1::Job::EXPIRED) return "ran out of time: its deadline passed";
  switch (job.cause()) {
    case v1::Job::DEPENDENCY: return "was cancelled: a job that it waited for ended otherwise";
    case v1::Job::SKIPPED: return "was skipped: a job that it waited for ended otherwise";
    case v1::Job::REPLACED: return "was cancelled: another job took its place";
    case v1::Job::ABANDONED: return "was cancelled: nobody read its results";
    default: return "was cancelled";
  }
}

int ReportEnd(Session* session, const v1::Job& job, uint64_t unnamed_failures) {
  Console* const console = &session->console();
  const uint64_t id = job.job_id();
  if (job.state() == v1::Job::CANCELLED || job.state() == v1::Job::EXPIRED) {
    console->Note(StrCat("job ", id, " ", DescribeEnd(job), "; ", job.counts().succeeded(), " of ",
                         job.counts().total(), " tasks had succeeded"));
  } else if (job.counts().failed() > 0) {
    const std::string more =
        unnamed_failures > 0 ? StrCat(" (", unnamed_failures, " not shown)") : std::string();
    console->Note(
        StrCat(job.counts().failed(), " of ", job.counts().total(), " tasks failed", more,
               job.cause() == v1::Job::STOP_RULE ? ", and its --halt rule stopped it" : "",
               "; see: ", session->Command(), " task list ", id, " --state failed"));
  }
  return ExitCodeOf(job);
}

void ReportDetached(Session* session, uint64_t job_id, std::string_view command) {
  session->console().Note(
      StrCat("job ", job_id, " goes on; come back with: ", session->Command(), " ", command));
}

}  // namespace reeve
