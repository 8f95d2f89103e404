// What may pile up, counted from what leaves the scheduler: queued inputs, what a worker holds,
// what EPHEMERAL jobs keep in memory (reliability.md, G10).

#ifndef REEVE_TESTS_SIMULATION_BOUNDS_BOOK_H_
#define REEVE_TESTS_SIMULATION_BOUNDS_BOOK_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/sim_store.h"

namespace reeve::sim {

class BoundsBook {
 public:
  BoundsBook(World* world, const SimStore* const* store) : world_(world), store_(store) {}

  // A new life begins with what is durable.
  void OnLife();
  // The scheduler decided it; not yet durable.
  void OnSubmitted(const WriteBatch& batch);
  // What the scheduler wrote in a step is where it belongs, nothing of it was sent yet.
  void AfterWrites();
  void OnAssigned(const AssignedSpan& span);
  void OnHello(const Hello& hello);
  void OnWorkers(const std::vector<WorkerView>& workers);

  void OnCursor(const CursorMoved& moved);
  void Check(const DropInputs& drop);
  void Check(const DropResults& drop);

 private:
  struct Chunk {
    Run run;
    uint64_t bytes = 0;
    IntervalSet left;
  };
  struct Reader {
    uint64_t passed = 0;
    bool closed = false;
  };
  using Readers = std::map<CallId, Reader>;
  void Add(JobId job, Run run, uint64_t bytes);
  void CheckQueue();
  void Own(JobId job, const std::string& owner);
  void CheckOwners();
  void Finish(JobId job, Run run);
  void Erase(JobId job, const Chunk& chunk);
  void CheckGivenBack(JobId id, const JobRow& row);
  void Require(bool holds, const char* what, uint64_t a, uint64_t b = 0);

  World* world_;
  const SimStore* const* store_;
  std::map<JobId, std::map<TaskIndex, Chunk>> queued_;  // With inputs; arrays hold none.
  uint64_t tasks_ = 0, bytes_ = 0, chunks_ = 0;
  std::map<JobId, IntervalSet> selected_;  // Of retry jobs, of this life.
  std::map<JobId, std::string> owners_;    // Of unfinished jobs that have one.
  // What a worker came back with, results of old credit among it, until it is worked off.
  std::map<std::string, uint64_t> brought_;
  std::map<JobId, Readers> readers_;
  LeaseSeq newest_;  // Of this life.
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_BOUNDS_BOOK_H_
