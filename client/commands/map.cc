#include "client/commands/map.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "client/canceller.h"
#include "client/commands/feeder.h"
#include "client/commands/follow.h"
#include "client/commands/wait.h"
#include "client/exit_code.h"
#include "client/input/array_expression.h"
#include "client/input/duration.h"
#include "client/input/input_source.h"
#include "client/input/job_log.h"
#include "client/interrupt.h"
#include "client/output/json.h"

namespace reeve {
namespace {

constexpr uint64_t kDryRunTasks = 10;
// A job created with its tasks is one call; beyond this they are streamed.
constexpr size_t kInlineBytes = 1 << 20;

// What is to be made of the options: a job, and where its inputs come from.
struct Plan {
  v1::JobSpec spec;
  std::optional<ArrayExpression> array;  // The job is an array.
  std::unique_ptr<InputSource> source;   // Otherwise.
  int fd = -1;                           // Opened for `source`.

  ~Plan() {
    if (fd > STDERR_FILENO) close(fd);
  }
};

absl::Status CheckSources(const MapOptions& options) {
  const int sources = options.arguments.has_value() + !options.array.empty() +
                      !options.jsonl.empty() + !options.lines.empty() +
                      (options.input.has_value() || options.count > 0);
  if (sources > 1)
    return UsageError(
        "inputs may come from one place only: :::, --array, --jsonl, --lines or --input");
  if (options.nul && !options.jsonl.empty()) return UsageError("-0 does not go with --jsonl");
  const bool has_lines = sources == 0 || !options.jsonl.empty() || !options.lines.empty();
  if (options.block_bytes > 0 && (!has_lines || options.nul || options.resume))
    return UsageError("--block is for lines, and goes neither with -0 nor with --resume");
  if (options.resume && options.job_log.empty()) return UsageError("--resume needs --joblog");
  return absl::OkStatus();
}

InputUse UseOf(const MapOptions& options) {
  if (options.record_on_stdin) return InputUse::kStdin;
  return options.jsonl.empty() ? InputUse::kArgument : InputUse::kRecord;
}

absl::StatusOr<int> OpenInput(const std::string& path) {
  if (path.empty() || path == "-") return STDIN_FILENO;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return UsageError(StrCat("cannot read ", path, ": ", strerror(errno)));
  return fd;
}

absl::Status OpenRecords(const MapOptions& options, int wake_fd, Plan* plan) {
  const bool is_json = !options.jsonl.empty();
  const std::string& path = is_json ? options.jsonl : options.lines;
  const absl::StatusOr<int> fd = OpenInput(path);
  if (!fd.ok()) return fd.status();
  plan->fd = *fd;
  const bool is_stdin = *fd == STDIN_FILENO;
  if (is_stdin && isatty(STDIN_FILENO) == 1 && path.empty()) {
    return UsageError(
        "there are no inputs; give them behind ':::', with --array, or pipe lines in");
  }
  plan->source = MakeRecordSource(*fd, wake_fd,
                                  {.delimiter = options.nul ? '\0' : '\n',
                                   .is_json = is_json,
                                   .block_bytes = options.block_bytes,
                                   .name = is_stdin ? "standard input" : path});
  return absl::OkStatus();
}

absl::Status PlanArray(const MapOptions& options, Plan* plan) {
  const auto array = ParseArrayExpression(options.array);
  if (!array.ok()) return array.status();
  if (array->max_in_flight > 0) plan->spec.set_max_in_flight(array->max_in_flight);
  // With some of it left out it is a range no more.
  if (options.resume) {
    plan->source = MakeArraySource(*array);
  } else {
    plan->array = *array;
  }
  return absl::OkStatus();
}

absl::Status MakePlan(const Session& session, const MapOptions& options, InputUse use, int wake_fd,
                      Plan* plan) {
  const absl::StatusOr<Address> master = session.MasterAddress();
  if (!master.ok()) return master.status();
  absl::StatusOr<v1::JobSpec> spec = BuildJobSpec(options.job, use, *master);
  if (!spec.ok()) return spec.status();
  plan->spec = *std::move(spec);
  // Records that only go to standard input need not be JSON.
  if (use == InputUse::kStdin && options.jsonl.empty()) {
    plan->spec.mutable_command()->set_input_mode(v1::Command::ARGUMENT);
  }
  if (!options.array.empty()) return PlanArray(options, plan);
  if (options.arguments.has_value()) {
    plan->source = MakeArgumentSource(*options.arguments);
    return absl::OkStatus();
  }
  return OpenRecords(options, wake_fd, plan);
}

// Field-wise move of the columns: AppendTasksRequest and TaskBatch share them.
void MoveTasks(v1::AppendTasksRequest&& from, v1::TaskBatch* to) {
  to->set_task_count(from.task_count());
  to->mutable_input_bytes()->Swap(from.mutable_input_bytes());
  to->mutable_inputs()->swap(*from.mutable_inputs());
}

void SetArray(const ArrayExpression& array, v1::ArraySpec* spec) {
  spec->set_start(array.start);
  spec->set_step(array.step);
  spec->set_count(array.count);
}

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
  feeder_ =
      std::make_unique<Feeder>(client_, &canceller_, batcher_.get(), job_.job_id(), Feeder::Bound(),
                               [this](uint64_t sent) { progress_->total = sent; });
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

// ---- submit ----

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
  if (!*more && batch.task_count() > 0 && batch.inputs().size() <= kInlineBytes) {
    MoveTasks(std::move(batch), request.mutable_batch());
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
  Feeder feeder(client, &canceller, &batcher, job->job_id(), none, [](uint64_t) {});
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
  if (plan.array.has_value()) {
    SetArray(*plan.array, request.mutable_array());
  } else if (options.count > 0) {
    SetArray({.start = 1, .step = 1, .count = options.count}, request.mutable_array());
  } else {
    const std::string input = options.input.value_or(SingleInput(options.job));
    request.mutable_batch()->set_task_count(1);
    request.mutable_batch()->add_input_bytes(static_cast<uint32_t>(input.size()));
    request.mutable_batch()->set_inputs(input);
  }
  if (options.count > 0 && options.input.has_value()) plan.spec.set_shared_input(*options.input);
  *request.mutable_spec() = plan.spec;
  return request;
}

absl::Status PlanSubmit(Session& session, const MapOptions& options, Canceller& canceller,
                        Plan* plan) {
  if (const absl::Status status = CheckSources(options); !status.ok()) return status;
  const bool has_stream = options.arguments.has_value() || !options.array.empty() ||
                          !options.jsonl.empty() || !options.lines.empty();
  if (has_stream) return MakePlan(session, options, UseOf(options), canceller.fd(), plan);
  const bool has_input = options.input.has_value();
  const auto master = session.MasterAddress();
  if (!master.ok()) return master.status();
  const InputUse use = has_input ? UseOf(options) : InputUse::kNone;
  absl::StatusOr<v1::JobSpec> spec = BuildJobSpec(options.job, use, *master);
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

absl::StatusOr<int> RunMap(Session& session, const MapOptions& options) {
  return MapRun(&session, options).Run();
}

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
