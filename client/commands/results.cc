#include "client/commands/results.h"

#include <atomic>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/follow.h"
#include "client/exit_code.h"
#include "client/input/duration.h"
#include "client/interrupt.h"

namespace reeve {
namespace {

absl::StatusOr<FollowOptions> MakeFollowOptions(const ResultsOptions& options) {
  FollowOptions follow;
  follow.ordered = options.ordered;
  follow.follow = options.follow;
  follow.cursor = options.cursor;
  if (options.only == "failed") {
    follow.only = {v1::Task::FAILED};
  } else if (options.only == "succeeded") {
    follow.only = {v1::Task::SUCCEEDED};
  } else if (!options.only.empty()) {
    return UsageError(StrCat("--only '", options.only, "': failed or succeeded"));
  }
  return follow;
}

// `results 42 --follow …` with what was asked, behind what was printed.
std::string ComeBack(const ResultsOptions& options, uint64_t job_id, uint64_t cursor) {
  std::string command = StrCat("results ", job_id, " --follow");
  if (options.ordered) command += " --ordered";
  if (!options.only.empty()) StrAppend(&command, " --only ", options.only);
  if (cursor != 0) StrAppend(&command, " --cursor ", cursor);
  return command;
}

}  // namespace

absl::StatusOr<int> RunResults(Session& session, const ResultsOptions& options) {
  absl::StatusOr<FollowOptions> follow = MakeFollowOptions(options);
  if (!follow.ok()) return follow.status();
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
  const auto id = session.SelectJob(options.job);
  if (!id.ok()) return id.status();
  const auto job = (*client)->GetJob(*id);
  if (!job.ok()) return job.status();

  ResultFollower follower(&session, *client, &canceller, nullptr, *job, *std::move(follow));
  const auto end = follower.Follow();
  if (!end.ok()) return end.status();
  const int failed_code = follower.printer().failed_count() > 0 ? kExitTaskFailed : kExitOk;
  switch (*end) {
    case FollowEnd::kEnded: {
      const auto ended = (*client)->GetJob(*id);
      if (!ended.ok()) return ended.status();
      return ReportEnd(&session, *ended, follower.printer().unnamed_failures());
    }
    case FollowEnd::kCaughtUp:
      if (!HasEnded(*job)) {
        ReportDetached(&session, *id, ComeBack(options, *id, follower.cursor()));
      }
      return failed_code;
    case FollowEnd::kReaderGone: return kExitReaderGone;
    case FollowEnd::kDetached: break;
  }
  ReportDetached(&session, *id, ComeBack(options, *id, follower.cursor()));
  return timed_out ? kExitTimeout : kExitInterrupted;
}

}  // namespace reeve
