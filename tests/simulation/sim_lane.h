// A lane with simulated time: takes spans, runs their tasks one after the other on its slots, and
// reports batches of outcomes. Cut and Cancel answer as worker/lanes/lane.h promises.

#ifndef REEVE_TESTS_SIMULATION_SIM_LANE_H_
#define REEVE_TESTS_SIMULATION_SIM_LANE_H_

#include <deque>
#include <map>
#include <vector>

#include "tests/simulation/checker.h"

namespace reeve::sim {

struct SimSpan {
  SpanKey key;
  JobId job;
  Birth birth;
  Run run;
  uint32_t attempt = 1;
  uint64_t job_key = 0;  // The record.
  InputsRef inputs;
  TaskIndex inputs_first = 0;
  PositionsRef positions;
  bool solo = false;
  bool front = false;  // Goes before what waits.
};

class SimLane {
 public:
  SimLane(World* world, Checker* checker, uint32_t worker, uint64_t process)
      : world_(world),
        checker_(checker),
        worker_(worker),
        process_(process),
        slots_(world->config.slots) {}

  void Start(SimSpan span);
  std::vector<Run> Cut(SpanKey span, TaskIndex from);
  std::vector<Run> Cancel(SpanKey span, Run run);
  enum class Done : uint8_t { kNothing, kReports, kDied };
  // The event kTaskDone. kDied: a poison task takes the process down (see `culprit`).
  Done OnTaskDone(uint64_t slot_and_serial);
  const agent::Suspect& culprit() const { return culprit_; }
  const JobPlan::Poison& poison() const { return *poison_; }
  // Once all that came in a turn is carried out: a suspect runs alone, but for tasks that were told
  // to stop.
  void CheckAlone() const;
  // As TaskLane::SetExclusiveDeadline.
  void SetExclusiveDeadline(int64_t until);
  // What worker/supervisor does at that deadline.
  void Fence();
  // The process ends, and its exclusive tasks with it.
  void EndExclusive();
  // What runs, for at least so long.
  std::vector<agent::Suspect> Running(int64_t at_least) const;
  // What a heartbeat says of them.
  std::vector<RunningTask> RunningFor(int64_t at_least) const;
  std::vector<agent::Reported> TakeReports() { return std::exchange(reports_, {}); }

 private:
  struct Work {
    SimSpan span;
    IntervalSet todo;
    uint32_t claims = 0;
  };
  struct Slot {
    SpanKey work;  // 0: idle.
    TaskIndex next = 0, end = 0;
    bool cancelled = false;
    bool unwanted = false;   // Asked to stop, whether or not it listens.
    bool exclusive = false;  // Runs, and must not at another place.
    int64_t task_began = 0;
    uint32_t serial = 0;
    std::vector<BatchRecord::Entry> done;
    int64_t began = 0;
  };

  void Fill();
  void BeginTask(uint32_t slot);
  void Stop(uint32_t slot, int64_t within);
  void EndExclusive(Slot& slot);
  void Report(Slot& slot, const Work& work);
  std::vector<Run> Drop(SpanKey key, Run run);
  void EndIfDone(SpanKey key);
  const JobPlan& PlanOf(const SimSpan& span) const;
  bool Kills(const SimSpan& span, TaskIndex index) const;
  static std::string_view InputOf(const SimSpan& span, TaskIndex index);
  uint64_t ValueOf(const SimSpan& span, TaskIndex index) const;
  bool Fails(const SimSpan& span, TaskIndex index) const;

  World* world_;
  Checker* checker_;
  const uint32_t worker_;
  const uint64_t process_;
  std::vector<Slot> slots_;
  std::deque<SpanKey> queue_;
  std::map<SpanKey, Work> works_;
  std::vector<agent::Reported> reports_;
  int64_t exclusive_until_ = 0;
  agent::Suspect culprit_;
  const JobPlan::Poison* poison_ = nullptr;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIM_LANE_H_
