// What a handler may know and say about the attempt it runs.

#ifndef REEVE_WORKER_SDK_TASK_CONTEXT_H_
#define REEVE_WORKER_SDK_TASK_CONTEXT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ids.h"

namespace reeve {

// What handlers of every lane get.
//
// Thread: any for what is fixed when the attempt begins, the handler's for the rest.
class AttemptContext {
 public:
  virtual ~AttemptContext() = default;

  virtual JobId job() const = 0;
  virtual TaskIndex index() const = 0;
  // From 1. With job and index an idempotency key for effects outside Reeve.
  virtual uint32_t attempt() const = 0;
  // Option of the job, "" if not given (`--param NAME=VALUE`).
  virtual std::string_view param(std::string_view name) const = 0;
  virtual const std::map<std::string, std::string>& params() const = 0;
  // When the attempt's time limit passes; InfiniteFuture if none.
  virtual absl::Time deadline() const = 0;
  // The soft time limit has passed: end well, soon. What is returned still counts until `deadline`.
  // Cheap.
  virtual bool cancelled() const = 0;

  // What the attempt before this one left for it, see KeepDetails; "" if nothing.
  virtual std::string_view details() const { return {}; }
  // Leaves something for the next attempt, should there be one: how far the work is, a token, a
  // place in a file. The newest counts; an attempt that leaves nothing leaves what it was left.
  // When the attempt ends by itself or runs out of time all of it is handed on, when its worker is
  // lost what it left up to a second or two before. At most 1,024 bytes.
  // Errors: INVALID_ARGUMENT  it is longer; what was left before stays.
  virtual absl::Status KeepDetails(std::string_view details) {
    (void)details;
    return absl::FailedPreconditionError("this lane keeps no details");
  }

  // The result of a task of another job that the own one depends on and wants results of (`name`:
  // Dependency.name). Lives as long as the attempt. Returns: nothing if there is none.
  virtual std::optional<std::string_view> predecessor_result(std::string_view name,
                                                             TaskIndex index) const {
    (void)name, (void)index;
    return std::nullopt;
  }

  // The job was created with `accepts_new_inputs`.
  virtual bool accepts_inputs() const { return false; }
  // Adds a task to the own job: recorded together with the result, and only if this attempt
  // succeeds. An input whose key the job has had before is dropped later, in silence; KeyOf
  // (base/input_key.h) makes keys of names. At most 32,768, and together with the result 3 MiB,
  // where each counts 24 bytes more than its length.
  // Errors: FAILED_PRECONDITION  the job does not accept new inputs, or the lane cannot add any.
  //         RESOURCE_EXHAUSTED   it would be too many or too much; what was added before stays.
  virtual absl::Status AddInput(const InputKey& key, std::string_view input) {
    (void)key, (void)input;
    return absl::FailedPreconditionError("the job does not accept new inputs");
  }

  // Adds `by` to a counter of the job (`reeve job get`, Job.counters). Exact under any
  // concurrency and through any crash: recorded together with the result, only if this attempt
  // succeeds, and once for each task. Counters stay at the ends of their range; a job has 64, what
  // is counted under further names is dropped, which the counter `reeve:dropped` counts.
  // Errors: INVALID_ARGUMENT    no name of a counter: [A-Za-z0-9_.-]{1,64}.
  //         RESOURCE_EXHAUSTED  more than 64 counters of one attempt.
  virtual absl::Status Count(std::string_view counter, int64_t by = 1) {
    (void)counter, (void)by;
    return absl::FailedPreconditionError("this lane does not count");
  }

  // A line for the attempt's log (`reeve logs`), where commands have their standard error. What is
  // over 64 KiB is cut; of an attempt 8 MiB are kept, and fewer while the worker cannot pass them
  // on.
  virtual void Log(std::string_view line) { (void)line; }

  // How far the attempt is, from 0 to 1, and a word about it (200 bytes are kept). The newest is
  // shown while it runs (`reeve task get`, Task.progress). Cheap enough for every step.
  virtual void Progress(double done, std::string_view note = {}) { (void)done, (void)note; }

  // An empty folder of this attempt alone, made when it is first asked for and removed with what is
  // in it when the attempt has ended.
  // Errors: FAILED_PRECONDITION  there is no place for any; INTERNAL  the system's reason.
  virtual absl::StatusOr<std::string> ScratchFolder() {
    return absl::FailedPreconditionError("there are no scratch folders here");
  }
};

// What a handler on the thread lane gets.
//
// Thread: the handler's.
class TaskContext : public AttemptContext {
 public:
  // Return soon: the task was cancelled, its time is up, or its soft time limit has passed. Cheap.
  bool cancelled() const override = 0;
  // And what is returned is discarded: it was not the soft limit alone. Always false in a process
  // of its own, which is ended then.
  virtual bool discarded() const { return cancelled(); }
  // Sleeps, but wakes early when cancelled. Returns: false if cancelled.
  virtual bool Sleep(absl::Duration duration) = 0;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_TASK_CONTEXT_H_
