#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/feeder.h"
#include "client/commands/map.h"
#include "client/commands/plan.h"
#include "client/commands/wait.h"
#include "client/exit_code.h"
#include "client/interrupt.h"

namespace reeve {
namespace {

// Sends everything without waiting for results.
absl::StatusOr<v1::Job> SubmitStream(JobClient* client, const MapOptions& options, Plan& plan,
                                     Canceller& canceller, Console& console) {
  Batcher batcher(std::move(plan.source), nullptr);
  v1::AppendTasksRequest batch;
  absl::StatusOr<bool> more = batcher.Next(&batch);
  // Only one request can be told from another: what is to be repeatable must be whole.
  while (!options.request_id.empty() && more.ok() && *more && batch.inputs().size() <= kInlineBytes)
    more = batcher.Next(&batch);
  if (!more.ok()) return more.status();
  v1::CreateJobRequest request;
  *request.mutable_spec() = plan.spec;
  request.set_open(options.open);
  const bool is_some = batch.task_count() > 0;
  if (!*more && (is_some || options.open) && batch.inputs().size() <= kInlineBytes) {
    if (is_some) MoveTasks(std::move(batch), request.mutable_batch());
    request.set_request_id(options.request_id);
    return client->CreateJob(std::move(request));
  }
  if (!options.request_id.empty()) {
    return UsageError(
        "--request-id: the inputs must be one request: one at least, 1 MiB together at most");
  }
  request.set_open(true);
  absl::StatusOr<v1::Job> job = client->CreateJob(std::move(request));
  if (!job.ok()) return job;
  const Feeder::Bound none{UINT64_MAX, UINT64_MAX};
  Feeder feeder(
      client, &canceller, &batcher, job->job_id(), none, [](uint64_t) {},
      options.open ? Feeder::AtEnd::kLeaveOpen : Feeder::AtEnd::kClose);
  feeder.Start(std::move(batch));
  if (const absl::Status status = feeder.Join(); !status.ok()) {
    if (canceller.is_cancelled()) {
      console.Note(StrCat("interrupted; job ", job->job_id(), " has the ", feeder.sent_count(),
                          " inputs read before"));
      return job;
    }
    return MakeError(status.code(), ErrorReason(status),
                     StrCat(status.message(), "; job ", job->job_id(), " has the ",
                            feeder.sent_count(), " inputs before that"));
  }
  return job;
}

// The request for a job whose tasks are known from the options alone.
v1::CreateJobRequest WholeRequest(const MapOptions& options, Plan& plan) {
  v1::CreateJobRequest request;
  request.set_request_id(options.request_id);
  request.set_open(options.open);
  if (plan.array.has_value()) {
    SetArray(*plan.array, request.mutable_array());
  } else if (options.count > 0) {
    SetArray({.start = 1, .step = 1, .count = options.count}, request.mutable_array());
  } else if (!options.open || options.input.has_value()) {
    SetSingle(options.input.value_or(SingleInput(options.job)), request.mutable_batch());
  }
  if (options.count > 0 && options.input.has_value()) plan.spec.set_shared_input(*options.input);
  *request.mutable_spec() = plan.spec;
  return request;
}

absl::Status PlanSubmit(Session& session, const MapOptions& options, Canceller& canceller,
                        Plan* plan) {
  if (const absl::Status status = CheckSources(options); !status.ok()) return status;
  if (options.open && (!options.array.empty() || options.count > 0))
    return UsageError("--open: an --array or --count is complete from the start");
  const bool has_stream = options.arguments.has_value() || !options.array.empty() ||
                          !options.jsonl.empty() || !options.lines.empty();
  if (has_stream) return MakePlan(session, options, UseOf(options), canceller.fd(), plan);
  const bool has_input = options.input.has_value() || options.open;
  const InputUse use = has_input ? UseOf(options) : InputUse::kNone;
  absl::StatusOr<v1::JobSpec> spec = BuildJobSpec(session, options.job, use);
  if (!spec.ok()) return spec.status();
  plan->spec = *std::move(spec);
  // The tasks of `--count N` share the one command line.
  if (use == InputUse::kNone && options.count > 0 && plan->spec.has_command()) {
    plan->spec.set_shared_input(SingleInput(options.job));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> Submit(Session& session, const MapOptions& options, Canceller& canceller) {
  Plan plan;
  const absl::Status status = PlanSubmit(session, options, canceller, &plan);
  if (!status.ok()) return status;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  if (plan.source != nullptr)
    return SubmitStream(*client, options, plan, canceller, session.console());
  return (*client)->CreateJob(WholeRequest(options, plan));
}

}  // namespace

absl::StatusOr<v1::CreateJobRequest> BuildWholeJob(Session& session, const MapOptions& options) {
  Canceller canceller;
  const Interrupt interrupt([&] { canceller.Cancel(); });
  Plan plan;
  const absl::Status status = PlanSubmit(session, options, canceller, &plan);
  if (!status.ok()) return status;
  if (plan.source == nullptr) return WholeRequest(options, plan);
  Batcher batcher(std::move(plan.source), nullptr);
  v1::AppendTasksRequest batch;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more && batch.inputs().size() <= kInlineBytes) more = batcher.Next(&batch);
  if (!more.ok()) return more.status();
  if (batch.task_count() == 0 || batch.inputs().size() > kInlineBytes)
    return UsageError("the inputs must be one at least, 1 MiB together at most");
  v1::CreateJobRequest request;
  request.set_request_id(options.request_id);
  request.set_open(options.open);
  *request.mutable_spec() = plan.spec;
  MoveTasks(std::move(batch), request.mutable_batch());
  return request;
}

absl::StatusOr<int> RunSubmit(Session& session, const MapOptions& options) {
  Canceller canceller;
  absl::StatusOr<v1::Job> job;
  {
    const Interrupt interrupt([&] { canceller.Cancel(); });
    job = Submit(session, options, canceller);
  }
  if (!job.ok() && canceller.is_cancelled()) return kExitInterrupted;  // Nothing was sent.
  if (!job.ok()) return job.status();
  const std::string id = std::to_string(job->job_id());
  // With --wait and --json, the one document is the job as it ended.
  if (!options.wait || !session.console().is_json()) session.Print(*job, id + "\n");
  if (canceller.is_cancelled()) return kExitInterrupted;
  if (options.wait) {
    WaitOptions wait;
    wait.jobs = {id};
    wait.timeout = options.timeout;
    return RunWait(session, wait);
  }
  session.console().Note(StrCat("submitted; next: ", session.Command(), " wait ", id, ", or ",
                                session.Command(), " results ", id, " --follow"));
  return kExitOk;
}

}  // namespace reeve
