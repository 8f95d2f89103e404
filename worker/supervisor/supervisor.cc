#include "worker/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "worker/supervisor/crash_notes.h"
#include "worker/supervisor/orphans.h"
#include "worker/supervisor/spawn_protocol.h"

namespace reeve {
namespace {

constexpr int kExitFault = 70;

// Of a worker proper whose threads are stuck: it has drained, and nothing of it crashed.
constexpr int kExitStuck = 75;

bool IsFinal(int code) { return code == 0 || code == 2 || code == 3 || code == 73 || code == 78; }

// What execve needs, made before vfork: the child may not allocate.
struct ExecPlan {
  std::vector<char*> argv, environment;
  std::vector<std::string> candidates;
  std::vector<char*> script_argv;  // For a file without `#!`.
};

ExecPlan MakePlan(SpawnRequest& request) {
  ExecPlan plan;
  for (std::string& argument : request.argv) plan.argv.push_back(argument.data());
  plan.argv.push_back(nullptr);
  std::string path = "/usr/local/bin:/usr/bin:/bin";
  for (std::string& variable : request.environment) {
    plan.environment.push_back(variable.data());
    if (variable.rfind("PATH=", 0) == 0) path = variable.substr(5);
  }
  plan.environment.push_back(nullptr);
  const std::string& program = request.argv.front();
  if (program.find('/') != std::string::npos) {
    plan.candidates.push_back(program);
  } else {
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find(':', begin), path.size());
      const std::string folder = path.substr(begin, end - begin);
      plan.candidates.push_back(StrCat(folder.empty() ? "." : folder, "/", program));
      begin = end + 1;
    }
  }
  plan.script_argv.push_back(const_cast<char*>("sh"));
  plan.script_argv.push_back(nullptr);
  plan.script_argv.insert(plan.script_argv.end(), plan.argv.begin() + 1, plan.argv.end());
  return plan;
}

// Why a command could not be started. The vforked child writes it into the memory it shares with
// its parent, which goes on only after the child's exec or end.
struct SpawnFault {
  int error = 0;
  bool at_directory = false;
};

[[noreturn]] void GiveUp(volatile SpawnFault* fault, int error, bool at_directory) {
  fault->error = error;
  fault->at_directory = at_directory;
  _exit(127);
}

// Signals that this process ignores because its parent did: exec would pass that on, while it
// resets handlers by itself.
std::vector<int> IgnoredSignals() {
  std::vector<int> ignored;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      ignored.push_back(signal);
  }
  return ignored;
}

// Of the calling process. Returns: false with errno if the system refuses it.
bool SetLimit(const ResourceLimit& limit) {
  rlimit own;
  const auto resource = static_cast<__rlimit_resource>(limit.resource);
  if (getrlimit(resource, &own) != 0) return false;
  own.rlim_max = std::min<rlim_t>(limit.hard, own.rlim_max);
  own.rlim_cur = std::min<rlim_t>(limit.soft, own.rlim_max);
  return setrlimit(resource, &own) == 0;
}

// Runs in the vforked child: only system calls.
[[noreturn]] void ExecChild(ExecPlan& plan, const SpawnRequest& request,
                            const std::vector<int>& ignored_signals, pid_t parent,
                            volatile SpawnFault* fault) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // It died before it was asked for.
  // No set-user-ID program gives a task more than the worker has.
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  umask(077);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  for (const int signal : ignored_signals) ::signal(signal, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const std::string& directory = request.working_directory;
  if (!directory.empty() && chdir(directory.c_str()) != 0) {
    GiveUp(fault, errno, true);
  }
  dup2(request.standard_input, STDIN_FILENO);
  dup2(request.standard_output, STDOUT_FILENO);
  dup2(request.standard_error, STDERR_FILENO);
  // Last: it may replace one of those above. In its place already, it only has to stay.
  if (request.progress == kProgressFd) fcntl(kProgressFd, F_SETFD, 0);
  if (request.progress >= 0) dup2(request.progress, kProgressFd);
  // All of ours close by themselves. What the worker itself inherited does not.
  const int first_unwanted = request.progress >= 0 ? kProgressFd + 1 : kProgressFd;
  if (close_range(static_cast<unsigned>(first_unwanted), ~0U, 0) != 0) GiveUp(fault, errno, false);
  for (const ResourceLimit& limit : request.limits) {
    if (!SetLimit(limit)) GiveUp(fault, errno, false);
  }
  int worst = ENOENT;
  for (const std::string& candidate : plan.candidates) {
    execve(candidate.c_str(), plan.argv.data(), plan.environment.data());
    if (errno == ENOEXEC) {
      plan.script_argv[1] = const_cast<char*>(candidate.c_str());
      execve("/bin/sh", plan.script_argv.data(), plan.environment.data());
    }
    if (errno != ENOENT && errno != ENOTDIR) worst = errno;
  }
  GiveUp(fault, worst, false);
}

// If memory runs out the command goes, not the worker. Not by the child itself: as a vforked child
// of a process whose memory is private it may not.
void LetGoFirst(pid_t pid) {
  const int fd = open(StrCat("/proc/", pid, "/oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "500", 3) != 3) REEVE_LOG_DEBUG("no oom_score_adj errno={}", errno);
  close(fd);
}

class Supervisor {
 public:
  Supervisor(const SupervisorOptions& options, const std::function<int(SpawnChannel&)>& worker)
      : options_(options), worker_(worker) {}

  int Run();

 private:
  void StartWorker();
  void OnSignals();
  void OnJoined();
  void Reap();
  void OnSocket();
  void OnRecord(SpawnMessage type, const std::string& body);
  void Spawn(SpawnRequest request);
  void Tell(const SpawnEvent& event);
  void SendTold();
  void KillAll();
  void Sweep(std::optional<uint64_t> ended);
  std::set<pid_t> OwnChildren() const;
  void OnWorkerExit(int status);
  void Fence();
  int PollTimeout() const;

  const SupervisorOptions options_;
  const std::function<int(SpawnChannel&)>& worker_;
  int signals_ = -1, socket_ = -1;
  pid_t worker_pid_ = 0;
  std::string incoming_, outgoing_;
  std::deque<int> received_;  // Descriptors, three a spawn.
  struct Command {
    std::optional<uint64_t> id;  // None: of a worker proper that is gone.
    uint64_t mark = 0;           // Unlike ids not used again by the next worker proper.
    bool exclusive = false, fenced = false;
    int standard_output = -1, standard_error = -1;  // Open until the end has been told.
  };
  const std::vector<int> ignored_signals_ = IgnoredSignals();
  std::vector<int> ended_streams_;  // To be closed once what is told has been sent.
  std::map<uint64_t, pid_t> running_;
  std::map<pid_t, Command> commands_;  // Until they are reaped.
  uint64_t next_mark_ = 1;
  Orphans orphans_;
  absl::Duration exclusive_until_ = absl::ZeroDuration();
  absl::Duration backoff_;
  absl::Time started_;
  bool stopping_ = false;
  std::optional<int> exit_;
};

void Supervisor::StartWorker() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    REEVE_LOG_ERROR("socketpair failed errno={}", errno);
    exit_ = kExitFault;
    return;
  }
  started_ = absl::Now();
  worker_pid_ = fork();
  if (worker_pid_ == 0) {
    close(pair[0]);
    close(signals_);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    int code;
    {
      SpawnChannel channel(pair[1]);
      code = worker_(channel);
    }
    // Threads that never return may still run: no destructors.
    _exit(code);
  }
  close(pair[1]);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  socket_ = pair[0];
  incoming_.clear();
  outgoing_.clear();
}

void Supervisor::KillAll() {
  for (const auto& [pid, command] : commands_) kill(-pid, SIGKILL);
  orphans_.KillAll(OwnChildren());
}

std::set<pid_t> Supervisor::OwnChildren() const {
  std::set<pid_t> own;
  if (worker_pid_ > 0) own.insert(worker_pid_);
  for (const auto& [pid, command] : commands_) own.insert(pid);
  return own;
}

void Supervisor::Sweep(std::optional<uint64_t> ended) {
  std::set<uint64_t> running;
  for (const auto& [pid, command] : commands_) running.insert(command.mark);
  orphans_.Sweep(running, ended, OwnChildren());
}

void Supervisor::OnWorkerExit(int status) {
  KillAll();
  running_.clear();
  for (auto& [pid, command] : commands_) command.id.reset();
  for (const int fd : received_) {
    if (fd >= 0) close(fd);
  }
  received_.clear();
  close(socket_);
  socket_ = -1;
  worker_pid_ = 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  const bool in_order = WIFEXITED(status) && (IsFinal(code) || code == kExitStuck);
  if (options_.notes != nullptr) in_order ? options_.notes->Clear() : options_.notes->Keep();
  if (stopping_ || (WIFEXITED(status) && IsFinal(code))) {
    exit_ = code;
    return;
  }
  if (absl::Now() - started_ > absl::Minutes(1)) backoff_ = options_.first_backoff;
  REEVE_LOG_WARNING("worker died code={} restarts_in_ms={}", code,
                    absl::ToInt64Milliseconds(backoff_));
  // Short, and nobody else is served while there is no worker.
  absl::SleepFor(backoff_);
  backoff_ = std::min(backoff_ * 2, options_.longest_backoff);
  StartWorker();
}

void Supervisor::Reap() {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    const pid_t pid = info.si_pid;
    // Not reaped yet, so the group's number cannot be anyone else's.
    if (pid != worker_pid_) kill(-pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    if (pid == worker_pid_) {
      OnWorkerExit(status);
      continue;
    }
    orphans_.Forget(pid);
    const auto it = commands_.find(pid);
    if (it == commands_.end()) {
      Sweep({});  // An orphan: what it leaves is ours now.
      continue;
    }
    const Command command = it->second;
    commands_.erase(it);
    ended_streams_.insert(ended_streams_.end(), {command.standard_output, command.standard_error});
    Sweep(command.mark);
    if (!command.id.has_value()) continue;
    SpawnEvent event;
    event.kind = SpawnEvent::Kind::kExited;
    event.id = *command.id;
    event.wait_status = status;
    event.fenced = command.fenced;
    running_.erase(*command.id);
    Tell(event);
  }
}

void Supervisor::OnSignals() {
  signalfd_siginfo info;
  bool children = false;
  while (read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      children = true;
      continue;
    }
    if (!std::exchange(stopping_, true) && options_.on_stopping != nullptr) options_.on_stopping();
    if (worker_pid_ > 0) kill(worker_pid_, SIGTERM);
  }
  if (children) Reap();
}

void Supervisor::OnJoined() {
  uint64_t times = 0;
  if (read(options_.joined, &times, sizeof times) != sizeof times) return;
  if (!stopping_ && options_.on_joined != nullptr) options_.on_joined();
}

void Supervisor::Tell(const SpawnEvent& event) { outgoing_ += EncodeEvent(event); }

void Supervisor::SendTold() {
  if (socket_ >= 0 && !outgoing_.empty()) {
    const ssize_t sent =
        send(socket_, outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) outgoing_.erase(0, static_cast<size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) outgoing_.clear();
  }
  for (const int fd : std::exchange(ended_streams_, {})) {
    if (fd >= 0) close(fd);
  }
}

void Supervisor::Spawn(SpawnRequest request) {
  SpawnEvent event;
  event.id = request.id;
  const int fds[] = {request.standard_input, request.standard_output, request.standard_error};
  volatile SpawnFault fault;
  event.fenced = request.exclusive && Boottime() >= exclusive_until_;
  if (event.fenced) {
    fault.error = ECANCELED;
  } else if (fds[0] < 0) {
    fault.error = EMFILE;
  }
  const uint64_t mark = next_mark_++;
  request.environment.push_back(orphans_.Mark(mark));
  ExecPlan plan = MakePlan(request);
  pid_t pid = -1;
  if (fault.error == 0) {
    const pid_t own = getpid();
    pid = vfork();
    if (pid == 0) ExecChild(plan, request, ignored_signals_, own, &fault);
    if (pid < 0) fault.error = errno;
  }
  for (const int fd : {fds[0], request.progress}) {
    if (fd >= 0) close(fd);
  }
  if (fault.error != 0) {
    ended_streams_.insert(ended_streams_.end(), {fds[1], fds[2]});
    if (pid > 0) waitpid(pid, nullptr, 0);
    event.kind = SpawnEvent::Kind::kFailed;
    event.error = fault.error;
    event.directory = fault.at_directory;
    return Tell(event);
  }
  LetGoFirst(pid);
  running_[request.id] = pid;
  commands_[pid] = {.id = request.id,
                    .mark = mark,
                    .exclusive = request.exclusive,
                    .standard_output = fds[1],
                    .standard_error = fds[2]};
}

void Supervisor::OnRecord(SpawnMessage type, const std::string& body) {
  if (type == SpawnMessage::kKill) {
    uint64_t id = 0;
    int signal = 0;
    if (!DecodeKill(body, &id, &signal)) return;
    const auto it = running_.find(id);
    if (it != running_.end()) kill(-it->second, signal);
    return;
  }
  if (type == SpawnMessage::kDeadline) {
    absl::Duration until;
    if (DecodeDeadline(body, &until)) exclusive_until_ = until;
    return;
  }
  if (type != SpawnMessage::kSpawn || received_.size() < kSpawnDescriptors) return;
  SpawnRequest request;
  if (!DecodeSpawn(body, &request)) {
    REEVE_LOG_ERROR("a request to spawn was not understood bytes={}", body.size());
    return;
  }
  request.standard_input = received_[0];
  request.standard_output = received_[1];
  request.standard_error = received_[2];
  if (request.progress >= 0) {
    request.progress = received_[3];
  } else if (received_[3] >= 0) {
    close(received_[3]);
  }
  received_.erase(received_.begin(), received_.begin() + kSpawnDescriptors);
  Spawn(std::move(request));
}

void Supervisor::OnSocket() {
  for (;;) {
    char buffer[64 << 10];
    iovec part{buffer, sizeof buffer};
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // Gone: SIGCHLD tells.
    const size_t before = received_.size();
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
        received_.push_back(fd);
      }
    }
    // No descriptors left here: the request is refused, and the next one gets its own.
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      for (size_t i = before; i < received_.size(); ++i) close(received_[i]);
      received_.resize(before);
      received_.insert(received_.end(), kSpawnDescriptors, -1);
    }
    incoming_.append(buffer, static_cast<size_t>(n));
  }
  SpawnMessage type;
  std::string body;
  while (TakeRecord(&incoming_, &type, &body)) OnRecord(type, body);
}

// Exclusive commands whose worker proper has not been heard by the master for too long.
void Supervisor::Fence() {
  if (Boottime() < exclusive_until_) return;
  for (auto& [pid, command] : commands_) {
    if (command.exclusive && !std::exchange(command.fenced, true)) kill(-pid, SIGKILL);
  }
}

int Supervisor::PollTimeout() const {
  const bool any = std::any_of(commands_.begin(), commands_.end(), [](const auto& command) {
    return command.second.exclusive && !command.second.fenced;
  });
  if (!any) return -1;
  const absl::Duration left =
      std::clamp(exclusive_until_ - Boottime(), absl::ZeroDuration(), absl::Minutes(1));
  return static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
}

int Supervisor::Run() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&wanted, signal);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  signals_ = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  backoff_ = options_.first_backoff;
  StartWorker();
  while (!exit_.has_value()) {
    // Negative ones are not looked at.
    pollfd fds[3] = {{signals_, POLLIN, 0},
                     {socket_, static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT)), 0},
                     {options_.joined, POLLIN, 0}};
    poll(fds, 3, PollTimeout());
    Fence();
    if (fds[0].revents != 0) OnSignals();
    if (fds[2].revents != 0) OnJoined();
    if (socket_ >= 0 && (fds[1].revents & POLLIN) != 0) OnSocket();
    SendTold();
  }
  do {
    orphans_.KillAll({});
  } while (waitpid(-1, nullptr, 0) > 0);
  return *exit_;
}

}  // namespace

int RunSupervised(const SupervisorOptions& options,
                  const std::function<int(SpawnChannel&)>& worker) {
  return Supervisor(options, worker).Run();
}

}  // namespace reeve
