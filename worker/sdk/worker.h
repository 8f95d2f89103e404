// A worker of your own: register handlers, run.
//
//   int main(int argc, char** argv) {
//     reeve::Worker worker;
//     worker.Handle("shout", [](reeve::TaskContext& task, std::string_view input) ->
//     absl::StatusOr<std::string> {
//       return absl::AsciiStrToUpper(input);
//     });
//     return worker.Main(argc, argv);
//   }
//
// Main reads the same flags as `reeve-worker` (--master, --slots, --state-dir, --token-file, …),
// forks the supervising parent before any thread exists, connects, and serves until SIGTERM drains
// it. The built-in handlers are there, too.
//
// Thread: Handle before Main. Handlers run on pool threads, several at once: they must be
// thread-safe.

#ifndef REEVE_WORKER_SDK_WORKER_H_
#define REEVE_WORKER_SDK_WORKER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/sdk/async.h"
#include "worker/sdk/task_context.h"
#include "worker/sdk/verdict.h"

namespace reeve {

// Returns the result (at most 3 MiB), or an error: the task failed with HANDLER_ERROR
// (INVALID_ARGUMENT: BAD_INPUT, not tried again). An exception counts as an error.
// Of its message 64 KiB are kept. What it says of trying again (verdict.h) goes before the job's
// own rules.
using ThreadHandler =
    std::function<absl::StatusOr<std::string>(TaskContext& task, std::string_view input)>;

enum class Isolation {
  kNone,     // In a thread of the worker.
  kProcess,  // In a child process of the worker: a crash costs the one task (SIGNALLED,
             // EXIT_NONZERO), and a task that is past its time limit, or ignores its cancellation
             // for a second, is killed. About 50 us more a task.
};

struct HandlerOptions {
  Isolation isolation = Isolation::kNone;
  // A child is replaced after so many tasks, or once it holds more memory than this.
  uint32_t recycle_after_tasks = 10'000;
  uint64_t recycle_above_bytes = 1u << 30;
};

class Worker {
 public:
  Worker();
  ~Worker();

  // Offers `handler` under `name` ([a-z0-9_-]{1,64}) on the thread lane. A later one of the same
  // name replaces it. An isolated one runs in a process that executed this program up to Main: what
  // the handler needs must be made before Main or in the handler.
  void Handle(std::string name, ThreadHandler handler, HandlerOptions options = {});

  // Offers `handler` under `name` on the async lane (see async.h). A name is of one lane: the later
  // call counts.
  void HandleAsync(std::string name, AsyncHandler handler);
  // For a coroutine that has no errors but exceptions.
  template <typename Handler>
  requires std::is_invocable_r_v<Async<std::string>, Handler, AsyncContext&, std::string> void
  HandleAsync(std::string name, Handler handler) {
    HandleAsync(std::move(name),
                AsyncHandler([handler = std::move(handler)](AsyncContext& task, std::string input) {
                  return WithStatus(handler(task, std::move(input)));
                }));
  }

  // Serves. Returns the process's exit code: 0 drained, 3 cannot connect or not authorised, 70
  // internal fault, 73 cannot create state, 78 configuration or refused by the master.
  int Main(int argc, char** argv);

 private:
  static Async<absl::StatusOr<std::string>> WithStatus(Async<std::string> handler) {
    co_return co_await std::move(handler);
  }

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_WORKER_H_
