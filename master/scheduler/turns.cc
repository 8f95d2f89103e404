// What tasks count in turns, and who goes first by them.

#include <algorithm>
#include <optional>
#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// What a task counts in turns that begins at once and of whose like nothing is known: as long as it
// takes until heartbeats tell of it.
constexpr double kUnknownSeconds = 1;

}  // namespace

void Scheduler::Impl::CountAhead(Job& job, int32_t level, double slot_seconds) {
  Queue& queue = job.queue();
  job.flow->turns[level].ahead += slot_seconds;
  queue.turns[level].ahead += slot_seconds / queue.settings.weight;
  job.work->turns[level].ahead += slot_seconds;
  if (queue.in_flight > 0) return;
  for (Turn& turn : queue.turns) turn.ahead = 0;  // Its weight may have changed meanwhile.
}

void Scheduler::Impl::CountUse(Job& job, int32_t level, double slot_seconds) {
  job.flow->turns[level].had += slot_seconds;
  job.queue().turns[level].had += slot_seconds / job.queue().settings.weight;
  job.work->turns[level].had += slot_seconds;
}

void Scheduler::Impl::SetCounted(const Now& now, Lease& lease, const WorkerRecord& worker,
                                 const Job& job) const {
  const uint32_t slots = Slots(worker, lease.lane);
  lease.since = now.monotonic;
  lease.level = job.level;
  if (lease.solo) lease.slots = std::max(1u, slots);
  // Whoever needs half of a resource takes half of the worker.
  for (const auto& [name, need] : job.work->needs) {
    const auto has = worker.resources.find(name);
    if (has != worker.resources.end() && has->second > 0)
      lease.slots = std::max(lease.slots, static_cast<double>(need) / has->second * slots);
  }
  double seconds = job.flow->task_seconds;
  const auto pace = worker.paces.find(job.id);
  if (pace != worker.paces.end() && pace->second.cost_ns > 0) seconds = pace->second.cost_ns / 1e9;
  if (seconds == 0) {
    const bool begins = worker.held[static_cast<int>(lease.lane)] < slots;
    seconds = begins ? kUnknownSeconds : absl::ToDoubleSeconds(options.prefetch_target);
  }
  lease.counted = seconds * lease.slots;
}

double Lease::CountedMore(Run run) const {
  double all = 0;
  for (auto more = counted_more.lower_bound(run.first);
       more != counted_more.end() && more->first < run.end(); ++more) {
    all += more->second;
  }
  return all;
}

void Scheduler::Impl::CountRunning(const Now& now, const WorkerRecord& worker) {
  if (worker.running.empty()) return;
  std::map<std::pair<JobId, TaskIndex>, absl::Duration> running;
  for (const RunningTask& task : worker.running) running[{task.job, task.index}] = task.ran;
  for (const LeaseSeq seq : worker.leases) {
    Lease& lease = *leases.at(seq);
    auto task = running.lower_bound({lease.job, lease.sent.first});
    for (; task != running.end() && task->first < std::pair(lease.job, lease.sent.end()); ++task) {
      const TaskIndex index = task->first.second;
      if (!lease.runs.Contains(index)) continue;
      const double used = lease.Used(task->second, now.monotonic);
      const double more = used - lease.counted - lease.CountedMore({index, 1});
      if (more <= 0) continue;
      lease.counted_more[index] += more;
      CountUse(*jobs.at(lease.job), lease.level, more);
    }
  }
}

// Classes share workers and lanes: the one goes first that has the highest level, then the one with
// the flow whose turn it is.
std::vector<WorkClass*> Scheduler::Impl::ClassesInTurn() const {
  struct Place {
    int level = 0;
    std::optional<Standing> flow;  // None: it has only work with a rate.
    double had = 0;
    WorkClass* work = nullptr;
    bool operator<(const Place& other) const {
      if (level != other.level) return level > other.level;
      return std::tie(flow, had) < std::tie(other.flow, other.had);
    }
  };
  std::vector<WorkClass*> order;
  for (const auto& [name, work] : classes) {
    if (!work->workers.empty() && work->listed > 0) order.push_back(work.get());
  }
  if (order.size() < 2) return order;
  std::vector<Place> places;
  for (WorkClass* work : order) {
    Place place{work->TopLevel(), {}, 0, work};
    place.had = work->turns[place.level].had;
    for (const auto& [number, ids] : work->levels[place.level]) {
      const Standing standing = StandingOf(*flow_of.at(number), place.level);
      if (!place.flow.has_value() || standing < *place.flow) place.flow = standing;
    }
    places.push_back(place);
  }
  std::stable_sort(places.begin(), places.end());
  for (size_t i = 0; i < order.size(); ++i) order[i] = places[i].work;
  return order;
}

Scheduler::Impl::Standing Scheduler::Impl::StandingOf(const Flow& flow, int level) {
  const double had = REEVE_BUG(kOwnerTurnsIgnored) ? 0 : flow.turns[level].had;
  return {flow.queue->turns[level].had, flow.queue->settings.name, had, flow.number};
}

}  // namespace reeve
