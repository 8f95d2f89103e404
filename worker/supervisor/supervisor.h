// The supervisor: the single-threaded parent of a worker.
//
// It forks the worker proper before any thread exists, starts commands on its behalf, reaps and
// kills them, restarts the worker when it dies, and leaves nothing behind. Commands are its own
// children because a parent-death signal fires when the spawning thread ends, and because forking a
// process with threads is unsafe.
//
// Each command is the leader of a process group. When the leader ends, the rest of the group is
// killed, and with it whatever descendant has left the group (orphans.h); when the worker proper
// dies, all are. A command sees one more variable than it was given, REEVE_COMMAND.
//
// A command costs two wake-ups here: one to start it, one at its end. Its streams stay open here
// until its end has been told, so that the reader of its pipes is woken up by that alone, and not
// by each of them before.
//
// Thread: RunSupervised runs on the main thread; SpawnChannel belongs to one thread of the worker
// proper.

#ifndef REEVE_WORKER_SUPERVISOR_SUPERVISOR_H_
#define REEVE_WORKER_SUPERVISOR_SUPERVISOR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reeve {

// Set before the program starts: the lower of it and of what the supervisor itself may use.
struct ResourceLimit {
  int resource = 0;  // RLIMIT_CPU, …
  uint64_t soft = 0, hard = 0;
};

struct SpawnRequest {
  uint64_t id = 0;  // The caller's, not in use.
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // NAME=VALUE
  std::string working_directory;
  bool exclusive = false;  // Only until the deadline set last.
  std::vector<ResourceLimit> limits;
  int standard_input = -1, standard_output = -1,
      standard_error = -1;  // Passed on; the caller closes its own.
  int progress = -1;        // The same, as kProgressFd in the command; -1: none.
};

inline constexpr int kProgressFd = 3;

// What the supervisor tells.
struct SpawnEvent {
  // A start that worked is not told: the word would wake the worker proper up for nothing.
  enum class Kind : uint8_t { kFailed = 1, kExited = 2 };
  Kind kind = Kind::kFailed;
  uint64_t id = 0;
  int error =
      0;  // kFailed: errno of what went wrong; ENOENT: no such program, or no such directory.
  bool directory = false;  // kFailed: it was the working directory.
  int wait_status = 0;     // kExited: as wait(2) gives it.
  bool fenced = false;     // kFailed, kExited: exclusive, and its deadline had passed.
};

// The worker proper's end of the line.
class SpawnChannel {
 public:
  explicit SpawnChannel(int fd) : fd_(fd) {}
  ~SpawnChannel();
  SpawnChannel(const SpawnChannel&) = delete;
  SpawnChannel& operator=(const SpawnChannel&) = delete;

  // Readable when Receive has something.
  int fd() const { return fd_; }
  // Errors: INVALID_ARGUMENT  larger than the system takes; UNAVAILABLE  the supervisor is gone.
  absl::Status Spawn(const SpawnRequest& request);
  // To the whole group. Nothing happens if it has ended.
  void Kill(uint64_t id, int signal);
  // Exclusive commands may run until `until` (see base/clock.h, Boottime). The supervisor kills
  // them then, also when the worker proper hangs or is stopped.
  void SetExclusiveDeadline(absl::Duration until);
  // Reads what is there. False: the supervisor is gone.
  bool Receive(std::vector<SpawnEvent>* events);

 private:
  const int fd_;
  std::string incoming_;
};

class CrashNotes;

struct SupervisorOptions {
  // Keeps what the worker ran when it died; outlives the call. Null: nothing is kept.
  CrashNotes* notes = nullptr;
  // Restarts of a worker that dies: wait so long at first, twice as long each time, up to the
  // second.
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration longest_backoff = absl::Seconds(10);
  // An eventfd that the worker proper adds to when a master has taken it in; -1: none. Who watches
  // the service listens to its main process alone, which is the supervisor.
  int joined = -1;
  // On the supervisor's thread: after `joined` was added to; at the first SIGTERM or SIGINT.
  std::function<void()> on_joined;
  std::function<void()> on_stopping;
};

// Exit codes of the worker proper after which it is not started again: 0, 2, 3, 73, 78.
// Returns: the exit code for the process. Signals SIGTERM and SIGINT are passed on to the worker
// proper. REQUIRES: no threads yet.
int RunSupervised(const SupervisorOptions& options,
                  const std::function<int(SpawnChannel&)>& worker);

}  // namespace reeve

#endif  // REEVE_WORKER_SUPERVISOR_SUPERVISOR_H_
