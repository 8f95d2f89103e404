// A daemon of a local cluster: started, found again by its pid file, and stopped.
//
// Thread: one; children are tied to the thread that started them.

#ifndef REEVE_CLIENT_PROCESS_H_
#define REEVE_CLIENT_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reeve {

struct ProcessSpec {
  std::string name;               // `master`, `worker-1`.
  std::vector<std::string> argv;  // [0] is the path of the program.
  std::string pid_file;
  std::string log_file;  // Standard output and error are added to it.
  // Lives on when its starter ends. Otherwise SIGTERM reaches it when the starter dies.
  bool is_detached = false;
};

// A process told apart from a later one of the same pid.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // Since boot.
};

// Starts the program and writes its pid file. It gets no standard input, and a process group of its
// own, so that Ctrl-C in the terminal does not reach it. Errors: what the system says, with the
// name of the program.
absl::StatusOr<ProcessId> StartProcess(const ProcessSpec& spec);

// The process of a pid file, if it runs.
std::optional<ProcessId> FindProcess(const std::string& pid_file);

bool IsRunning(const ProcessId& process);

// How a child ended, in words, if it has: `exited with 73`. Reaps it.
std::optional<std::string> ReapChild(const ProcessId& process);

void SendSignal(const ProcessId& process, int signal);

// Waits until it has ended; reaps it if it is a child. Returns: false if `deadline` passed first.
bool WaitForEnd(const ProcessId& process, absl::Time deadline);

// The last `lines` lines of a log.
std::string TailOf(const std::string& path, size_t lines);

}  // namespace reeve

#endif  // REEVE_CLIENT_PROCESS_H_
