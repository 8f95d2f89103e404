// Who may be blamed for which death: the simulation's own books about processes that ended, so that
// every suspicion and every crash in the record can be traced to one (reliability.md, G13).
//
// A death counts at most once for a task, and only for one that was with the process. A crash needs
// more: the crash note named the task, or it ran alone.

#ifndef REEVE_TESTS_SIMULATION_LOSS_BOOK_H_
#define REEVE_TESTS_SIMULATION_LOSS_BOOK_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/sim_store.h"

namespace reeve::sim {

// A process that ends without saying goodbye.
struct Death {
  SessionId session;
  std::vector<agent::Suspect> running;
  std::optional<agent::Suspect> culprit;  // A poison task did it.
  bool named = false;                     // And a note says so.
};

class LossBook {
 public:
  using TaskId = std::pair<JobId, TaskIndex>;

  LossBook(World* world, const SimStore* const* store) : world_(world), store_(store) {}

  void OnHello(const Hello& hello);
  // A task went to a worker, by assignment or by Welcome.
  void OnGiven(SessionId session, JobId job, TaskIndex index, bool solo);
  void OnDeath(const Death& death);
  // The master gives a worker up: for it that is a death.
  void OnGivenUp(const std::string& worker_id);

  // About to be recorded, not reported by any worker: a suspicion or a crash that does not end the
  // task.
  void CheckCounted(const JobRow& row, const RetryOutcome& outcome);
  // FAILED(POISONED), FAILED(WORKER_LOST).
  void CheckPoisoned(const JobRow& row, TaskIndex index, uint32_t attempt);
  void CheckLost(const JobRow& row, TaskIndex index);

  // How many processes ended under a task: so often it may have to run again.
  uint32_t deaths_under(JobId job, TaskIndex index) const;

 private:
  struct Given {
    bool solo = false;
    uint32_t counted = 0;  // Ends of this process that are on record for the task.
  };
  struct Process {
    std::string worker_id;
    uint32_t ends = 0;  // Its death; each time it was given up.
    std::set<TaskId> running;
    std::optional<TaskId> named;
  };
  struct Task {
    std::map<SessionId, Given> given;
    uint32_t deaths = 0;
  };
  bool Find(const JobRow& row, TaskIndex index, bool crash);
  bool IsPoison(const JobRow& row, TaskIndex index) const;
  void Require(bool holds, const char* what, JobId job, TaskIndex index);

  World* world_;
  const SimStore* const* store_;
  std::map<TaskId, Task> tasks_;
  std::map<std::pair<TaskId, Birth>, uint32_t> killed_;
  std::map<SessionId, Process> processes_;
  std::set<std::string> told_;  // Processes whose end a Hello told.
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_LOSS_BOOK_H_
