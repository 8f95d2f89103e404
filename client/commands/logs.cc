#include <optional>

#include "base/ids.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/follow.h"
#include "client/commands/results.h"
#include "client/exit_code.h"
#include "client/input/selector.h"
#include "client/interrupt.h"
#include "client/output/log_printer.h"

namespace reeve {
namespace {

constexpr size_t kMaxSelectedTasks = 100'000;

absl::StatusOr<v1::StreamLogsRequest> MakeRequest(const LogsOptions& options, uint64_t job_id) {
  v1::StreamLogsRequest request;
  request.set_job_id(job_id);
  request.set_follow(options.follow);
  if (options.tasks.empty()) return request;
  const auto indexes = ParseNumbers(options.tasks, kMaxSelectedTasks);
  if (!indexes.ok()) return indexes.status();
  for (const uint64_t index : *indexes) {
    if (index >= kMaxTasksPerJob) return UsageError(StrCat("there is no task ", index));
    request.add_indexes(static_cast<uint32_t>(index));
  }
  return request;
}

// Reads the stream until its end, from the beginning again when it breaks: the printer drops what
// it has seen. Returns: OK at the end, CANCELLED.
absl::Status StreamLogs(JobClient* client, Canceller& canceller,
                        const v1::StreamLogsRequest& request, LogPrinter& printer) {
  RetryWindow window = client->NewRetryWindow();
  for (;;) {
    grpc::ClientContext context;
    client->Prepare(&context);
    const Canceller::Call call(&canceller, &context);
    const auto reader = client->jobs().StreamLogs(&context, request);
    v1::LogChunk chunk;
    while (reader->Read(&chunk)) {
      window.Succeeded();
      if (!printer.Add(chunk)) {
        context.TryCancel();
        return absl::CancelledError("standard output was closed");
      }
    }
    const absl::Status status = client->Note(reader->Finish());
    if (canceller.is_cancelled()) return absl::CancelledError("detached");
    if (status.ok() || !JobClient::IsTransient(status)) return status;
    const std::optional<absl::Duration> delay = window.OnFailure();
    if (!delay.has_value()) return status;
    if (!canceller.SleepFor(*delay)) return absl::CancelledError("detached");
  }
}

}  // namespace

absl::StatusOr<int> RunLogs(Session& session, const LogsOptions& options) {
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto id = session.SelectJob(options.job);
  if (!id.ok()) return id.status();
  const auto request = MakeRequest(options, *id);
  if (!request.ok()) return request.status();
  const auto job = (*client)->GetJob(*id);
  if (!job.ok()) return job.status();
  const bool is_single =
      request->indexes_size() == 1 || (job->state() != v1::Job::OPEN && job->counts().total() == 1);
  LogPrinter printer(&session.console(), !is_single);
  const absl::Status status = StreamLogs(*client, canceller, *request, printer);
  printer.Finish();
  if (absl::IsCancelled(status) && canceller.is_cancelled()) {
    ReportDetached(&session, *id, StrCat("logs ", *id, " --follow"));
    return kExitInterrupted;
  }
  if (!status.ok()) return status;
  return kExitOk;
}

}  // namespace reeve
