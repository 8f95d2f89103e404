// The master loop: the one thread that steps the scheduler, and the one place that says durable →
// reply → send.
//
// It owns the dispatch socket (through Dispatcher: one wake-up less per assignment than a thread of
// its own), reads the clock once per batch, takes a bounded share of each inbox (control, results,
// API), steps the scheduler, hands writes to the stores, sends assignments, and releases replies,
// acknowledgements and notices once the commit they name is done. While 32 MiB of writes wait it
// takes control only.
//
// Thread: Post* and Query from any; everything else from the loop.

#ifndef REEVE_MASTER_RUNTIME_MASTER_LOOP_H_
#define REEVE_MASTER_RUNTIME_MASTER_LOOP_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/scheduler/scheduler.h"
#include "master/store/store.h"

namespace reeve {

class Dispatcher;
class KeyPaths;
class ReaderThread;
class Store;
class StoreThread;

// The API's side of the loop. Called on the loop thread; must not block or call back.
class ApiEdge {
 public:
  virtual ~ApiEdge() = default;
  virtual void OnReply(Reply reply) = 0;
  virtual void OnResults(ResultsNotice notice) = 0;
  virtual void OnJob(JobNotice notice) = 0;
};

class MasterLoop {
 public:
  struct Parts {
    std::unique_ptr<Scheduler> scheduler;
    // Makes the dispatcher on the loop thread, which owns its socket.
    std::function<absl::StatusOr<std::unique_ptr<Dispatcher>>()> make_dispatcher;
    std::function<void(AckResults)> acknowledge;  // The collector's.
    // What the collector is to know of jobs that begin and end.
    KeyPaths* key_paths = nullptr;
    StoreThread* durable = nullptr;
    Store* memory = nullptr;  // Committed by the loop itself.
    ReaderThread* reader = nullptr;
    ApiEdge* api = nullptr;
    // Output of tasks that the session that told it holds. Called on the loop thread.
    std::function<void(JobId job, std::vector<StoredLog> logs)> output;
    // Asked each second: is the store's disk nearly full?
    // Whether new work must be refused, with so many bytes on their way to the disk.
    std::function<bool(uint64_t waiting_bytes)> disk_is_low;
    // Reading the store failed for another reason than damage: does not return.
    std::function<void(const absl::Status&)> on_fault;
    // Each turn, at least once a second: the loop lives. May be empty.
    std::function<void(absl::Duration monotonic)> on_turn;
  };

  MasterLoop();
  ~MasterLoop();

  // Starts the thread. Errors: those of `make_dispatcher`.
  absl::Status Start(Parts parts);
  // Assigns nothing more, waits for commits under way, ends the thread. Bounded: 5 s.
  void Stop();

  // An event of the API. Errors: RESOURCE_EXHAUSTED QUEUE_FULL with a retry hint; UNAVAILABLE
  // DRAINING.
  absl::Status PostApi(Event event, size_t bytes);
  // As PostApi, but waits while the inbox is full. False: stopping.
  bool PostApiWait(Event event, size_t bytes);
  // Results. Waits while the inbox is full: the collector stops reading. False: stopping.
  bool PostResults(ResultsArrived results, size_t bytes);
  // Output of tasks, in order with the results. Waits likewise.
  bool PostOutput(OutputArrived output, size_t bytes);
  // From stores, readers and result streams, which bound what they post; never refused.
  void PostInternal(Event event);
  // Runs `read` on the loop thread, then `done` once all it could see is durable: a reader never
  // sees what a crash may undo. Errors: as PostApi.
  absl::Status Query(std::function<void(Scheduler&, const Now&)> read, std::function<void()> done);
  // The loop's own, for Query: valid on the loop thread only.
  Dispatcher& dispatcher();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_RUNTIME_MASTER_LOOP_H_
