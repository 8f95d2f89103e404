#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/control.h"
#include "client/commands/feeder.h"
#include "client/commands/plan.h"
#include "client/exit_code.h"
#include "client/interrupt.h"

namespace reeve {

absl::StatusOr<int> RunAppend(Session& session, const AppendOptions& options) {
  if (const absl::Status status = CheckSources(options.inputs); !status.ok()) return status;
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto id = session.SelectJob(options.job);
  if (!id.ok()) return id.status();
  absl::StatusOr<v1::Job> job = (*client)->GetJob(*id);
  if (!job.ok()) return job.status();
  Plan plan;
  if (const absl::Status s = OpenSource(options.inputs, canceller.fd(), &plan); !s.ok()) return s;

  Batcher batcher(std::move(plan.source), nullptr);
  const Feeder::Bound none{UINT64_MAX, UINT64_MAX};
  Feeder feeder(
      *client, &canceller, &batcher, *id, none, [](uint64_t) {},
      options.close ? Feeder::AtEnd::kClose : Feeder::AtEnd::kLeaveOpen);
  feeder.Start(v1::AppendTasksRequest());
  const absl::Status status = feeder.Join();
  if (canceller.is_cancelled()) {
    session.console().Note(
        StrCat("interrupted; job ", *id, " has the ", feeder.sent_count(), " inputs read before"));
    return kExitInterrupted;
  }
  if (!status.ok() && feeder.sent_count() > 0) {
    return MakeError(
        status.code(), ErrorReason(status),
        StrCat(status.message(), "; ", feeder.sent_count(), " inputs were sent before that"));
  }
  if (!status.ok()) return status;
  job = (*client)->GetJob(*id);
  if (!job.ok()) return job.status();
  session.Print(*job, "");
  session.console().Note(StrCat("job ", *id, ": ", feeder.sent_count(), " inputs appended, ",
                                job->counts().total(), " tasks in all",
                                options.close ? "; closed" : ""));
  return kExitOk;
}

}  // namespace reeve
