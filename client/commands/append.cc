#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/control.h"
#include "client/commands/feeder.h"
#include "client/commands/plan.h"
#include "client/exit_code.h"
#include "client/interrupt.h"
#include "client/output/json.h"

namespace reeve {
namespace {

constexpr size_t kMaxAppenderBytes = 64;

absl::Status CheckOptions(const AppendOptions& options) {
  if (const absl::Status status = CheckSources(options.inputs); !status.ok()) return status;
  if (!options.appender.has_value()) return absl::OkStatus();
  const std::string& name = *options.appender;
  if (name.empty() || name.size() > kMaxAppenderBytes ||
      !std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }))
    return UsageError("--appender: 1 to 64 printable ASCII characters");
  // Where a block of a slow stream ends is chance, and the next time another one.
  if (options.inputs.block_bytes > 0)
    return UsageError("--appender does not go with --block: the blocks may be others next time");
  return absl::OkStatus();
}

struct Appended {
  uint64_t sent = 0;
  std::optional<uint64_t> skipped;  // With --appender: what it had appended before.
};

// An error with what to know about the inputs; with --appender that it may be tried again.
absl::Status Because(const absl::Status& status, const Appended& appended) {
  std::string text(ToStd(status.message()));
  if (appended.sent > 0) StrAppend(&text, "; ", appended.sent, " inputs were sent before that");
  if (appended.skipped.has_value() && !absl::IsFailedPrecondition(status) &&
      !absl::IsInvalidArgument(status)) {
    StrAppend(&text, "; the same command goes on where it stopped");
  }
  if (text == status.message()) return status;
  return MakeError(status.code(), ErrorReason(status), text);
}

// All inputs are tasks by now. A job that has ended was closed: by this very command, perhaps, when
// nobody read the answer any more.
absl::StatusOr<v1::Job> Settle(JobClient* client, uint64_t id, const AppendOptions& options) {
  absl::StatusOr<v1::Job> job = client->GetJob(id);
  // Without a name the feeder has closed it.
  if (!job.ok() || HasEnded(*job) || !options.close || !options.appender.has_value()) return job;
  const absl::StatusOr<v1::Job> closed = client->CloseJob(id);
  if (closed.ok()) return closed;
  job = client->GetJob(id);
  return job.ok() && HasEnded(*job) ? job : closed;
}

void Tell(Session& session, const v1::Job& job, const Appended& appended, bool closed) {
  JsonWriter json;
  json.BeginObject().Key("job").Document(ToJson(job, false));
  json.Key("appended_count").Number(appended.sent);
  json.Key("skipped_count").Number(appended.skipped.value_or(0)).EndObject();
  if (session.console().is_json()) session.console().Out(json.text() + "\n");
  std::string text = StrCat("job ", job.job_id(), ": ", appended.sent, " inputs appended, ");
  if (appended.skipped.has_value())
    StrAppend(&text, *appended.skipped, " skipped that were appended before, ");
  StrAppend(&text, job.counts().total(), " tasks in all", closed ? "; closed" : "");
  session.console().Note(text);
}

}  // namespace

absl::StatusOr<int> RunAppend(Session& session, const AppendOptions& options) {
  if (const absl::Status status = CheckOptions(options); !status.ok()) return status;
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto id = session.SelectJob(options.job);
  if (!id.ok()) return id.status();
  if (const auto job = (*client)->GetJob(*id); !job.ok()) return job.status();
  Plan plan;
  if (const absl::Status s = OpenSource(options.inputs, canceller.fd(), &plan); !s.ok()) return s;

  const bool is_named = options.appender.has_value();
  Batcher batcher(std::move(plan.source), nullptr);
  const Feeder::Bound none{UINT64_MAX, UINT64_MAX};
  // One that may be repeated closes behind the last input only: see Settle.
  const auto at_end =
      options.close && !is_named ? Feeder::AtEnd::kClose : Feeder::AtEnd::kLeaveOpen;
  Feeder feeder(
      *client, &canceller, &batcher, *id, none, [](uint64_t) {}, at_end,
      options.appender.value_or(""));
  Appended appended;
  absl::Status status;
  if (is_named) {
    const absl::StatusOr<uint64_t> before = feeder.Resume();
    status = before.status();
    if (before.ok()) appended.skipped = *before;
  }
  if (status.ok()) {
    feeder.Start(v1::AppendTasksRequest());
    status = feeder.Join();
  }
  appended.sent = feeder.sent_count();
  if (canceller.is_cancelled()) {
    session.console().Note(
        StrCat("interrupted; job ", *id, " has the ", appended.sent + appended.skipped.value_or(0),
               " inputs read before", is_named ? "; the same command goes on there" : ""));
    return kExitInterrupted;
  }
  if (!status.ok()) return Because(status, appended);
  const absl::StatusOr<v1::Job> job = Settle(*client, *id, options);
  if (!job.ok()) return job.status();
  Tell(session, *job, appended, options.close);
  return kExitOk;
}

}  // namespace reeve
