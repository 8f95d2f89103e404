// Runs handlers in child processes of the worker, for code that may crash, leak or never return: a
// task that ends its process costs nobody else anything, and one past its time limit is killed.
//
// A child is the worker's own program started again (not forked: the worker has threads), serves
// one task at a time, and is kept for the next one. It is not used again after a number of tasks,
// above a size, or once a task in it was cancelled. A pool thread of the thread lane waits for it;
// so there are at most as many children as the lane has slots.
//
// Children belong to the worker proper and not to the supervisor: the thread that starts one lives
// as long as the worker, which is what the kernel ties the child's life to, and what they leave
// behind when the worker is killed the supervisor inherits and ends.

#ifndef REEVE_WORKER_ISOLATION_CHILD_POOL_H_
#define REEVE_WORKER_ISOLATION_CHILD_POOL_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "worker/sdk/handler_registry.h"

namespace reeve {

namespace isolation::v1 {
class IsolatedOutcome;
}

// Thread: any.
class ChildPool {
 public:
  struct Options {
    // Of this program, so that it calls ServeIsolated on its standard input.
    std::vector<std::string> argv;
    // From SIGTERM to SIGKILL when a task is cancelled.
    absl::Duration cancel_grace = absl::Seconds(1);
  };

  explicit ChildPool(Options options);
  // REQUIRES: no Run under way. Ends the children.
  ~ChildPool();

  // Runs `handler` in a child and waits for it.
  //
  // Returns: what the handler returned there.
  // Errors:  the handler's own; ABORTED (reason SIGNALLED or EXIT_NONZERO) its process ended;
  // DEADLINE_EXCEEDED (reason TIMEOUT)
  //          killed at the task's deadline; CANCELLED (none) the task was; RESOURCE_EXHAUSTED
  //          (none) no child could be started.
  // Cost:    about 50 us beside the handler; some milliseconds when a child must be started.
  absl::StatusOr<std::string> Run(const std::string& handler, const HandlerOptions& limits,
                                  TaskContext& task, std::string_view input);

 private:
  class Child;

  static void PassOn(TaskContext& task, const isolation::v1::IsolatedOutcome& said, Child& child);
  std::unique_ptr<Child> Take() ABSL_LOCKS_EXCLUDED(mu_);
  void GiveBack(std::unique_ptr<Child> child) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  Mutex mu_;
  std::vector<std::unique_ptr<Child>> idle_
      ABSL_GUARDED_BY(mu_);  // Used last, first: its memory is warm.
};

// `registry` with every isolated handler of the thread lane behind `pool`, which outlives it.
HandlerRegistry Isolated(const HandlerRegistry& registry, ChildPool* pool);

}  // namespace reeve

#endif  // REEVE_WORKER_ISOLATION_CHILD_POOL_H_
