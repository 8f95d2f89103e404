// The master loop: the one thread that steps the scheduler, and the one place that says durable → reply → send.
//
// It owns the dispatch socket (through Dispatcher: one wake-up less per assignment than a thread of its own), reads the clock once per
// batch, takes a bounded share of each inbox (control, results, API), steps the scheduler, hands writes to the stores, sends
// assignments, and releases replies, acknowledgements and notices once the commit they name is done. While 32 MiB of writes wait it
// takes control only.
//
// Thread: Post* and Query from any; everything else from the loop.

#ifndef REEVE_MASTER_RUNTIME_MASTER_LOOP_H_
#define REEVE_MASTER_RUNTIME_MASTER_LOOP_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/scheduler/scheduler.h"

namespace reeve {

class Collector;
class Dispatcher;
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
    Scheduler* scheduler;
    Dispatcher* dispatcher;
    Collector* collector;      // For acknowledgements.
    StoreThread* durable;
    Store* memory;             // Committed by the loop itself.
    ReaderThread* reader;      // For loads.
    ApiEdge* api;
  };

  explicit MasterLoop(const Parts& parts);
  ~MasterLoop();

  void Start();
  // Drains (DrainMaster), waits for commits under way, stops. Bounded: 5 s.
  void Stop();

  // An event of the API. Errors: RESOURCE_EXHAUSTED QUEUE_FULL with a retry hint; UNAVAILABLE DRAINING.
  absl::Status PostApi(Event event, size_t bytes);
  // Results. Waits while the inbox is full: the collector stops reading. False: stopping.
  bool PostResults(ResultsArrived results, size_t bytes);
  // From store and reader threads; never refused.
  void PostStore(Event event);
  // Runs `query` on the loop thread between batches. Errors: as PostApi.
  absl::Status Query(std::function<void(Scheduler&, const Now&)> query);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_RUNTIME_MASTER_LOOP_H_
