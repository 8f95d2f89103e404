#include "worker/isolation/child_pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "reeve/isolation/v1/isolation.pb.h"
#include "worker/isolation/frames.h"
#include "worker/sdk/verdict.h"

extern char** environ;

namespace reeve {
namespace {

namespace pb = ::reeve::isolation::v1;

// How often a wait for a child looks whether its task was cancelled.
constexpr absl::Duration kLookEvery = absl::Milliseconds(20);
// A child that neither reads its task nor goes on with its answer for so long is given up.
constexpr timeval kTransferLimit{30, 0};
// From the end of its socket to the end of a process.
constexpr int kEndsWithinMs = 1000;

std::string EncodeTask(const std::string& handler, TaskContext& task, std::string_view input) {
  pb::IsolatedTask message;
  message.set_handler(handler);
  message.set_job_id(task.job().value);
  message.set_index(task.index());
  message.set_attempt(task.attempt());
  if (task.deadline() != absl::InfiniteFuture())
    message.set_deadline_unix_us(absl::ToUnixMicros(task.deadline()));
  message.mutable_params()->insert(task.params().begin(), task.params().end());
  message.set_input(input.data(), input.size());
  message.set_accepts_inputs(task.accepts_inputs());
  message.set_details(std::string(task.details()));
  return message.SerializeAsString();
}

absl::StatusOr<std::string> ReturnedBy(TaskContext& task, pb::IsolatedOutcome outcome) {
  if (outcome.code() == 0) {
    for (int i = 0; i < std::min(outcome.new_inputs_size(), outcome.new_keys_size()); ++i) {
      if (outcome.new_keys(i).size() != kInputKeyBytes) return absl::InternalError("a broken key");
      const InputKey key = KeyFromBytes(outcome.new_keys(i));
      if (absl::Status s = task.AddInput(key, outcome.new_inputs(i)); !s.ok()) return s;
    }
    for (const auto& [counter, by] : outcome.counts()) {
      if (absl::Status s = task.Count(counter, by); !s.ok()) return s;
    }
    return std::move(*outcome.mutable_output());
  }
  if (outcome.again_after_ms() > 0)
    return AgainAfter(absl::Milliseconds(outcome.again_after_ms() - 1), outcome.message());
  const auto code = static_cast<absl::StatusCode>(outcome.code());
  const absl::Status error = outcome.reason().empty()
                                 ? absl::Status(code, outcome.message())
                                 : MakeError(code, outcome.reason(), outcome.message());
  return outcome.permanent() ? Permanent(error) : error;
}

// A child that ended by itself in the middle of a task.
absl::Status DeathOf(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return MakeError(absl::StatusCode::kAborted, ToString(Reason::kSignalled),
                     StrCat("the handler's process was ended by signal ", WTERMSIG(wait_status),
                            " (", strsignal(WTERMSIG(wait_status)), ")"));
  }
  return MakeError(absl::StatusCode::kAborted, ToString(Reason::kExitNonzero),
                   StrCat("the handler's process ended with exit code ", WEXITSTATUS(wait_status)));
}

// Everything as in a fresh process, in a group of its own, with the socket as standard input.
int SpawnIn(const std::vector<std::string>& arguments, int socket, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

// Thread: the one that holds it.
class ChildPool::Child {
 public:
  static absl::StatusOr<std::unique_ptr<Child>> Start(const std::vector<std::string>& argv) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      return absl::ResourceExhaustedError(StrCat("no socket for a child: ", strerror(errno)));
    pid_t pid = 0;
    const int error = SpawnIn(argv, pair[1], &pid);
    close(pair[1]);
    if (error == 0) return std::unique_ptr<Child>(new Child(pid, pair[0]));
    close(pair[0]);
    return absl::ResourceExhaustedError(StrCat("no child could be started: ", strerror(error)));
  }
  ~Child() {
    close(fd_);
    if (is_reaped_) return;
    Signal(SIGKILL);
    Reap();
  }

  // REQUIRES: not reaped, or the group's number may be anyone's.
  void Signal(int signal) { kill(-pid_, signal); }
  // Waits for the end of the process, which has closed its socket; ends it if that takes long.
  // Returns: its wait status.
  int Reap() {
    // The header of glibc 2.36 is not for C++.
    if (const auto process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)); process >= 0) {
      pollfd wait{process, POLLIN, 0};
      poll(&wait, 1, kEndsWithinMs);
      close(process);
    }
    Signal(SIGKILL);  // The rest of the group. Changes nothing for a process that has ended.
    is_reaped_ = true;
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }

  bool Send(std::string_view frame) { return SendFrame(fd_, frame); }
  // Waits for what comes, or the end of the process. Returns: false if there was neither.
  bool Await(absl::Duration at_most) {
    pollfd wait{fd_, POLLIN, 0};
    const auto ms = absl::ToInt64Milliseconds(absl::Ceil(at_most, absl::Milliseconds(1)));
    return poll(&wait, 1, static_cast<int>(std::max<int64_t>(0, ms))) > 0;
  }
  bool Receive(pb::IsolatedOutcome* outcome) {
    std::string frame;
    if (!ReceiveFrame(fd_, &frame) || !outcome->ParseFromString(frame)) return false;
    tasks_ += outcome->goes_on() ? 0 : 1;
    return true;
  }
  uint32_t tasks() const { return tasks_; }

 private:
  Child(pid_t pid, int fd) : pid_(pid), fd_(fd) {
    for (const int option : {SO_SNDTIMEO, SO_RCVTIMEO})
      setsockopt(fd_, SOL_SOCKET, option, &kTransferLimit, sizeof kTransferLimit);
  }

  const pid_t pid_;
  const int fd_;
  uint32_t tasks_ = 0;  // Done.
  bool is_reaped_ = false;
};

// What a child says or asks on its way.
void ChildPool::PassOn(TaskContext& task, const pb::IsolatedOutcome& said, Child& child) {
  if (said.logs()) task.Log(said.line());
  if (said.progresses()) task.Progress(said.done(), said.note());
  if (said.keeps_details()) (void)task.KeepDetails(said.details());
  if (said.wants_result()) {
    pb::IsolatedResult answer;
    const auto result = task.predecessor_result(said.predecessor(), said.result_index());
    answer.set_found(result.has_value());
    if (result.has_value()) answer.set_result(std::string(*result));
    child.Send(answer.SerializeAsString());
  }
  if (!said.wants_scratch()) return;
  pb::IsolatedScratch answer;
  const auto folder = task.ScratchFolder();
  if (folder.ok()) {
    answer.set_path(*folder);
  } else {
    answer.set_error(std::string(folder.status().message()));
  }
  child.Send(answer.SerializeAsString());
}

ChildPool::ChildPool(Options options) : options_(std::move(options)) {}
ChildPool::~ChildPool() = default;

std::unique_ptr<ChildPool::Child> ChildPool::Take() {
  MutexLock lock(&mu_);
  if (idle_.empty()) return nullptr;
  std::unique_ptr<Child> child = std::move(idle_.back());
  idle_.pop_back();
  return child;
}

void ChildPool::GiveBack(std::unique_ptr<Child> child) {
  MutexLock lock(&mu_);
  idle_.push_back(std::move(child));
}

absl::StatusOr<std::string> ChildPool::Run(const std::string& handler, const HandlerOptions& limits,
                                           TaskContext& task, std::string_view input) {
  const std::string frame = EncodeTask(handler, task, input);
  std::unique_ptr<Child> child = Take();
  // One that died while it was idle has begun nothing.
  while (child != nullptr && !child->Send(frame)) child = Take();
  if (child == nullptr) {
    auto started = Child::Start(options_.argv);
    if (!started.ok()) return started.status();
    child = *std::move(started);
    child->Send(frame);  // If it is gone already, the wait below tells why.
  }
  absl::Time kill_at = absl::InfiniteFuture();
  bool is_told = false;  // To end. A cancellation after the soft time limit is not told again.
  pb::IsolatedOutcome outcome;
  for (;;) {
    const absl::Time now = absl::Now();
    const absl::Time end = std::min(task.deadline(), kill_at);
    if (now < end && child->Await(std::min(kLookEvery, end - now))) {
      if (!child->Receive(&outcome)) return DeathOf(child->Reap());
      if (!outcome.goes_on()) break;
      PassOn(task, outcome, *child);
    } else if (now >= end) {
      if (now < task.deadline()) return absl::CancelledError("cancelled");
      return MakeError(absl::StatusCode::kDeadlineExceeded, ToString(Reason::kTimeout),
                       "the time limit passed");
    }
    if (task.cancelled() && !std::exchange(is_told, true)) child->Signal(SIGTERM);
    if (task.discarded() && kill_at == absl::InfiniteFuture())
      kill_at = now + options_.cancel_grace;
  }
  const bool reusable = !is_told && child->tasks() < limits.recycle_after_tasks &&
                        outcome.resident_bytes() <= limits.recycle_above_bytes;
  if (reusable) GiveBack(std::move(child));
  return ReturnedBy(task, std::move(outcome));
}

HandlerRegistry Isolated(const HandlerRegistry& registry, ChildPool* pool) {
  HandlerRegistry offered = registry;
  for (const std::string& name : registry.names()) {
    const HandlerOptions& options = registry.options(name);
    if (options.isolation == Isolation::kNone) continue;
    offered.Add(
        name,
        [pool, name, options](TaskContext& task, std::string_view input) {
          return pool->Run(name, options, task, input);
        },
        options);
  }
  return offered;
}

}  // namespace reeve
