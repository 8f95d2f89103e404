#include "client/commands/run.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "client/canceller.h"
#include "client/commands/follow.h"
#include "client/commands/plan.h"
#include "client/exit_code.h"
#include "client/interrupt.h"
#include "client/output/json.h"
#include "client/output/log_printer.h"

namespace reeve {
namespace {

constexpr size_t kMaxStdinBytes = 1 << 20;
constexpr int kImpatienceMs = 2000;
constexpr uint32_t kOutputStream = 1, kErrorStream = 2;

bool IsPiped(int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISREG(about.st_mode));
}

// All of piped standard input. Errors: a usage error above 1 MiB.
absl::StatusOr<std::string> ReadStdin(Console& console, int wake_fd) {
  std::string content;
  bool has_hinted = false;
  for (;;) {
    pollfd ready[2] = {{STDIN_FILENO, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    const int count = poll(ready, 2, has_hinted ? -1 : kImpatienceMs);
    if (count == 0) {
      console.Note("waiting for standard input to end; --no-stdin ignores it");
      has_hinted = true;
    }
    if (count <= 0) continue;
    if (ready[1].revents != 0) return absl::CancelledError("interrupted");
    char buffer[64 << 10];
    const ssize_t bytes = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return UsageError(StrCat("cannot read standard input: ", strerror(errno)));
    if (bytes == 0) return content;
    content.append(buffer, static_cast<size_t>(bytes));
    if (content.size() > kMaxStdinBytes)
      return UsageError("standard input is over 1 MiB; --no-stdin ignores it");
  }
}

// What is to be printed of a result that holds the ends of an output only (see
// reeve.v1.ResultBatch.output), behind the `seen` bytes that were printed: the end, and before it,
// if something is missing, how much.
std::string EndOf(std::string_view result, uint64_t seen) {
  constexpr size_t kEnd = 512 << 10;
  constexpr std::string_view kMark = "\n[... ";
  if (result.size() < 2 * kEnd || result.substr(kEnd, kMark.size()) != kMark)
    return std::string(result);
  uint64_t left_out = 0;
  for (size_t at = kEnd + kMark.size();
       at < result.size() && result[at] >= '0' && result[at] <= '9'; ++at) {
    left_out = left_out * 10 + static_cast<uint64_t>(result[at] - '0');
  }
  const uint64_t end_at = kEnd + left_out;  // Where the kept end begins.
  const std::string_view end = result.substr(result.size() - kEnd);
  if (seen < kEnd) return std::string(result.substr(seen));
  if (seen >= end_at) return std::string(end.substr(std::min<uint64_t>(seen - end_at, kEnd)));
  return StrCat("\n[... ", end_at - seen, " bytes left out ...]\n", end);
}

// One `run`, from the call to the exit code.
class SingleRun {
 public:
  SingleRun(Session* session, const RunOptions& options)
      : session_(session), options_(options), logs_(&session->console(), false) {}

  absl::StatusOr<int> Run();

 private:
  absl::Status Prepare();
  // Reads one stream. Returns: how it ended.
  absl::Status StreamOnce();
  absl::Status OnEvent(const v1::RunJobResponse& event);
  void OnOutput(const v1::LogChunk& chunk);
  absl::Status OnResults(const v1::ResultBatch& message);
  void ReadLogs();
  void PrintResult(const ResultEntry& entry, std::string_view worker);
  // Prints what of `bytes` did not come live.
  void PrintRest(uint32_t stream, std::string_view bytes, bool is_truncated,
                 const ResultEntry& entry);
  // Ctrl-C: at first the job is cancelled, and the stream tells the end.
  void OnInterrupt();
  void CancelJob();

  Session* const session_;
  const RunOptions& options_;
  JobClient* client_ = nullptr;
  Canceller before_job_;  // Ends what happens before there is a job.
  v1::CreateJobRequest request_;
  LogPrinter logs_;
  v1::Job job_;
  std::optional<int> code_;
  std::atomic<uint64_t> job_id_{0};
  std::atomic<bool> is_interrupted_{false};
  std::atomic<bool> is_cancelling_{false};
};

absl::Status SingleRun::Prepare() {
  absl::StatusOr<v1::JobSpec> spec = BuildJobSpec(*session_, options_.job, InputUse::kNone);
  if (!spec.ok()) return spec.status();
  const bool is_command = spec->has_command();
  *request_.mutable_spec() = *std::move(spec);
  request_.set_request_id(MakeUuid());
  std::string input = is_command ? SingleInput(options_.job) : options_.input;
  if (is_command && !options_.input.empty()) return UsageError("--input is for --handler");
  if (!options_.no_stdin && IsPiped(STDIN_FILENO)) {
    const absl::StatusOr<std::string> content = ReadStdin(session_->console(), before_job_.fd());
    if (!content.ok()) return content.status();
    if (is_command) {
      request_.mutable_spec()->mutable_command()->set_stdin(*content);
    } else if (input.empty()) {
      input = *content;
    }
  }
  SetSingle(std::move(input), request_.mutable_batch());
  return absl::OkStatus();
}

absl::StatusOr<int> SingleRun::Run() {
  const Interrupt interrupt([this] { OnInterrupt(); });
  const auto client = session_->Connect();
  if (!client.ok()) return client.status();
  client_ = *client;
  if (const absl::Status status = Prepare(); !status.ok()) {
    if (absl::IsCancelled(status)) return kExitCancelled;
    return status;
  }
  RetryWindow window = client_->NewRetryWindow();
  for (;;) {
    const absl::Status status = StreamOnce();
    if (HasEnded(job_)) break;
    if (!status.ok() && !JobClient::IsTransient(status)) return status;
    if (job_.job_id() != 0) window.Succeeded();
    window.Widen(client_->NewRetryWindow().window());
    const std::optional<absl::Duration> delay = window.OnFailure();
    if (!delay.has_value()) return status;
    if (job_.job_id() == 0 && is_interrupted_) return kExitCancelled;
    absl::SleepFor(*delay);
  }
  if (job_.state() == v1::Job::CANCELLED || job_.state() == v1::Job::EXPIRED) {
    session_->console().Note(StrCat("job ", job_.job_id(), " ", DescribeEnd(job_)));
    return ExitCodeOf(job_);
  }
  return code_.value_or(ExitCodeOf(job_));
}

absl::Status SingleRun::StreamOnce() {
  grpc::ClientContext context;
  client_->Prepare(&context);
  const auto reader = client_->jobs().RunJob(&context, request_);
  v1::RunJobResponse event;
  absl::Status own;
  while (own.ok() && reader->Read(&event)) own = OnEvent(event);
  if (!own.ok()) context.TryCancel();
  const absl::Status status = client_->Note(reader->Finish());
  return own.ok() ? status : own;
}

absl::Status SingleRun::OnEvent(const v1::RunJobResponse& event) {
  if (event.has_job()) {
    job_ = event.job();
    job_id_ = job_.job_id();
    if (is_interrupted_) CancelJob();
  }
  if (event.has_output()) OnOutput(event.output());
  return event.has_results() ? OnResults(event.results()) : absl::OkStatus();
}

void SingleRun::OnOutput(const v1::LogChunk& chunk) {
  if (session_->console().is_json()) return;
  // Behind a gap (the stream keeps a bounded amount): the logs have it, at the end.
  if (chunk.offset() > logs_.seen_bytes(chunk.index(), chunk.attempt(), chunk.stream())) return;
  logs_.Add(chunk);
}

absl::Status SingleRun::OnResults(const v1::ResultBatch& message) {
  const auto batch = ResultBatch::Parse(Buffer(message.SerializeAsString()));
  if (!batch.ok()) return batch.status();
  if (code_.has_value()) return absl::OkStatus();  // Sent again after a broken stream.
  (*batch)->ForEach((*batch)->head_runs(), [&](const ResultEntry& entry) {
    PrintResult(entry, (*batch)->worker());
    code_ = ExitCodeOfTask(entry);
  });
  return absl::OkStatus();
}

void SingleRun::PrintResult(const ResultEntry& entry, std::string_view worker) {
  Console& console = session_->console();
  if (console.is_json()) {
    std::string line;
    AppendResultJson(JobId(job_.job_id()), entry, worker, &line);
    console.Out(line);
    return;
  }
  if ((entry.flags & (kOutputTruncated | kErrorOutputTruncated)) != 0) ReadLogs();
  PrintRest(kOutputStream, entry.output, (entry.flags & kOutputTruncated) != 0, entry);
  const bool ends_line = !entry.output.empty() && entry.output.back() == '\n';
  if (!request_.spec().has_command() && entry.state == TaskState::kSucceeded && !ends_line) {
    console.Out("\n");
  }
  PrintRest(kErrorStream, entry.error_output, (entry.flags & kErrorOutputTruncated) != 0, entry);
  // The exit code of a command says enough, as in a shell.
  if (entry.state == TaskState::kFailed && entry.reason != Reason::kExitNonzero) {
    console.Note(DescribeFailure(entry));
  }
}

void SingleRun::PrintRest(uint32_t stream, std::string_view bytes, bool is_truncated,
                          const ResultEntry& entry) {
  const uint64_t seen = logs_.seen_bytes(entry.index, entry.attempt, stream);
  if (is_truncated) {
    const std::string end = EndOf(bytes, seen);
    stream == kErrorStream ? session_->console().Err(end) : void(session_->console().Out(end));
    return;
  }
  if (seen >= bytes.size()) return;
  v1::LogChunk chunk;
  chunk.set_index(entry.index);
  chunk.set_attempt(entry.attempt);
  chunk.set_stream(stream);
  chunk.set_offset(seen);
  chunk.set_content(std::string(bytes.substr(seen)));
  logs_.Add(chunk);
}

// The first 8 MiB of a long output are in the logs. What fails here is a gap, and a gap is told.
void SingleRun::ReadLogs() {
  v1::StreamLogsRequest request;
  request.set_job_id(job_.job_id());
  grpc::ClientContext context;
  client_->Prepare(&context);
  const auto reader = client_->jobs().StreamLogs(&context, request);
  v1::LogChunk chunk;
  while (reader->Read(&chunk)) OnOutput(chunk);
  (void)reader->Finish();
}

void SingleRun::OnInterrupt() {
  is_interrupted_ = true;
  before_job_.Cancel();
  if (job_id_ != 0) CancelJob();
}

void SingleRun::CancelJob() {
  if (is_cancelling_.exchange(true)) return;
  const absl::Status status = client_->CancelJob(job_id_).status();
  // JOB_ENDED: it was faster; its end is on the way.
  if (!status.ok() && ErrorReason(status) != "JOB_ENDED") session_->console().Fail(status);
}

}  // namespace

int ExitCodeOfTask(const ResultEntry& entry) {
  constexpr int kNotExecutable = 126, kNotFound = 127, kSignalBase = 128;
  if (entry.state == TaskState::kSucceeded) return kExitOk;
  if (entry.state == TaskState::kCancelled) return kExitCancelled;
  switch (entry.reason) {
    case Reason::kExitNonzero: return static_cast<int>(entry.exit_code);
    case Reason::kSignalled: return kSignalBase + static_cast<int>(entry.signal);
    case Reason::kCommandNotFound: return kNotFound;
    case Reason::kCommandNotExecutable: return kNotExecutable;
    default: return kExitTaskFailed;
  }
}

absl::StatusOr<int> RunOne(Session& session, const RunOptions& options) {
  return SingleRun(&session, options).Run();
}

}  // namespace reeve
