// Workers that are drained to stay: they get nothing, what runs there ends there, and they are so
// in every process of theirs and every life of the master until somebody says otherwise.

#ifndef REEVE_TESTS_SIMULATION_DRAIN_BOOK_H_
#define REEVE_TESTS_SIMULATION_DRAIN_BOOK_H_

#include <set>
#include <string>
#include <vector>

#include "tests/simulation/limits_book.h"

namespace reeve::sim {

class DrainBook {
 public:
  DrainBook(World* world, const SimStore* const* store, const LimitsBook* running)
      : world_(world), store_(store), running_(running) {}

  // A new life begins with what is durable.
  void OnLife();
  void OnSubmitted(const Write& write);
  // Given out for the first time; before the running tasks are told.
  void OnAssigned(const AssignedSpan& span, const std::string& worker_id);
  void OnWorkers(const std::vector<WorkerView>& workers);

 private:
  void CheckStays(const AssignedSpan& span);
  void Require(bool holds, const char* what, uint64_t a, uint64_t b = 0);

  World* world_;
  const SimStore* const* store_;
  const LimitsBook* running_;
  std::set<std::string> drained_;   // As the scheduler decided.
  std::set<std::string> restored_;  // Were so when this life began.
  std::set<std::string> returned_;  // No longer, and have got nothing since.
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_DRAIN_BOOK_H_
