// Child processes without waiting for them, on an event loop (AsyncContext::RunProcess).
//
// They are children of the worker proper: its parent inherits and ends what is left when the worker
// ends.
//
// Thread: the loop's.

#ifndef REEVE_WORKER_ASYNC_PROCESSES_H_
#define REEVE_WORKER_ASYNC_PROCESSES_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "worker/sdk/awaitables.h"

namespace reeve {

class EventLoop;

class Processes {
 public:
  // `loop` outlives it.
  explicit Processes(EventLoop* loop);
  // REQUIRES: the loop does not run any more. Kills what runs.
  ~Processes();

  // Calls `done` once, later. Returns: a number for Stop.
  uint64_t Start(const ProcessOrder& order, std::function<void(ProcessEnd)> done);
  // Kills it and its group; its `done` is not called.
  void Stop(uint64_t number);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_ASYNC_PROCESSES_H_
