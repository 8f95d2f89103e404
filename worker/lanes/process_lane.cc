#include "worker/lanes/process_lane.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/doorbell.h"
#include "base/interval_set.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/named_thread.h"
#include "base/replacement.h"
#include "base/result_batch.h"
#include "base/strings.h"
#include "worker/lanes/command_setup.h"
#include "worker/lanes/output_capture.h"
#include "worker/lanes/progress_pipes.h"
#include "worker/lanes/report_builder.h"
#include "worker/lanes/results_folders.h"
#include "worker/lanes/scratch_folders.h"
#include "worker/supervisor/command_basics.h"
#include "worker/supervisor/crash_notes.h"
#include "worker/supervisor/supervisor.h"

namespace reeve {
namespace {

constexpr size_t kReadBytes = 64u << 10;
// Output of a command that runs for so long goes out as it comes.
constexpr absl::Duration kLiveAfter = absl::Milliseconds(150);
constexpr int kTickMs = 50;
// Results of a span that goes on are told together: the first of them waits so long for others. A
// command costs about a millisecond, a report with its commit nearly half of one. The same bargain
// as the thread lane's claims; the last results of a span, and those of a single task, never wait.
constexpr int kGatherMs = 10;
constexpr size_t kReportBytes = 1u << 20;
// Of a frame of results, for all but the texts of one task.
constexpr size_t kFrameReserve = 256u << 10;

// What an event is of, beside an attempt's stream.
constexpr uint64_t kProgress = 1ull << 63;  // And the pipe's number.

struct Pipe {
  int fd = -1;  // Our end; -1: closed.
  OutputCapture capture;
};

// A command that runs, or is being started.
struct Attempt {
  uint64_t id = 0;
  std::shared_ptr<const JobContext> job;
  SpanKey span;
  Birth birth;
  TaskIndex index = 0;
  uint32_t number = 1;
  Pipe out, err;
  std::optional<ScratchFolders::Folder> scratch;
  std::shared_ptr<const ResultsFolders::Folder> results;
  absl::Duration began, deadline = absl::InfiniteDuration(), kill_at = absl::InfiniteDuration();
  absl::Duration soft_deadline = absl::InfiniteDuration();  // Infinite, too, once it has passed.
  absl::Time began_wall;
  bool cancelled = false, timed_out = false, told_to_end = false;
  std::string program;
  std::string details_before;  // What the attempt before left.
  RunningNote* note = nullptr;
  std::optional<size_t> progress_pipe;
  CommandWords words;

  // What it says of how far it is, and leaves for the next one.
  AttemptProgress progress() const {
    AttemptProgress progress = words.progress.value_or(AttemptProgress());
    progress.details = words.details.value_or(details_before);
    return progress;
  }
};

struct Work {
  LaneSpan span;
  IntervalSet todo;
  std::shared_ptr<const Template> words;
  std::shared_ptr<const ResultsFolders::Folder> results;  // Once one has begun that needs it.
  uint32_t running = 0;
};

}  // namespace

struct ProcessLane::Impl {
  ProcessLaneOptions options;
  SpawnChannel* channel;
  LaneSink* sink;
  const int no_input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  Doorbell doorbell;
  int poller = -1;
  std::thread thread;
  mutable Mutex mu;
  std::deque<std::shared_ptr<Work>> queue ABSL_GUARDED_BY(mu);
  std::map<SpanKey, std::shared_ptr<Work>> works ABSL_GUARDED_BY(mu);
  std::map<uint64_t, std::unique_ptr<Attempt>> attempts ABSL_GUARDED_BY(mu);
  std::vector<std::pair<uint64_t, int>> kills ABSL_GUARDED_BY(mu);
  std::string worker_name ABSL_GUARDED_BY(mu);
  absl::Duration exclusive_until ABSL_GUARDED_BY(mu);
  bool is_deadline_new ABSL_GUARDED_BY(mu) = false;
  bool stopping ABSL_GUARDED_BY(mu) = false;
  std::optional<ScratchFolders> scratch ABSL_GUARDED_BY(mu);
  std::optional<ResultsFolders> results_folders ABSL_GUARDED_BY(mu);
  uint64_t next_id = 1;
  std::vector<RunningNote*> free_notes ABSL_GUARDED_BY(mu);
  ProgressPipes progress_pipes ABSL_GUARDED_BY(mu);
  std::map<size_t, uint64_t> attempt_of_pipe ABSL_GUARDED_BY(mu);

  // Results not told yet, by span.
  struct Finished {
    ResultEntry entry;
    std::string output, error_output, message, result_file;
    LastWords words;

    size_t bytes() const {
      return output.size() + error_output.size() + message.size() + result_file.size();
    }
  };
  struct Gathered {
    absl::Duration since;  // The first of them.
    size_t bytes = 0;
    std::map<TaskIndex, Finished> results;
  };
  std::map<SpanKey, Gathered> finished ABSL_GUARDED_BY(mu);
  // What the sink gets once mu is free: it may wait for the worker's loop, which waits for mu.
  struct Told {
    std::vector<LaneOutput> outputs;
    std::vector<LaneReport> reports;
  };
  Told told ABSL_GUARDED_BY(mu);

  void Loop();
  void Tell(Told what) ABSL_LOCKS_EXCLUDED(mu);
  void Receive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Kill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool StartSome() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void StartOne(const std::shared_ptr<Work>& work, TaskIndex index)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Launch(std::unique_ptr<Attempt> attempt, SpawnRequest request, std::string_view input)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  std::string WhyNotAllowed(const CommandSpec& command) const;
  void FailNow(Attempt& attempt, Reason reason, std::string message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  int TakeProgressPipe(Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void ReadProgress(size_t pipe) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void ReadPipe(Attempt& attempt, bool error_stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void ClosePipe(Pipe& pipe) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void SendLive(Attempt& attempt, Pipe& pipe, uint32_t stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void OnEvent(const SpawnEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void OnExit(Attempt& attempt, int status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  static void TakeStatus(const Attempt& attempt, int status, Finished* result);
  void TakeResultFile(const Attempt& attempt, Finished* result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void TakeStreams(Attempt& attempt, Finished* result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Finish(Attempt& attempt, Finished result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Report() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Report(SpanKey span, std::map<TaskIndex, Finished> results)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void CheckTimes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void EndIfDone(const std::shared_ptr<Work>& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

// ---- Starting ----

void ProcessLane::Impl::FailNow(Attempt& attempt, Reason reason, std::string message) {
  Finished result;
  result.entry.state = TaskState::kFailed;
  result.entry.reason = reason;
  if (reason == Reason::kCommandNotFound) result.entry.exit_code = 127;
  if (reason == Reason::kCommandNotExecutable) result.entry.exit_code = 126;
  result.message = std::move(message);
  Finish(attempt, std::move(result));
}

// Returns: "" if the worker's owner allows it.
std::string ProcessLane::Impl::WhyNotAllowed(const CommandSpec& command) const {
  if (!options.allow_commands) return "the worker does not run commands (see its --handlers)";
  if (command.shell && !options.allow_shell)
    return "the worker does not run shells: its owner has not said --allow-shell";
  return {};
}

void ProcessLane::Impl::StartOne(const std::shared_ptr<Work>& work, TaskIndex index) {
  const JobContext& job = *work->span.job;
  auto attempt = std::make_unique<Attempt>();
  attempt->id = next_id++;
  attempt->job = work->span.job;
  attempt->span = work->span.key;
  attempt->birth = work->span.birth;
  attempt->index = index;
  attempt->number = work->span.attempt;
  attempt->details_before = work->span.details;
  attempt->began = Monotonic();
  attempt->began_wall = absl::Now();
  ++work->running;
  if (std::string why = WhyNotAllowed(job.command); !why.empty())
    return FailNow(*attempt, Reason::kNotAllowed, std::move(why));
  auto folder = scratch->Take();
  if (!folder.ok())
    return FailNow(*attempt, Reason::kResources, std::string(ToStd(folder.status().message())));
  attempt->scratch = *std::move(folder);
  auto results = results_folders->Of(job);
  if (!results.ok())
    return FailNow(*attempt, Reason::kResources, std::string(ToStd(results.status().message())));
  work->results = attempt->results = *std::move(results);
  char digits[24];
  const std::string_view input = InputOf(work->span, index, digits);
  auto request = MakeSpawnRequest(work->span, *work->words, index, input, attempt->scratch->path,
                                  options.limits, options.secrets,
                                  attempt->results == nullptr ? "" : attempt->results->path());
  if (!request.ok())
    return FailNow(
        *attempt,
        absl::IsPermissionDenied(request.status()) ? Reason::kNotAllowed : Reason::kBadInput,
        std::string(ToStd(request.status().message())));
  request->id = attempt->id;
  attempt->program = request->argv.front();
  if (job.time_limit != absl::InfiniteDuration())
    attempt->deadline = attempt->began + job.time_limit;
  if (job.soft_time_limit != absl::InfiniteDuration())
    attempt->soft_deadline = attempt->began + job.soft_time_limit;
  Launch(std::move(attempt), *std::move(request),
         job.command.stdin_from_input ? input : job.command.standard_input);
}

void ProcessLane::Impl::Launch(std::unique_ptr<Attempt> attempt, SpawnRequest request,
                               std::string_view input) {
  int out[2] = {-1, -1}, err[2] = {-1, -1};
  const int in = input.empty() ? no_input : OpenAsInput(input);
  const bool open = in >= 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0;
  const int why = errno;
  attempt->out.fd = out[0];
  attempt->err.fd = err[0];
  absl::Status spawned;
  if (open) {
    request.standard_input = in;
    request.standard_output = out[1];
    request.standard_error = err[1];
    request.progress = TakeProgressPipe(*attempt);
    spawned = channel->Spawn(request);
  }
  for (const int fd : {in, out[1], err[1]}) {
    if (fd >= 0 && fd != no_input) close(fd);
  }
  if (!open)
    return FailNow(*attempt, Reason::kResources, StrCat("no room to start it: ", strerror(why)));
  if (!spawned.ok())
    return FailNow(*attempt, Reason::kResources, std::string(ToStd(spawned.message())));
  for (const bool error_stream : {false, true}) {
    const int fd = error_stream ? attempt->err.fd : attempt->out.fd;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = attempt->id << 1 | (error_stream ? 1 : 0);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
  if (!free_notes.empty()) {
    attempt->note = free_notes.back();
    free_notes.pop_back();
    attempt->note->SetSpan(attempt->job->job, attempt->birth);
    attempt->note->Begin(attempt->index);
  }
  const uint64_t id = attempt->id;
  attempts.emplace(id, std::move(attempt));
}

// Returns: its end for the command; -1 if there is none, which is no reason not to start it.
int ProcessLane::Impl::TakeProgressPipe(Attempt& attempt) {
  bool is_new = false;
  attempt.progress_pipe = progress_pipes.Take(&is_new);
  if (!attempt.progress_pipe.has_value()) return -1;
  attempt_of_pipe[*attempt.progress_pipe] = attempt.id;
  if (is_new) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kProgress | *attempt.progress_pipe;
    epoll_ctl(poller, EPOLL_CTL_ADD, progress_pipes.read_end(*attempt.progress_pipe), &event);
  }
  return progress_pipes.write_end(*attempt.progress_pipe);
}

void ProcessLane::Impl::ReadProgress(size_t pipe) {
  const auto owner = attempt_of_pipe.find(pipe);
  const auto attempt =
      owner == attempt_of_pipe.end() ? attempts.end() : attempts.find(owner->second);
  CommandWords nobodys;
  progress_pipes.Read(pipe, attempt == attempts.end() ? &nobodys : &attempt->second->words);
}

bool ProcessLane::Impl::StartSome() {
  bool any = false;
  while (!stopping && attempts.size() < options.slots && !queue.empty()) {
    const std::shared_ptr<Work> work = queue.front();
    const std::optional<Run> next = work->todo.FirstRun(0, 1);
    if (!next.has_value()) {
      queue.pop_front();
      continue;
    }
    work->todo.Remove(*next);
    StartOne(work, next->first);
    any = true;
  }
  return any;
}

// ---- Output and ends ----

void ProcessLane::Impl::ClosePipe(Pipe& pipe) {
  if (pipe.fd < 0) return;
  close(pipe.fd);
  pipe.fd = -1;
}

void ProcessLane::Impl::SendLive(Attempt& attempt, Pipe& pipe, uint32_t stream) {
  if (!pipe.capture.has_live()) return;
  LaneOutput output;
  output.span = attempt.span;
  output.job = attempt.job->job;
  output.index = attempt.index;
  output.attempt = attempt.number;
  output.stream = stream;
  output.offset = pipe.capture.live_offset();
  output.content = pipe.capture.TakeLive();
  told.outputs.push_back(std::move(output));
}

void ProcessLane::Impl::ReadPipe(Attempt& attempt, bool error_stream) {
  Pipe& pipe = error_stream ? attempt.err : attempt.out;
  if (pipe.fd < 0) return;
  thread_local char buffer[kReadBytes];
  // A share, not all: a command that never stops writing must not keep the others from being read.
  for (int i = 0; i < 16; ++i) {
    const ssize_t n = read(pipe.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      ClosePipe(pipe);
      break;
    }
    pipe.capture.Add({buffer, static_cast<size_t>(n)});
    if (static_cast<size_t>(n) < sizeof buffer) break;
  }
  const bool runs_long = Monotonic() - attempt.began > kLiveAfter;
  if (runs_long || pipe.capture.overflows()) SendLive(attempt, pipe, error_stream ? 2 : 1);
}

void ProcessLane::Impl::OnExit(Attempt& attempt, int status) {
  // The group is dead: what it wrote is in the pipes, and no more will come.
  for (const bool error_stream : {false, true}) {
    Pipe& pipe = error_stream ? attempt.err : attempt.out;
    char buffer[4096];
    while (pipe.fd >= 0) {
      const ssize_t n = read(pipe.fd, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      pipe.capture.Add({buffer, static_cast<size_t>(n)});
      if (pipe.capture.overflows()) SendLive(attempt, pipe, error_stream ? 2 : 1);
    }
    ClosePipe(pipe);
    if (pipe.capture.went_live()) SendLive(attempt, pipe, error_stream ? 2 : 1);
  }
  if (attempt.progress_pipe.has_value())
    progress_pipes.Read(*attempt.progress_pipe, &attempt.words);
  Finished result;
  TakeStatus(attempt, status, &result);
  if (WIFEXITED(status) && !attempt.timed_out && !attempt.cancelled)
    TakeResultFile(attempt, &result);
  TakeStreams(attempt, &result);
  Finish(attempt, std::move(result));
}

void ProcessLane::Impl::TakeStatus(const Attempt& attempt, int status, Finished* result) {
  ResultEntry& entry = result->entry;
  entry.state = TaskState::kSucceeded;
  if (WIFSIGNALED(status)) {
    entry.state = TaskState::kFailed;
    entry.reason = Reason::kSignalled;
    entry.signal = static_cast<uint32_t>(WTERMSIG(status));
    result->message =
        StrCat("ended by signal ", entry.signal, " (", strsignal(WTERMSIG(status)), ")");
    if (attempt.told_to_end && entry.signal == SIGTERM) {
      entry.reason = Reason::kTimeout;
      result->message = "ended by SIGTERM when the soft time limit passed";
    }
  } else if (WEXITSTATUS(status) != 0) {
    entry.state = TaskState::kFailed;
    entry.reason = Reason::kExitNonzero;
    entry.exit_code = static_cast<uint32_t>(WEXITSTATUS(status));
  }
  if (attempt.timed_out) {
    entry.state = TaskState::kFailed;
    entry.reason = Reason::kTimeout;
    result->message = "the time limit passed";
  }
  if (attempt.cancelled) {
    entry.state = TaskState::kCancelled;
    entry.reason = Reason::kNone;
  }
}

void ProcessLane::Impl::TakeResultFile(const Attempt& attempt, Finished* result) {
  auto content = ReadResultFile(scratch->OpenFile(*attempt.scratch, kResultFile));
  if (content.ok()) {
    result->result_file = *std::move(content);
    return;
  }
  // Why the command failed by itself says more.
  if (result->entry.state != TaskState::kSucceeded) return;
  result->entry.state = TaskState::kFailed;
  result->entry.reason =
      absl::IsResourceExhausted(content.status()) ? Reason::kResultTooLarge : Reason::kHandlerError;
  result->message = std::string(ToStd(content.status().message()));
}

void ProcessLane::Impl::TakeStreams(Attempt& attempt, Finished* result) {
  // A result of one task must fit a frame.
  const size_t room = kMaxMessageBytes - kFrameReserve - result->result_file.size();
  const size_t keep = std::min(OutputCapture::kKeep, room / 4);
  for (const bool error_stream : {false, true}) {
    Pipe& pipe = error_stream ? attempt.err : attempt.out;
    if (pipe.capture.total() > 2 * keep) {
      result->entry.flags |= error_stream ? kErrorOutputTruncated : kOutputTruncated;
      SendLive(attempt, pipe, error_stream ? 2 : 1);  // The logs have all of it.
    }
    (error_stream ? result->error_output : result->output) = pipe.capture.Text(keep);
  }
}

void ProcessLane::Impl::Finish(Attempt& attempt, Finished result) {
  ClosePipe(attempt.out);
  ClosePipe(attempt.err);
  if (attempt.scratch.has_value()) scratch->GiveBack(*std::move(attempt.scratch));
  if (attempt.progress_pipe.has_value()) {
    attempt_of_pipe.erase(*attempt.progress_pipe);
    progress_pipes.GiveBack(*attempt.progress_pipe);
  }
  if (result.entry.state != TaskState::kSucceeded) {
    result.words.details = attempt.progress().details;
    // One that was stopped did not come to an end of its own.
    const bool counts = result.entry.state == TaskState::kFailed && !attempt.timed_out;
    result.words.permanent = counts && attempt.words.permanent;
    if (counts) result.words.again = attempt.words.again;
  }
  result.entry.index = attempt.index;
  result.entry.attempt = attempt.number;
  result.entry.start_us = absl::ToUnixMicros(attempt.began_wall);
  result.entry.run_us = static_cast<uint32_t>(
      std::min<int64_t>(UINT32_MAX, absl::ToInt64Microseconds(Monotonic() - attempt.began)));
  Gathered& gathered = finished[attempt.span];
  if (gathered.results.empty()) gathered.since = Monotonic();
  gathered.bytes += result.bytes();
  gathered.results[attempt.index] = std::move(result);
  const auto work = works.find(attempt.span);
  if (work != works.end()) --work->second->running;
  if (attempt.note != nullptr) {
    attempt.note->End();
    free_notes.push_back(attempt.note);
  }
  attempts.erase(attempt.id);
}

void ProcessLane::Impl::EndIfDone(const std::shared_ptr<Work>& work) {
  if (work->todo.empty() && work->running == 0) works.erase(work->span.key);
}

void ProcessLane::Impl::Report(SpanKey span, std::map<TaskIndex, Finished> results) {
  ReportBuilder builder(span);
  for (auto& [index, result] : results) {
    result.entry.output = result.output;
    result.entry.error_output = result.error_output;
    result.entry.message = result.message;
    result.entry.result_file = result.result_file;
    if (!builder.empty() && builder.bytes() + result.bytes() > kReportBytes)
      told.reports.push_back(builder.Finish(worker_name));
    builder.Add(result.entry, &result.words);
  }
  told.reports.push_back(builder.Finish(worker_name));
}

void ProcessLane::Impl::Report() {
  const absl::Duration now = Monotonic();
  for (auto it = finished.begin(); it != finished.end();) {
    const auto work = works.find(it->first);
    const bool goes_on =
        work != works.end() && (!work->second->todo.empty() || work->second->running > 0);
    if (goes_on && !stopping && it->second.bytes < kReportBytes &&
        now < it->second.since + absl::Milliseconds(kGatherMs)) {
      ++it;
      continue;
    }
    Report(it->first, std::move(it->second.results));
    if (work != works.end()) EndIfDone(std::shared_ptr<Work>(work->second));
    it = finished.erase(it);
  }
}

void ProcessLane::Impl::OnEvent(const SpawnEvent& event) {
  const auto it = attempts.find(event.id);
  if (it == attempts.end()) return;
  Attempt& attempt = *it->second;
  if (event.fenced) attempt.cancelled = true;
  if (event.kind == SpawnEvent::Kind::kExited) return OnExit(attempt, event.wait_status);
  if (event.fenced) return OnExit(attempt, 0);
  if (event.directory) {
    return FailNow(attempt, Reason::kBadInput,
                   StrCat("cannot enter the working directory ",
                          attempt.job->command.working_directory, ": ", strerror(event.error)));
  }
  const std::string message = StrCat(
      attempt.program, ": ", event.error == ENOENT ? "command not found" : strerror(event.error));
  switch (event.error) {
    case ENOENT: return FailNow(attempt, Reason::kCommandNotFound, message);
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE: return FailNow(attempt, Reason::kResources, message);
    case E2BIG: return FailNow(attempt, Reason::kBadInput, message);
    default: return FailNow(attempt, Reason::kCommandNotExecutable, message);
  }
}

void ProcessLane::Impl::CheckTimes() {
  const absl::Duration now = Monotonic();
  for (auto& [id, attempt] : attempts) {
    if (now >= attempt->soft_deadline) {
      attempt->soft_deadline = absl::InfiniteDuration();
      attempt->told_to_end = true;
      channel->Kill(id, SIGTERM);
    }
    if (now >= attempt->deadline && !attempt->timed_out) {
      attempt->timed_out = true;
      channel->Kill(id, SIGTERM);
      attempt->kill_at = now + options.kill_grace;
    }
    if (now >= attempt->kill_at) {
      attempt->kill_at = absl::InfiniteDuration();
      channel->Kill(id, SIGKILL);
    }
    if (now - attempt->began < kLiveAfter) continue;
    SendLive(*attempt, attempt->out, 1);
    SendLive(*attempt, attempt->err, 2);
  }
}

void ProcessLane::Impl::Tell(Told what) {
  for (LaneOutput& output : what.outputs) sink->OnOutput(std::move(output));
  for (LaneReport& report : what.reports) sink->OnReport(std::move(report));
}

void ProcessLane::Impl::Receive() {
  std::vector<SpawnEvent> events;
  const bool open = channel->Receive(&events);
  for (const SpawnEvent& event : events) OnEvent(event);
  if (open) return;
  REEVE_LOG_ERROR("the supervisor is gone, ending");
  _exit(70);
}

void ProcessLane::Impl::Kill() {
  for (const auto& [id, signal] : std::exchange(kills, {})) {
    channel->Kill(id, signal);
    const auto it = attempts.find(id);
    if (it != attempts.end() && signal == SIGTERM)
      it->second->kill_at = Monotonic() + options.kill_grace;
  }
}

void ProcessLane::Impl::Loop() {
  constexpr uint64_t kChannel = ~0ull, kDoorbell = ~0ull - 1;
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (const auto& [fd, data] :
       {std::pair<int, uint64_t>{channel->fd(), kChannel}, {doorbell.fd(), kDoorbell}}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = data;
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
  int timeout_ms = -1;
  for (;;) {
    epoll_event ready[64];
    const int n = epoll_wait(poller, ready, 64, timeout_ms);
    bool has_ended = false;
    Told what;
    {
      MutexLock lock(&mu);
      bool from_channel = false;
      for (int i = 0; i < n; ++i) {
        if (ready[i].data.u64 == kChannel) {
          from_channel = true;
        } else if (ready[i].data.u64 == kDoorbell) {
          doorbell.Answer();
        } else if ((ready[i].data.u64 & kProgress) != 0) {
          ReadProgress(static_cast<size_t>(ready[i].data.u64 & ~kProgress));
        } else if (const auto it = attempts.find(ready[i].data.u64 >> 1); it != attempts.end()) {
          ReadPipe(*it->second, (ready[i].data.u64 & 1) != 0);
        }
      }
      if (from_channel) Receive();
      Kill();
      if (std::exchange(is_deadline_new, false)) channel->SetExclusiveDeadline(exclusive_until);
      CheckTimes();
      StartSome();
      Report();
      has_ended = stopping && attempts.empty() && finished.empty();
      timeout_ms = !finished.empty() ? kGatherMs : attempts.empty() ? -1 : kTickMs;
      what = std::exchange(told, {});
    }
    Tell(std::move(what));
    if (has_ended) break;
  }
  close(poller);
  close(no_input);
}

// ---- The lane ----

ProcessLane::ProcessLane(const ProcessLaneOptions& options, SpawnChannel* channel, LaneSink* sink)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  impl_->channel = channel;
  impl_->sink = sink;
  {
    MutexLock lock(&impl_->mu);
    impl_->scratch.emplace(options.scratch_root);
    impl_->results_folders.emplace(StrCat(options.scratch_root, "-results"));
  }
  for (uint32_t i = 0; options.notes != nullptr && i < options.slots; ++i)
    impl_->free_notes.push_back(options.notes->slot(options.first_note + i));
  impl_->thread = NamedThread("process-lane", [impl = impl_.get()] { impl->Loop(); });
}

ProcessLane::~ProcessLane() { Stop(absl::ZeroDuration()); }

void ProcessLane::Start(LaneSpan span) {
  auto work = std::make_shared<Work>();
  work->todo.Add(span.run);
  work->words = std::make_shared<Template>(TemplateOf(span.job->command));
  work->span = std::move(span);
  {
    MutexLock lock(&impl_->mu);
    impl_->works[work->span.key] = work;
    Enqueue(&impl_->queue, std::move(work));
  }
  impl_->doorbell.Ring();
}

std::vector<Run> ProcessLane::Cut(SpanKey key, TaskIndex from) {
  MutexLock lock(&impl_->mu);
  const auto it = impl_->works.find(key);
  if (it == impl_->works.end()) return {};
  const std::shared_ptr<Work> work = it->second;
  const TaskIndex end = work->span.run.end();
  if (from >= end) return {};
  const std::vector<Run> cut = work->todo.TakeOut({from, end - from});
  impl_->EndIfDone(work);
  return cut;
}

std::vector<Run> ProcessLane::Cancel(SpanKey key, Run run) {
  std::vector<Run> dropped;
  {
    MutexLock lock(&impl_->mu);
    const auto it = impl_->works.find(key);
    if (it == impl_->works.end()) return {};
    const std::shared_ptr<Work> work = it->second;
    dropped = work->todo.TakeOut(run);
    for (auto& [id, attempt] : impl_->attempts) {
      if (attempt->span != key || attempt->index < run.first || attempt->index >= run.end() ||
          attempt->cancelled)
        continue;
      attempt->cancelled = true;
      impl_->kills.emplace_back(id, SIGTERM);
    }
    impl_->EndIfDone(work);
  }
  impl_->doorbell.Ring();
  return dropped;
}

void ProcessLane::SetExclusiveDeadline(absl::Duration until) {
  {
    MutexLock lock(&impl_->mu);
    impl_->exclusive_until = until;
    impl_->is_deadline_new = true;
  }
  impl_->doorbell.Ring();
}

void ProcessLane::SetWorkerName(std::string name) {
  MutexLock lock(&impl_->mu);
  impl_->worker_name = std::move(name);
}

uint32_t ProcessLane::slots() const { return impl_->options.slots; }
uint32_t ProcessLane::stuck() const { return 0; }

std::vector<RunningAttempt> ProcessLane::Running(absl::Duration at_least, size_t limit) const {
  std::vector<RunningAttempt> running;
  const absl::Duration now = Monotonic();
  MutexLock lock(&impl_->mu);
  for (const auto& [id, attempt] : impl_->attempts) {
    if (now - attempt->began >= at_least)
      running.push_back(
          {attempt->job->job, attempt->index, now - attempt->began, attempt->progress()});
  }
  return Longest(std::move(running), limit);
}

void ProcessLane::Stop(absl::Duration) {
  {
    MutexLock lock(&impl_->mu);
    if (impl_->stopping) return;
    impl_->stopping = true;
    for (auto& [id, attempt] : impl_->attempts) {
      attempt->cancelled = true;
      impl_->kills.emplace_back(id, SIGKILL);
    }
  }
  impl_->doorbell.Ring();
  impl_->thread.join();
}

}  // namespace reeve
