// Inputs that tasks add to their own job, and keys: which inputs become tasks.

#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {

Selection Scheduler::Impl::Select(Job& job, uint32_t count, const std::vector<InputKey>& keys,
                                  const std::vector<Run>& offered) {
  KnownInputs& known = *job.known;
  Selection tasks;
  auto positions = std::make_shared<Positions>();
  uint64_t duplicates = 0, dropped = 0;
  for (const Run run : offered) {
    for (uint32_t i = run.first; i < run.end(); ++i) {
      if (!keys.empty() && known.keys.contains(keys[i])) {
        ++duplicates;
        continue;
      }
      if (job.total + positions->count() >= job.options.max_tasks) {
        ++dropped;  // Not remembered: it is no task.
        continue;
      }
      positions->Add(i);
      if (keys.empty()) continue;
      known.keys.insert(keys[i]);
      tasks.keys.push_back(keys[i]);
    }
  }
  tasks.count = positions->count();
  if (tasks.count < count) tasks.positions = std::move(positions);
  if (duplicates + dropped > 0) {
    known.duplicates += duplicates;
    known.dropped += dropped;
    PutState(job);
  }
  return tasks;
}

Selection Scheduler::Impl::SelectAll(Job& job, uint32_t count, const std::vector<InputKey>& keys) {
  if (job.known == nullptr) return {count, nullptr, {}};
  return Select(job, count, keys, {{0, count}});
}

void Scheduler::Impl::AddNewInputs(Job& job, NewInputs added,
                                   const std::vector<ResultRun>& admitted) {
  if (job.known == nullptr) return;  // No worker in its senses sends them.
  if (job.ending.halted) return;     // Nothing more of it is wanted.
  std::vector<Run> offered;
  uint32_t first = 0;
  auto run = admitted.begin();
  for (const NewInputs::Part& part : added.parts) {
    while (run != admitted.end() && run->run.position + run->run.count <= part.position) ++run;
    const bool counts = run != admitted.end() && run->run.position <= part.position;
    if (counts || REEVE_BUG(kStaleInputsAdded)) offered.push_back({first, part.count});
    first += part.count;
  }
  const auto count = static_cast<uint32_t>(added.keys.size());
  Selection tasks = Select(job, count, added.keys, offered);
  if (tasks.count == 0) return;
  AddChunk(job, std::move(tasks), std::move(added.inputs), added.bytes, "", 0,
           std::move(added.task_keys));
}

}  // namespace reeve
