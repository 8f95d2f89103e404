// What tasks of the simulation are: what each must give back, which of them are poison. Functions
// of the seed's plans and of a task's input, so that lanes and checks agree without talking.

#ifndef REEVE_TESTS_SIMULATION_WORK_H_
#define REEVE_TESTS_SIMULATION_WORK_H_

#include <string>
#include <string_view>

#include "tests/simulation/sim_store.h"

namespace reeve::sim {

// Of a process of a worker.
inline SessionId SessionOf(uint32_t worker, uint64_t process) {
  return SessionId(Mix(worker + 1, process) | 1);
}
// `worker-3`, and back.
std::string WorkerId(uint32_t worker);
uint32_t WorkerNumberOf(const std::string& worker_id);

// Word `index` of `bytes`, 0 beyond their end.
uint64_t WordOf(std::string_view bytes, size_t index);

// What a task must give back: a function of the job and, through its input, of the task.
uint64_t ArrayValue(uint64_t job_key, TaskIndex index);
uint64_t InputValue(const SimConfig& config, uint64_t job_key, std::string_view input);
std::string AppendInput(uint64_t job_key, uint64_t appender, uint64_t offset);
// Of a plan with nodes: the input for a node, and back.
std::string NodeInput(uint64_t job_key, uint64_t node);
// What tasks of some jobs count when they succeed.
inline bool Counts(JobId job) { return job.value % 3 == 1; }
inline std::string CounterOf(TaskIndex index) { return index % 2 == 0 ? "even" : "odd"; }
inline int64_t CountOf(TaskIndex index) { return 1 + index % 5; }

inline uint64_t NodeOf(std::string_view input) { return WordOf(input, 1); }
InputKey NodeKey(uint64_t node);
// The inputs that the task with `input` adds.
std::vector<std::string> ChildrenOf(const SimConfig& config, std::string_view input);
// What a client sends, as the `offset`-th of an appender.
std::string ClientInput(const SimConfig& config, uint64_t job_key, uint64_t appender,
                        uint64_t offset);
// What stands in the body for a failed entry.
inline uint64_t FailedValue(uint64_t value) { return ~value; }

// Bodies made by lanes begin with this and the number of their record; the master's own do not.
inline constexpr uint64_t kLaneBody = 0x5eedull << 48;
inline constexpr uint64_t kLaneBodyMask = 0xffffull << 48;

// The low bits of a job's key say which plan it comes from.
inline const JobPlan& PlanOf(const SimConfig& config, uint64_t job_key) {
  return config.jobs[job_key & 0xff];
}
const JobPlan& PlanOf(const SimConfig& config, const JobRow& row);
// "" for an array.
std::string_view InputOf(const JobRow& row, TaskIndex index);
uint64_t ValueOf(const SimConfig& config, const JobRow& row, TaskIndex index);
inline bool IsPoisonTask(const JobPlan& plan, uint64_t value) {
  return Mix(value, 99) % 1000 < plan.poison.permille;
}

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_WORK_H_
