// What a handler may know and say about the attempt it runs.

#ifndef REEVE_WORKER_SDK_TASK_CONTEXT_H_
#define REEVE_WORKER_SDK_TASK_CONTEXT_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "base/ids.h"

namespace reeve {

// What is fixed when the attempt begins.
//
// Thread: any.
class TaskFacts {
 public:
  virtual ~TaskFacts() = default;

  virtual JobId job() const = 0;
  virtual TaskIndex index() const = 0;
  // From 1. With job and index an idempotency key for effects outside Reeve.
  virtual uint32_t attempt() const = 0;
  // Option of the job, "" if not given (`--param NAME=VALUE`).
  virtual std::string_view param(std::string_view name) const = 0;
  virtual const std::map<std::string, std::string>& params() const = 0;
  // When the attempt's time limit passes; InfiniteFuture if none.
  virtual absl::Time deadline() const = 0;
};

// What a handler on the thread lane gets.
//
// Thread: the handler's.
class TaskContext : public TaskFacts {
 public:
  // The task was cancelled or its time is up: return soon; what is returned is discarded. Cheap.
  virtual bool cancelled() const = 0;
  // Sleeps, but wakes early when cancelled. Returns: false if cancelled.
  virtual bool Sleep(absl::Duration duration) = 0;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_TASK_CONTEXT_H_
