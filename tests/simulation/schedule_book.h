// Schedules: each fire time makes at most one job, in order, in one transaction with the record
// that it has fired; what is running decides as the overlap policy says; and in the end there are
// as many jobs as were asked for.

#ifndef REEVE_TESTS_SIMULATION_SCHEDULE_BOOK_H_
#define REEVE_TESTS_SIMULATION_SCHEDULE_BOOK_H_

#include <map>
#include <string>

#include "tests/simulation/asks_view.h"

namespace reeve::sim {

class ScheduleBook {
 public:
  ScheduleBook(World* world, const SimStore* const* store, const AsksView* view)
      : world_(world), store_(store), view_(view) {}

  void OnLife();
  // Before the view takes it in.
  void OnSubmitted(const WriteBatch& batch, const PutJob& put);
  void OnSubmitted(const PutSchedule& put);
  void AtEnd();

 private:
  void CheckOverlap(const SchedulePlan& plan, JobId before, const PutJob& put);
  void Require(bool holds, const char* what, uint64_t a, uint64_t b = 0);

  World* world_;
  const SimStore* const* store_;
  const AsksView* view_;
  struct Fired {
    ScheduleProgress progress;
    absl::Time last = absl::InfinitePast();
    JobId job;
  };
  std::map<std::string, Fired> fired_;
  std::map<std::string, absl::Time> created_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SCHEDULE_BOOK_H_
