#include "client/commands/map.h"

#include <atomic>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "client/canceller.h"
#include "client/commands/feeder.h"
#include "client/commands/follow.h"
#include "client/commands/plan.h"
#include "client/exit_code.h"
#include "client/input/duration.h"
#include "client/input/job_log.h"
#include "client/interrupt.h"
#include "client/output/json.h"

namespace reeve {
namespace {

constexpr uint64_t kDryRunTasks = 10;

absl::StatusOr<int> DryRun(Session& session, Plan& plan) {
  uint64_t index = 0;
  std::string text;
  const auto take = [&](std::string_view input) {
    const std::string command = DescribeTask(plan.spec, input, index);
    if (session.console().is_json()) {
      JsonWriter json;
      json.BeginObject().Key("index").Number(index).Key("command").String(command).EndObject();
      StrAppend(&text, json.text(), "\n");
    } else {
      StrAppend(&text, command, "\n");
    }
    return ++index < kDryRunTasks;
  };
  if (plan.array.has_value()) plan.source = MakeArraySource(*plan.array);
  for (bool has_more = true; has_more && index < kDryRunTasks;) {
    const absl::StatusOr<bool> more = plan.source->Fill(take);
    if (!more.ok()) return more.status();
    has_more = *more;
  }
  session.console().Out(text);
  return kExitOk;
}
// One `map`: creating the job, feeding it, following it.
class MapRun {
 public:
  MapRun(Session* session, const MapOptions& options) : session_(session), options_(options) {}

  absl::StatusOr<int> Run();

 private:
  absl::Status Prepare();
  // Creates the job with its tasks, if they are few and at hand, or open, to be fed.
  absl::Status Create();
  absl::Status CreateFrom(v1::CreateJobRequest request);
  absl::Status OnBatch(const ResultBatch& batch);
  absl::StatusOr<int> Follow();
  absl::StatusOr<int> Conclude(FollowEnd end, const ResultFollower& follower);
  absl::StatusOr<int> Leave(FollowEnd end, uint64_t cursor);

  Session* const session_;
  const MapOptions& options_;
  JobClient* client_ = nullptr;
  Canceller canceller_;
  std::atomic<bool> timed_out_{false};
  PositionSet done_before_;
  std::unique_ptr<JobLogWriter> log_;
  Plan plan_;
  std::unique_ptr<Batcher> batcher_;
  v1::Job job_;
  absl::Status input_error_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Feeder> feeder_;  // Null if the job was created whole.
};

absl::Status MapRun::Prepare() {
  if (const absl::Status status = CheckSources(options_); !status.ok()) return status;
  if (options_.resume) {
    absl::StatusOr<PositionSet> done = ReadJobLog(options_.job_log);
    if (!done.ok()) return done.status();
    done_before_ = *std::move(done);
  }
  const absl::Status planned =
      MakePlan(*session_, options_, UseOf(options_), canceller_.fd(), &plan_);
  if (!planned.ok() || options_.dry_run) return planned;
  if (!options_.job_log.empty()) {
    auto log = JobLogWriter::Open(options_.job_log, options_.resume);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
  }
  const auto client = session_->Connect();
  if (!client.ok()) return client.status();
  client_ = *client;
  return absl::OkStatus();
}

absl::StatusOr<int> MapRun::Run() {
  std::optional<absl::Duration> timeout;
  if (!options_.timeout.empty()) {
    const auto parsed = ParseDurationOption("--timeout", options_.timeout);
    if (!parsed.ok()) return parsed.status();
    timeout = *parsed;
  }
  const Interrupt interrupt([this] { canceller_.Cancel(); }, timeout,
                            [this] {
                              timed_out_ = true;
                              canceller_.Cancel();
                            });
  if (const absl::Status status = Prepare(); !status.ok()) return status;
  if (options_.dry_run) return DryRun(*session_, plan_);
  if (const absl::Status status = Create(); !status.ok()) return status;
  if (job_.job_id() == 0) {
    if (!input_error_.ok()) return input_error_;
    session_->console().Note(done_before_.count() > 0 ? "nothing left to do"
                                                      : "there were no inputs: nothing to do");
    return kExitOk;
  }
  return Follow();
}

absl::Status MapRun::CreateFrom(v1::CreateJobRequest request) {
  *request.mutable_spec() = plan_.spec;
  absl::StatusOr<v1::Job> job = client_->CreateJob(std::move(request));
  if (!job.ok()) return job.status();
  job_ = *std::move(job);
  progress_ =
      std::make_unique<Progress>(&session_->console(), RunningCount(client_, job_.job_id()));
  progress_->total = job_.counts().total();
  progress_->total_is_final = !(job_.state() == v1::Job::OPEN);
  return absl::OkStatus();
}

absl::Status MapRun::Create() {
  v1::CreateJobRequest request;
  if (plan_.array.has_value()) {
    SetArray(*plan_.array, request.mutable_array());
    return CreateFrom(std::move(request));
  }
  batcher_ =
      std::make_unique<Batcher>(std::move(plan_.source), options_.resume ? &done_before_ : nullptr);
  // The first batch is read before there is a job: bad input then leaves nothing behind.
  v1::AppendTasksRequest first;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more && first.task_count() == 0) more = batcher_->Next(&first);
  input_error_ = more.status();
  if (absl::IsCancelled(input_error_)) {
    input_error_ = UsageError("interrupted before there was an input");
  }
  if (first.task_count() == 0) return absl::OkStatus();
  const bool is_all = !more.ok() || !*more;
  if (is_all && first.inputs().size() <= kInlineBytes) {
    MoveTasks(std::move(first), request.mutable_batch());
    return CreateFrom(std::move(request));
  }
  request.set_open(true);
  if (const absl::Status status = CreateFrom(std::move(request)); !status.ok()) return status;
  feeder_ = std::make_unique<Feeder>(
      client_, &canceller_, batcher_.get(), job_.job_id(), Feeder::Bound(),
      [this](uint64_t sent) { progress_->total = sent; }, Feeder::AtEnd::kClose);
  feeder_->Start(std::move(first));
  return absl::OkStatus();
}

absl::Status MapRun::OnBatch(const ResultBatch& batch) {
  uint64_t count = 0;
  for (const PositionedRun& run : batch.head_runs()) count += run.count;
  if (feeder_ != nullptr) feeder_->Finished(count);
  if (log_ == nullptr) return absl::OkStatus();
  std::string lines;
  batch.ForEach(batch.head_runs(), [&](const ResultEntry& entry) {
    const uint64_t position = batcher_ == nullptr ? entry.index : batcher_->PositionOf(entry.index);
    lines += JobLogLine(position, JobId(job_.job_id()), entry, batch.worker());
  });
  return log_->Write(lines);
}

absl::StatusOr<int> MapRun::Follow() {
  FollowOptions options;
  options.ordered = options_.ordered;
  options.on_batch = [this](const ResultBatch& batch) { return OnBatch(batch); };
  ResultFollower follower(session_, client_, &canceller_, progress_.get(), job_,
                          std::move(options));
  const absl::StatusOr<FollowEnd> end = follower.Follow();
  if (!end.ok()) canceller_.Cancel();
  if (end.ok() && *end == FollowEnd::kReaderGone) canceller_.Cancel();
  absl::Status fed;
  if (feeder_ != nullptr) fed = feeder_->Join();
  progress_.reset();
  if (!end.ok()) return end.status();
  if (!fed.ok() && !absl::IsCancelled(fed)) input_error_ = fed;
  return Conclude(*end, follower);
}

absl::StatusOr<int> MapRun::Conclude(FollowEnd end, const ResultFollower& follower) {
  Console& console = session_->console();
  if (end != FollowEnd::kEnded) return Leave(end, follower.cursor());
  const absl::StatusOr<v1::Job> job = client_->GetJob(job_.job_id());
  if (!job.ok()) return job.status();
  const int code = ReportEnd(session_, *job, follower.printer().unnamed_failures());
  // Somebody else cancelled the job while it was fed: that is the news, not the refused inputs.
  if (input_error_.ok() || job->state() == v1::Job::CANCELLED) return code;
  console.Note(StrCat("what came before the error (", follower.printer().count(),
                      " inputs) was run as job ", job_.job_id()));
  return input_error_;
}

absl::StatusOr<int> MapRun::Leave(FollowEnd end, uint64_t cursor) {
  Console& console = session_->console();
  if (feeder_ != nullptr) {
    console.Note(StrCat("inputs sent: ", feeder_->sent_count(), "; no more are read"));
  }
  const std::string behind = cursor == 0 ? "" : StrCat(" --cursor ", cursor);
  ReportDetached(
      session_, job_.job_id(),
      StrCat("results ", job_.job_id(), " --follow", options_.ordered ? " --ordered" : "", behind));
  if (end == FollowEnd::kReaderGone) return kExitReaderGone;
  return timed_out_ ? kExitTimeout : kExitInterrupted;
}

}  // namespace

absl::StatusOr<int> RunMap(Session& session, const MapOptions& options) {
  return MapRun(&session, options).Run();
}

}  // namespace reeve
