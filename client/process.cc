#include "client/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "base/state_folder.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr int kExecFailed = 127;

absl::Status SystemError(std::string_view what) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LOCAL",
                   StrCat(what, ": ", strerror(errno)));
}

// Field 22 of /proc/PID/stat; 0 if the process does not run (a zombie does not).
uint64_t StartTicks(pid_t pid) {
  std::ifstream file(StrCat("/proc/", pid, "/stat"));
  std::string stat;
  if (!std::getline(file, stat)) return 0;
  // The name in parentheses may hold anything.
  const size_t close = stat.rfind(')');
  if (close == std::string::npos || close + 2 >= stat.size()) return 0;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(close + 2), ' ');
  constexpr size_t kState = 0, kStartTime = 19;  // Counted behind the name.
  uint64_t ticks = 0;
  if (fields.size() <= kStartTime || fields[kState] == "Z" || fields[kState] == "X") return 0;
  return absl::SimpleAtoi(fields[kStartTime], &ticks) ? ticks : 0;
}

// Runs in the child: only calls that are safe between fork and exec.
[[noreturn]] void BecomeDaemon(const ProcessSpec& spec, char* const* argv, int log, pid_t parent) {
  setsid();
  if (!spec.is_detached) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(kExecFailed);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  syscall(SYS_close_range, 3U, ~0U, 0);
  execv(argv[0], argv);
  _exit(kExecFailed);
}

}  // namespace

absl::StatusOr<ProcessId> StartProcess(const ProcessSpec& spec) {
  if (access(spec.argv[0].c_str(), X_OK) != 0) return SystemError(spec.argv[0]);
  std::vector<char*> argv;
  for (const std::string& argument : spec.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int log = open(spec.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return SystemError(spec.log_file);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeDaemon(spec, argv.data(), log, parent);
  close(log);
  if (pid < 0) return SystemError(StrCat("cannot start ", spec.name));
  const ProcessId process{pid, StartTicks(pid)};
  const absl::Status written =
      WriteSecretFile(spec.pid_file, StrCat(pid, " ", process.start_ticks, "\n"));
  if (!written.ok()) return written;
  return process;
}

std::optional<ProcessId> FindProcess(const std::string& pid_file) {
  std::ifstream file(pid_file);
  ProcessId process;
  if (!(file >> process.pid >> process.start_ticks) || process.pid <= 0) return std::nullopt;
  if (!IsRunning(process)) return std::nullopt;
  return process;
}

bool IsRunning(const ProcessId& process) {
  const uint64_t ticks = StartTicks(process.pid);
  return ticks != 0 && ticks == process.start_ticks;
}

std::optional<std::string> ReapChild(const ProcessId& process) {
  int status = 0;
  if (waitpid(process.pid, &status, WNOHANG) != process.pid) return std::nullopt;
  if (WIFSIGNALED(status)) return StrCat("was ended by signal ", WTERMSIG(status));
  return StrCat("exited with ", WEXITSTATUS(status));
}

void SendSignal(const ProcessId& process, int signal) {
  if (IsRunning(process)) kill(process.pid, signal);
}

bool WaitForEnd(const ProcessId& process, absl::Time deadline) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  while (IsRunning(process)) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) break;
    pollfd ended{fd, POLLIN, 0};
    poll(&ended, fd >= 0 ? 1 : 0,
         static_cast<int>(
             absl::ToInt64Milliseconds(std::min(left, fd >= 0 ? left : absl::Milliseconds(20)))) +
             1);
  }
  if (fd >= 0) close(fd);
  ReapChild(process);
  return !IsRunning(process);
}

std::string TailOf(const std::string& path, size_t lines) {
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  std::vector<std::string> all = absl::StrSplit(content.str(), '\n', absl::SkipEmpty());
  std::string tail;
  for (size_t i = all.size() > lines ? all.size() - lines : 0; i < all.size(); ++i) {
    StrAppend(&tail, "  ", all[i], "\n");
  }
  return tail;
}

}  // namespace reeve
