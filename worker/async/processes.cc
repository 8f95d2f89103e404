#include "worker/async/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/strings.h"
#include "worker/async/event_loop.h"
#include "worker/supervisor/command_basics.h"

namespace reeve {
namespace {

constexpr size_t kReadBytes = 64u << 10;

struct Stream {
  int fd = -1;
  std::string text;
};

// What a started process is made of; closed by whoever has it.
struct Started {
  pid_t pid = -1;
  int end = -1;  // Readable once it has ended.
  int output = -1, error_output = -1;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentOf(const ProcessOrder& order) {
  std::vector<std::string> environment;
  for (const std::string& variable : InheritedEnvironment()) {
    if (!order.environment.contains(variable.substr(0, variable.find('='))))
      environment.push_back(variable);
  }
  for (const auto& [name, value] : order.environment)
    environment.push_back(StrCat(name, "=", value));
  return environment;
}

// Everything as in a fresh process, in a group of its own. Returns: 0, or an errno.
int SpawnWith(const ProcessOrder& order, int input, int output, int error_output, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error_output, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  if (!order.working_directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions, order.working_directory.c_str());
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const std::vector<std::string> environment = EnvironmentOf(order);
  const int error = posix_spawnp(pid, order.argv[0].c_str(), &actions, &attributes,
                                 Pointers(order.argv).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Returns: "", or why there is none.
std::string StartOne(const ProcessOrder& order, Started* started) {
  if (order.argv.empty() || order.argv[0].empty()) return "the command is empty";
  int output[2] = {-1, -1}, error_output[2] = {-1, -1};
  const int input = OpenAsInput(order.input);
  int error = input < 0 || pipe2(output, O_CLOEXEC) != 0 || pipe2(error_output, O_CLOEXEC) != 0
                  ? errno
                  : SpawnWith(order, input, output[1], error_output[1], &started->pid);
  if (error == 0) {
    // The header of glibc 2.36 is not for C++.
    started->end = static_cast<int>(syscall(SYS_pidfd_open, started->pid, 0));
    if (started->end < 0) error = errno;
  }
  for (const int fd : {input, output[1], error_output[1]}) {
    if (fd >= 0) close(fd);
  }
  if (error == 0) {
    started->output = output[0];
    started->error_output = error_output[0];
    for (const int fd : {output[0], error_output[0]}) fcntl(fd, F_SETFL, O_NONBLOCK);
    return "";
  }
  for (const int fd : {output[0], error_output[0]}) {
    if (fd >= 0) close(fd);
  }
  if (started->pid > 0) {
    kill(-started->pid, SIGKILL);
    waitpid(started->pid, nullptr, 0);
  }
  return StrCat(order.argv[0], ": ", strerror(error));
}

}  // namespace

struct Processes::Impl {
  struct Process {
    pid_t pid = -1;
    int end = -1;
    size_t keep = 0;
    Stream output, error_output;
    bool is_cut = false;
    std::function<void(ProcessEnd)> done;
    std::string error;  // It never ran.
  };

  EventLoop* loop;
  uint64_t next_number = 1;
  std::map<uint64_t, Process> processes;

  void Read(Process& process, Stream& stream);
  void CloseStream(Stream& stream);
  void OnEnd(uint64_t number);
  void OnFailed(uint64_t number);
};

void Processes::Impl::CloseStream(Stream& stream) {
  if (stream.fd < 0) return;
  loop->Watch(stream.fd, false, false, nullptr);
  close(stream.fd);
  stream.fd = -1;
}

void Processes::Impl::Read(Process& process, Stream& stream) {
  thread_local char buffer[kReadBytes];
  while (stream.fd >= 0) {
    const ssize_t n = read(stream.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return CloseStream(stream);
    const size_t room = process.keep - stream.text.size();
    process.is_cut = process.is_cut || static_cast<size_t>(n) > room;
    stream.text.append(buffer, std::min(room, static_cast<size_t>(n)));
  }
}

void Processes::Impl::OnEnd(uint64_t number) {
  const auto it = processes.find(number);
  if (it == processes.end()) return;
  Process& process = it->second;
  // What is left of the group holds the pipes open: once it is dead, they have an end.
  kill(-process.pid, SIGKILL);
  int status = 0;
  while (waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
  }
  loop->Watch(process.end, false, false, nullptr);
  close(process.end);
  for (Stream* stream : {&process.output, &process.error_output}) {
    Read(process, *stream);
    CloseStream(*stream);
  }
  ProcessEnd end;
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  end.output = std::move(process.output.text);
  end.error_output = std::move(process.error_output.text);
  end.is_cut = process.is_cut;
  const std::function<void(ProcessEnd)> done = std::move(process.done);
  processes.erase(it);
  if (done) done(std::move(end));
}

void Processes::Impl::OnFailed(uint64_t number) {
  const auto it = processes.find(number);
  if (it == processes.end()) return;
  ProcessEnd end;
  end.error = std::move(it->second.error);
  const std::function<void(ProcessEnd)> done = std::move(it->second.done);
  processes.erase(it);
  done(std::move(end));
}

Processes::Processes(EventLoop* loop) : impl_(std::make_unique<Impl>()) { impl_->loop = loop; }

Processes::~Processes() {
  for (auto& [number, process] : impl_->processes) {
    if (process.pid > 0) kill(-process.pid, SIGKILL);
  }
}

uint64_t Processes::Start(const ProcessOrder& order, std::function<void(ProcessEnd)> done) {
  const uint64_t number = impl_->next_number++;
  Impl::Process& process = impl_->processes[number];
  process.done = std::move(done);
  process.keep = order.max_output_bytes;
  Started started;
  process.error = StartOne(order, &started);
  if (!process.error.empty()) {
    impl_->loop->Post([impl = impl_.get(), number] { impl->OnFailed(number); });
    return number;
  }
  process.pid = started.pid;
  process.end = started.end;
  process.output.fd = started.output;
  process.error_output.fd = started.error_output;
  Impl* impl = impl_.get();
  impl->loop->Watch(started.end, true, false, [impl, number](bool, bool) { impl->OnEnd(number); });
  // Maps keep their elements where they are, and a stream is forgotten before its process.
  for (Stream* stream : {&process.output, &process.error_output}) {
    impl->loop->Watch(stream->fd, true, false,
                      [impl, &process, stream](bool, bool) { impl->Read(process, *stream); });
  }
  return number;
}

void Processes::Stop(uint64_t number) {
  const auto it = impl_->processes.find(number);
  if (it == impl_->processes.end()) return;
  if (it->second.pid < 0) {
    impl_->processes.erase(it);
    return;
  }
  it->second.done = nullptr;  // Its end is still taken.
  kill(-it->second.pid, SIGKILL);
}

}  // namespace reeve
