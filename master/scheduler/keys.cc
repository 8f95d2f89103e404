// Keys of tasks: limits and rates for each, and turns between them.
//
// Only jobs that ask for keys have them; everything here is per task.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {

uint64_t Scheduler::Impl::KeyOf(const Job& job, TaskIndex index) const {
  const Chunk& chunk = ChunkOf(job, index);
  if (chunk.task_keys == nullptr) return 0;
  const size_t nth = index - chunk.run.first;
  return nth < chunk.task_keys->size() ? (*chunk.task_keys)[nth] : 0;
}

void Scheduler::Impl::AddKeyed(Job& job, Run run) {
  if (job.keys == nullptr) return;
  for (TaskIndex index = run.first; index < run.end(); ++index) {
    const uint64_t key = KeyOf(job, index);
    KeyGroup& group = job.keys->Of(key);
    if (group.ready.empty()) group.had = std::max(group.had, job.keys->had);
    group.ready.Add({index, 1});
    UpdateGroup(last_now, job, key, group);
  }
}

void Scheduler::Impl::RemoveKeyed(Job& job, Run run) {
  if (job.keys == nullptr) return;
  for (TaskIndex index = run.first; index < run.end(); ++index) {
    const uint64_t key = KeyOf(job, index);
    KeyGroup& group = job.keys->Of(key);
    group.ready.Remove({index, 1});
    UpdateGroup(last_now, job, key, group);
  }
}

void Scheduler::Impl::CountKeys(Job& job, Run run, int64_t by) {
  if (job.keys == nullptr) return;
  for (TaskIndex index = run.first; index < run.end(); ++index) {
    const uint64_t key = KeyOf(job, index);
    KeyGroup& group = job.keys->Of(key);
    group.in_flight += static_cast<uint64_t>(by);
    UpdateGroup(last_now, job, key, group);
  }
}

// Whether a task of the group may be placed now; if its time is to come, it is woken then.
void Scheduler::Impl::UpdateGroup(const Now& now, Job& job, uint64_t key, KeyGroup& group) {
  const JobExtras& extras = *job.extras();
  bool may = !group.ready.empty();
  if (may && extras.key_max_in_flight > 0 && !REEVE_BUG(kKeyLimitIgnored))
    may = group.in_flight < extras.key_max_in_flight;
  if (may && extras.key_rate.limited() && !REEVE_BUG(kRateIgnored) &&
      group.gate.Open(extras.key_rate, now.monotonic) == 0) {
    may = false;
    if (!std::exchange(group.waking, true)) key_wakes.insert({group.gate.NextAt(), job.id, key});
  }
  if (may != group.eligible) {
    group.eligible = may;
    if (may) {
      job.keys->eligible.insert({group.had, key});
    } else {
      job.keys->eligible.erase({group.had, key});
    }
  }
  // With a rate it remembers when the last one went.
  if (group.ready.empty() && group.in_flight == 0 && !extras.key_rate.limited())
    job.keys->groups.erase(key);
}

// Tasks of one key, `run`, are placed.
void Scheduler::Impl::PassKeyGate(const Now& now, Job& job, Run run) {
  if (job.keys == nullptr) return;
  const uint64_t key = KeyOf(job, run.first);
  KeyGroup& group = job.keys->Of(key);
  const Rate& rate = job.extras()->key_rate;
  if (rate.limited()) group.gate.Pass(rate, now.monotonic, run.count);
  job.keys->had = std::max(job.keys->had, group.had);
  if (std::exchange(group.eligible, false)) job.keys->eligible.erase({group.had, key});
  group.had += run.count;
  UpdateGroup(now, job, key, group);
}

bool Scheduler::Impl::KeyIsOpen(const Now& now, Job& job, TaskIndex index) {
  if (job.keys == nullptr) return true;
  const JobExtras& extras = *job.extras();
  if (extras.key_max_in_flight == 0 && !extras.key_rate.limited()) return true;
  if (reattach_deadline != absl::InfiniteDuration() && !REEVE_BUG(kLimitsNotAwaited)) return false;
  const uint64_t key = KeyOf(job, index);
  const auto group = job.keys->groups.find(key);
  if (group == job.keys->groups.end()) return job.keys->not_before <= now.monotonic;
  if (extras.key_max_in_flight > 0 && group->second.in_flight >= extras.key_max_in_flight)
    return false;
  if (!extras.key_rate.limited() || group->second.gate.Open(extras.key_rate, now.monotonic) > 0)
    return true;
  next_gate = std::min(next_gate, group->second.gate.NextAt());
  return false;
}

void Scheduler::Impl::WakeKeys(const Now& now) {
  while (!key_wakes.empty() && std::get<0>(*key_wakes.begin()) <= now.monotonic) {
    const auto [when, id, key] = *key_wakes.begin();
    key_wakes.erase(key_wakes.begin());
    Job* job = FindJob(id);
    if (job == nullptr) continue;
    const auto group = job->keys->groups.find(key);
    if (group == job->keys->groups.end()) continue;
    group->second.waking = false;
    UpdateGroup(now, *job, key, group->second);
    UpdateListing(*job);
  }
}

}  // namespace reeve
