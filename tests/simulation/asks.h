// What jobs of the simulation ask for: which seeds have such jobs, and what the plans mean to the
// scheduler. Functions of the seed, so that clients, workers and checks agree without talking.

#ifndef REEVE_TESTS_SIMULATION_ASKS_H_
#define REEVE_TESTS_SIMULATION_ASKS_H_

#include <map>
#include <memory>
#include <string>

#include "tests/simulation/config.h"

namespace reeve::sim {

class Random;

inline constexpr char kOwner[] = "operator";  // Of all schedules.

// Adds plans to some seeds, drawn apart from all others.
void AddAsks(SimConfig* config);
// Adds people who interfere to some seeds: workers drained, and what else control_plans.cc has.
void AddInterventions(SimConfig* config);
// For a pair of jobs of short tasks that share: equal parts of the time are equal numbers of tasks
// where nothing waits for a commit, and in half of the seeds nothing hangs at a worker.
void MakeTurnsEven(Random& random, SimConfig* config);
std::string Describe(const Asks& asks);
std::string Describe(const QueuePlan& queue);
std::string Describe(const SchedulePlan& schedule);

// The wall clock of a master that nobody sets.
inline absl::Time WallAt(int64_t at) {
  return absl::FromUnixSeconds(1'700'000'000) + absl::Microseconds(at);
}

// What the options of a job of the plan say; dependencies are not among it.
void SetOptions(const JobPlan& plan, JobOptions* options);
bool HasExtras(const Asks& asks);

// Of the `nth` input of a client's batch at `offset`.
uint64_t TaskKeyOf(const Asks& asks, uint64_t nth);

// What a worker says it has.
Resources ResourcesOf(const SimConfig& config, uint32_t worker);
std::map<std::string, std::string> LabelsOf(uint32_t worker);

std::string ScheduleName(uint32_t plan);
ScheduleSettings SettingsOf(const SimConfig& config, const std::string& schedule);
// The plan of a job that a schedule made at a fire time, by its request; null: another job.
const SchedulePlan* ScheduleOf(const SimConfig& config, const std::string& request, absl::Time* at);
uint64_t JobKey(const SimConfig& config, uint32_t plan);

// What its workers are told of the results of a job's predecessors.
Buffer BriefOf(const LoadResults& load);
// Whether the results of its predecessors cannot be read for the job.
bool ResultsAreDamaged(const SimConfig& config, JobId job);

// How an attempt of a plan with retry rules fails.
FailedEntry FailureOf(const JobPlan& plan, uint64_t value, uint32_t attempt, uint32_t begun);
// Whether its rules let such a failure be tried again.
bool IsRetried(const RetryRules& rules, const FailedEntry& failure);

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_ASKS_H_
