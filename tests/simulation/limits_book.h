// Limits, rates and resources, judged by what really runs at workers, not by what the scheduler
// counts: how much of a job, a queue and a key runs at once, what a worker's tasks need together,
// and how many starts lie in any stretch of time.
//
// Exempt is what the master has given up and its old holder still runs: nobody can take it back.

#ifndef REEVE_TESTS_SIMULATION_LIMITS_BOOK_H_
#define REEVE_TESTS_SIMULATION_LIMITS_BOOK_H_

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/simulation/asks_view.h"

namespace reeve::sim {

// A slot of a process of a worker.
struct Place {
  uint32_t worker = 0;
  uint64_t process = 0;
  uint32_t slot = 0;
  auto operator<=>(const Place&) const = default;
};

class LimitsBook {
 public:
  LimitsBook(World* world, const SimStore* const* store, const AsksView* view)
      : world_(world), store_(store), view_(view) {}

  void OnLife();
  // Before the view takes it in.
  void OnSubmitted(const Write& write);
  void OnAssigned(const AssignedSpan& span, SessionId session, uint32_t worker);
  void OnWelcome(SessionId session, const SendWelcome& welcome, uint32_t worker);
  void OnRunning(const Place& place, SessionId session, JobId job, Birth birth, TaskIndex index);
  void OnStopped(const Place& place) { running_.erase(place); }
  void OnProcessEnd(uint32_t worker, uint64_t process);
  // The worker where the task runs, and is still the one that may report it.
  std::optional<uint32_t> RunsAt(JobId job, TaskIndex index) const;

 private:
  using TaskId = std::pair<JobId, TaskIndex>;
  struct Task {
    JobId job;
    Birth birth;
    TaskIndex index = 0;
    uint64_t key = 0;
    uint32_t worker = 0;
    SessionId session;
  };
  struct Given {
    SessionId session;
    uint32_t worker = 0;
    bool lost = false;
  };
  using Belongs = std::function<bool(const Task&)>;
  bool IsLive(const Task& task) const;
  // Those that run, and where `sent` those just sent.
  std::vector<const Task*> Live(bool sent, const Belongs& belongs) const;
  void CheckLimits(const AskedJob& job, uint64_t key, uint32_t worker, bool sent);
  void CheckLimit(uint32_t limit, bool sent, const char* what, JobId job, const Belongs& belongs);
  void CheckResources(const AskedJob& job, uint32_t worker, bool sent);
  void CheckRate(const std::string& scope, const Rate& rate, uint64_t starts);
  void CheckRates(const AskedJob& job, const AssignedSpan& span);
  void Require(bool holds, const char* what, uint64_t a, uint64_t b = 0);

  World* world_;
  const SimStore* const* store_;
  const AsksView* view_;
  std::map<Place, Task> running_;
  std::map<TaskId, Given> given_;    // In this life.
  std::set<uint32_t> gone_workers_;  // What they had from earlier lives is given up.
  std::vector<Task> sent_;           // At `sent_at_`.
  int64_t sent_at_ = -1;
  std::map<std::string, std::deque<std::pair<int64_t, uint64_t>>> starts_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_LIMITS_BOOK_H_
