#include "client/commands/wait.h"

#include <atomic>
#include <optional>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/follow.h"
#include "client/commands/inspect.h"
#include "client/exit_code.h"
#include "client/input/duration.h"
#include "client/interrupt.h"
#include "client/output/json.h"
#include "client/output/progress.h"

namespace reeve {
namespace {

// A job as it is now, on one line.
std::string Line(const v1::Job& job) {
  const v1::TaskCounts& counts = job.counts();
  std::string line = StrCat(
      "job ", job.job_id(), ": ", v1::Job::State_Name(job.state()), ", ",
      counts.succeeded() + counts.failed() + counts.cancelled() + counts.expired(), " of ",
      counts.total(), " done, ", counts.failed(), " failed, ", counts.assigned(), " at workers");
  if (job.has_progress())
    StrAppend(&line, "; task ", job.progress_index(), ": ", ProgressText(job.progress()));
  return line;
}

absl::StatusOr<v1::Job> WatchOne(Session& session, JobClient* client, Canceller& canceller,
                                 uint64_t job_id) {
  std::string last;
  return client->WatchJob(job_id, canceller, [&](const v1::Job& job) {
    std::string line = session.console().is_json() ? ToJson(job, false) : Line(job);
    if (line == last) return;
    session.console().Out(line + "\n");
    last = std::move(line);
  });
}

absl::StatusOr<v1::Job> WaitForOne(Session& session, JobClient* client, Canceller& canceller,
                                   uint64_t job_id) {
  std::atomic<uint64_t> running{0};
  Progress progress(&session.console(), [&] { return std::optional<uint64_t>(running.load()); });
  return client->WatchJob(job_id, canceller, [&](const v1::Job& job) {
    const v1::TaskCounts& counts = job.counts();
    progress.done = counts.succeeded() + counts.failed() + counts.cancelled() + counts.expired();
    progress.failed = counts.failed();
    progress.total = counts.total();
    progress.total_is_final = job.state() != v1::Job::OPEN;
    running = counts.assigned();
  });
}

void PrintEnded(Console& console, const v1::Job& job) {
  if (console.is_json()) {
    console.Out(ToJson(job, false) + "\n");
  } else if (!console.is_quiet()) {
    console.Note(StrCat("job ", job.job_id(), ": ", v1::Job::State_Name(job.state()), ", ",
                        job.counts().succeeded(), " of ", job.counts().total(), " succeeded"));
  }
}

}  // namespace

absl::StatusOr<int> RunWait(Session& session, const WaitOptions& options) {
  std::optional<absl::Duration> timeout;
  if (!options.timeout.empty()) {
    const auto parsed = ParseDurationOption("--timeout", options.timeout);
    if (!parsed.ok()) return parsed.status();
    timeout = *parsed;
  }
  Canceller canceller;
  std::atomic<bool> timed_out{false};
  const Interrupt interrupt([&] { canceller.Cancel(); }, timeout,
                            [&] {
                              timed_out = true;
                              canceller.Cancel();
                            });
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto ids = session.SelectJobs(options.jobs, AllJobs::kActive);
  if (!ids.ok()) return ids.status();
  int code = kExitOk;
  for (const uint64_t id : *ids) {
    const absl::StatusOr<v1::Job> job = options.each ? WatchOne(session, *client, canceller, id)
                                                     : WaitForOne(session, *client, canceller, id);
    if (!job.ok() && canceller.is_cancelled()) {
      ReportDetached(&session, id, StrCat("wait ", id));
      return timed_out ? kExitTimeout : kExitInterrupted;
    }
    if (!job.ok()) return job.status();
    if (!options.each) PrintEnded(session.console(), *job);
    code = WorseExitCode(code, ReportEnd(&session, *job, 0));
  }
  return code;
}

}  // namespace reeve
