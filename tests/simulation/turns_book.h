// Who gets something, and when: a job that waits behind better ones grows older and then goes
// first; queues with work share as their weights say, and owners in a queue alike.

#ifndef REEVE_TESTS_SIMULATION_TURNS_BOOK_H_
#define REEVE_TESTS_SIMULATION_TURNS_BOOK_H_

#include <map>

#include "tests/simulation/asks_view.h"

namespace reeve::sim {

class TurnsBook {
 public:
  TurnsBook(World* world, const SimStore* const* store, const AsksView* view)
      : world_(world), store_(store), view_(view) {
    uneven_ = world->config.commit_max > 20 * kMs || world->config.loss_permille > 0 ||
              world->config.reorder || !world->config.faults.empty();
    for (const JobPlan& plan : world->config.jobs) uneven_ = uneven_ || plan.poison.permille > 0;
    for (const Fault& fault : world->config.faults) {
      if (fault.kind == FaultKind::kMasterStall || fault.kind == FaultKind::kCollectorStall)
        stalls_ += fault.duration;
    }
  }

  void OnLife();
  // Given out for the first time.
  void OnAssigned(const AskedJob& job, const AssignedSpan& span);

 private:
  struct Party {
    int64_t last = 0;          // When it got something.
    uint64_t had = 0;          // Since both had work.
    uint64_t passed_over = 0;  // How often others got something since its patience ended.
    uint32_t given = 0;        // Up to this index all went out, or may have.
  };
  const JobPlan& PlanOf(const AskedJob& job) const;
  // It has tasks that nobody has got yet, and nothing holds it back.
  bool Waits(const AskedJob& job);
  void CheckAge(const AskedJob& job);
  void CheckShares();
  void Require(bool holds, const char* what, uint64_t a, uint64_t b = 0);

  World* world_;
  const SimStore* const* store_;
  const AsksView* view_;
  std::map<JobId, Party> parties_;
  // One waits for a commit, or has tasks that hang at a worker or die with it, and the other does
  // not.
  bool uneven_ = false;
  int64_t stalls_ = 0;  // In which the master does nothing at all, or hears of no results.
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_TURNS_BOOK_H_
