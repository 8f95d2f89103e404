// The memory that outlives a worker process: which tasks it runs, and which one took it down.
//
// Shared memory between the supervising parent and the worker proper, made before the fork. Each
// slot of a lane notes what it begins and ends, at the cost of a store each; a signal handler marks
// the task of the thread that faulted. When the worker has died, however (kill -9 too), the parent
// keeps what ran for the next process, which tells the master in its Hello.
//
// Thread: a note belongs to the thread of its slot; Keep and Clear to the parent, while no worker
// lives.

#ifndef REEVE_WORKER_SUPERVISOR_CRASH_NOTES_H_
#define REEVE_WORKER_SUPERVISOR_CRASH_NOTES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace reeve {

class RunningNote {
 public:
  // What the next tasks belong to. REQUIRES: no task is noted.
  void SetSpan(JobId job, const Birth& birth) {
    job_.store(job.value, std::memory_order_relaxed);
    birth_epoch_.store(birth.epoch.value, std::memory_order_relaxed);
    birth_counter_.store(birth.counter, std::memory_order_relaxed);
  }
  void Begin(TaskIndex index) { task_.store(kRunning | index, std::memory_order_release); }
  void End() { task_.store(0, std::memory_order_release); }

  // A fault of the calling thread from now on blames this note's task. Gives the thread a stack of
  // its own for the signal handler, so that an overflow of its stack is named, too.
  void Attach();

 private:
  friend class CrashNotes;
  static void OnFault(int signal);

  static constexpr uint64_t kRunning = 1ull << 32, kCulprit = 1ull << 33;
  alignas(64) std::atomic<uint64_t> job_{0};
  std::atomic<uint64_t> birth_epoch_{0}, birth_counter_{0};
  std::atomic<uint64_t> task_{0};  // Index and flags; 0: none.
};

class CrashNotes {
 public:
  static constexpr size_t kMaxProcessId = 39;
  struct Task {
    JobId job;
    Birth birth;
    TaskIndex index = 0;
  };
  struct Kept {
    std::vector<Task> tasks;
    bool named = false;      // The one task took the process down.
    std::string process_id;  // With no tasks: nothing ran when it ended.
  };

  // Dies if the system has no memory for it. `slots`: of all lanes.
  explicit CrashNotes(uint32_t slots);
  ~CrashNotes();
  CrashNotes(const CrashNotes&) = delete;
  CrashNotes& operator=(const CrashNotes&) = delete;

  RunningNote* slot(uint32_t index);
  // In the worker proper, once: whose notes these are. At most kMaxProcessId bytes count.
  void SetProcess(std::string_view process_id);

  // From now on a fault in this process marks the task of its thread, and then ends the process as
  // it would have ended anyway. In the worker proper, once.
  static void CatchFaults();

  // The worker died: what it ran (the culprit alone, if it is known) is kept until Forget.
  void Keep();
  // The worker ended in good order.
  void Clear();
  // In the worker proper: what the process before it ran.
  Kept kept() const;
  void Forget();

 private:
  struct Shared;
  const uint32_t slots_;
  const size_t bytes_;
  Shared* shared_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SUPERVISOR_CRASH_NOTES_H_
