// What jobs ask for, and get: nothing of a job goes out before its time, before the jobs it depends
// on have ended as wanted, while it is paused, or once it is to end; an end has its cause; a unique
// key has one unfinished job; of a retry job only the selected tasks run; what others need is not
// deleted.
//
// Also the door to the other books about what is asked for.

#ifndef REEVE_TESTS_SIMULATION_ASKS_BOOK_H_
#define REEVE_TESTS_SIMULATION_ASKS_BOOK_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/asks_view.h"
#include "tests/simulation/drain_book.h"
#include "tests/simulation/limits_book.h"
#include "tests/simulation/schedule_book.h"
#include "tests/simulation/turns_book.h"

namespace reeve::sim {

class AsksBook {
 public:
  AsksBook(World* world, const SimStore* const* store)
      : world_(world),
        store_(store),
        view_(world, store),
        limits_(world, store, &view_),
        schedules_(world, store, &view_),
        turns_(world, store, &view_),
        drains_(world, store, &limits_) {}

  void OnLife();
  void OnSubmitted(const WriteBatch& batch);
  void OnAssigned(const AssignedSpan& span, SessionId session, const std::string& worker_id);
  // As the scheduler has them now.
  void OnQueues(const std::vector<QueueView>& queues);
  void OnWorkers(const std::vector<WorkerView>& workers) { drains_.OnWorkers(workers); }
  // What the scheduler wrote in a step is told, of both stores.
  void AfterWrites();
  LimitsBook& limits() { return limits_; }
  // What a recorded failure leaves for the next attempt.
  void OnFailed(JobId job, TaskIndex index, const std::string& details) {
    details_[{job, index}] = details;
  }
  void AtEnd(bool finished) {
    if (finished) schedules_.AtEnd();
  }

  // A job is about to be recorded as ended.
  void CheckEnd(const PutJobState& put, const JobRow& row);

 private:
  void CheckMayGo(const AskedJob& job, const AssignedSpan& span, uint32_t worker);
  void CheckDependencies(const AskedJob& job, const AssignedSpan& span);
  void CheckDetails(const AssignedSpan& span);
  void CheckUnique(const PutJob& put);
  // Returns: whether the job is in that store.
  bool CheckDeleted(StoreKind store, const DropJob& drop);
  void CheckDeleted(const DropQueue& drop);
  void CheckEnding(const PutJobState& put);
  bool IsStopped(const StopRule& rule, const TaskCounts& counts) const;
  bool IsUnmet(const AskedJob& job) const;
  void Require(bool holds, const char* what, uint64_t a, uint64_t b = 0);

  World* world_;
  const SimStore* const* store_;
  AsksView view_;
  LimitsBook limits_;
  ScheduleBook schedules_;
  TurnsBook turns_;
  DrainBook drains_;
  std::map<std::pair<JobId, TaskIndex>, std::string> details_;  // Of this life.
  std::set<LeaseSeq> leases_;                                   // Of this life.
  std::vector<JobId> deleted_;                                  // In this step.
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_ASKS_BOOK_H_
