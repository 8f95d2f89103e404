// Placement: ready work to workers with credit, run by run.

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// What a lane works on in one frame: small enough that the first results come back soon.
constexpr double kNsPerSecond = 1e9;
// Weight of a new measurement of a task's cost.
constexpr double kNewCostWeight = 0.3;
// A job whose cost is unknown starts no wider than this many tasks a slot, however cheap its
// handler was for others.
constexpr uint32_t kUnknownTasksPerSlot = 8;
// A worker is given more once this part of its window is free, not for every single task: one
// assignment then serves many results. What it holds lasts until then by far.
constexpr uint32_t kRefillPart = 4;
// Work that one worker gets through in this time is not divided: the wake-ups, frames and report of
// another span would cost as much.
constexpr double kUndividedNs = 1e6;
// Work that would take less than this is not worth taking back from a worker.
constexpr double kRecallNs = 5e6;

uint32_t Slots(const WorkerRecord& worker, Lane lane) {
  const LaneRoom& room = worker.lanes[static_cast<int>(lane)];
  return room.slots > room.stuck ? room.slots - room.stuck : 0;
}

}  // namespace

Lane Scheduler::Impl::LaneOf(const WorkerRecord& worker, const std::string& handler) const {
  for (const HandlerOffer& offer : worker.handlers) {
    if (offer.name == handler) return offer.lane;
  }
  return Lane::kUnspecified;
}

Chunk& Scheduler::Impl::ChunkOf(Job& job, TaskIndex index) {
  const auto after =
      std::upper_bound(job.chunks.begin(), job.chunks.end(), index,
                       [](TaskIndex i, const Chunk& chunk) { return i < chunk.run.first; });
  return *std::prev(after);
}

void Scheduler::Impl::AddReady(Job& job, Run run) {
  auto budget = job.budgets.lower_bound(run.first);
  for (; budget != job.budgets.end() && budget->first < run.end(); ++budget) {
    if (!budget->second.solo()) continue;
    const TaskIndex index = budget->first;
    if (index > run.first) AddTo(job.ready, job, {run.first, index - run.first});
    AddTo(job.solo, job, {index, 1});
    solo_jobs.insert(job.id);
    run = {index + 1, run.end() - index - 1};
  }
  if (run.count > 0) AddTo(job.ready, job, run);
}

void Scheduler::Impl::AddTo(IntervalSet& set, Job& job, Run run) {
  set.Add(run);
  while (run.count > 0) {
    Chunk& chunk = ChunkOf(job, run.first);
    const uint32_t here = std::min(run.end(), chunk.run.end()) - run.first;
    chunk.ready += here;
    run = {run.first + here, run.count - here};
  }
}

void Scheduler::Impl::TakeFrom(IntervalSet& set, Job& job, Run run) {
  set.Remove(run);
  if (&set == &job.solo && job.solo.empty()) solo_jobs.erase(job.id);
  while (run.count > 0) {
    Chunk& chunk = ChunkOf(job, run.first);
    const uint32_t here = std::min(run.end(), chunk.run.end()) - run.first;
    chunk.ready -= here;
    if (chunk.ready == 0 && chunk.inputs != nullptr) {
      chunk.inputs.reset();
      resident_bytes -= chunk.bytes;
    }
    run = {run.first + here, run.count - here};
  }
}

void Scheduler::Impl::UpdateListing(Job& job) {
  const bool limited = job.options.max_in_flight > 0 && job.in_flight >= job.options.max_in_flight;
  const bool wanted =
      !job.ready.empty() && !limited && !ResultsFull(job) && job.state != JobState::kCancelling;
  if (wanted == job.listed) return;
  if (!wanted) return Unlist(job);
  classes[job.options.handler].jobs.insert({-job.options.priority, job.id});
  job.listed = true;
}

void Scheduler::Impl::Unlist(Job& job) {
  if (!job.listed) return;
  classes[job.options.handler].jobs.erase({-job.options.priority, job.id});
  job.listed = false;
}

uint32_t Scheduler::Impl::Window(WorkerRecord& worker, const Job& job) const {
  const uint32_t slots = Slots(worker, LaneOf(worker, job.options.handler));
  if (job.options.at_most_once) return slots;  // What waits at a worker is lost with it.
  Pace& pace = worker.paces[job.id];
  if (pace.window == 0) {
    const auto known = worker.handler_paces.find(job.options.handler);
    pace.window = known == worker.handler_paces.end()
                      ? slots
                      : std::clamp(known->second.window, slots, slots * kUnknownTasksPerSlot);
  }
  return std::max(pace.window, slots);
}

uint32_t Scheduler::Impl::Credit(WorkerRecord& worker, const Job& job) const {
  if (!Takes(worker)) return 0;
  if (!IsCommitted(worker.welcome_after)) return 0;
  const Lane lane = LaneOf(worker, job.options.handler);
  if (Slots(worker, lane) == 0) return 0;
  if (REEVE_BUG(kCreditIgnored)) return options.max_span;
  const uint64_t held = worker.held[static_cast<int>(lane)];
  const uint32_t window = Window(worker, job);
  if (held >= window) return 0;
  const auto credit = static_cast<uint32_t>(window - held);
  return held >= Slots(worker, lane) && credit < window / kRefillPart ? 0 : credit;
}

uint64_t Scheduler::Impl::Undivided(const WorkerRecord& worker, const Job& job) const {
  const auto pace = worker.paces.find(job.id);
  if (pace == worker.paces.end() || pace->second.cost_ns == 0) return 1;
  const uint32_t slots = Slots(worker, LaneOf(worker, job.options.handler));
  return static_cast<uint64_t>(std::max(1.0, kUndividedNs / pace->second.cost_ns * slots));
}

uint32_t Scheduler::Impl::RoomInBytes(const WorkerRecord& worker, Job& job, TaskIndex index) {
  const uint64_t each = std::max<uint64_t>(1, ChunkOf(job, index).task_bytes());
  const uint64_t most = options.max_held_bytes_per_worker;
  const uint64_t ahead = (most - std::min(most, worker.held_bytes)) / each;
  const Lane lane = LaneOf(worker, job.options.handler);
  const uint64_t slots = Slots(worker, lane), held = worker.held[static_cast<int>(lane)];
  return static_cast<uint32_t>(
      std::min<uint64_t>(UINT32_MAX, std::max(ahead, slots - std::min(slots, held))));
}

void Scheduler::Impl::LearnPace(WorkerRecord& worker, const Job& job, uint64_t count,
                                absl::Duration run_time) {
  if (count == 0) return;
  const uint32_t slots = Slots(worker, LaneOf(worker, job.options.handler));
  const double measured = std::max(1.0, absl::ToDoubleNanoseconds(run_time) / count);
  Pace& pace = worker.paces[job.id];
  // Upwards at once: too much held ahead hurts more than too little.
  pace.cost_ns = pace.cost_ns == 0 || measured > 4 * pace.cost_ns
                     ? measured
                     : pace.cost_ns * (1 - kNewCostWeight) + measured * kNewCostWeight;
  const double ahead =
      absl::ToDoubleSeconds(options.prefetch_target) * kNsPerSecond / pace.cost_ns * slots;
  const auto wanted =
      static_cast<uint32_t>(std::min<double>(slots + ahead, options.max_held_per_worker));
  pace.window = std::clamp(wanted, slots, std::max(pace.window, slots) * 2);
  worker.handler_paces[job.options.handler] = pace;
}

bool Scheduler::Impl::CoveredByFrontier(Job& job, Run run) {
  if (job.options.ephemeral || run.first < job.frontier || REEVE_BUG(kFrontierIgnored)) return true;
  if (job.options.at_most_once && !REEVE_BUG(kAtMostOnceBeforeFrontier)) {
    // Exact: a task below it may have been sent, and will not be sent by another life.
    ExtendFrontier(job, run.end());
    return false;
  }
  const int durable = static_cast<int>(StoreKind::kDurable);
  // A step in the transaction of the inputs it covers counts at once: they die with it. Not their
  // run, though, and the client sends them again: too soon for an exclusive task.
  const bool waits = job.options.exclusive && !REEVE_BUG(kExclusiveBeforeCommit);
  if (!waits && ChunkOf(job, job.frontier).commit == next_commit[durable]) {
    job.frontier = std::min(job.total, std::max(job.frontier, run.first) + options.frontier_step);
    // A step written ahead in this transaction reaches farther: the last one written stands.
    if (!REEVE_BUG(kFrontierLowered)) job.frontier = std::max(job.frontier, job.frontier_pending);
    Put(StoreKind::kDurable, PutFrontier{job.id, job.frontier});
    return true;
  }
  ExtendFrontier(job, uint64_t{job.frontier} + 2 * options.frontier_step);
  return false;
}

void Scheduler::Impl::ExtendFrontier(Job& job, uint64_t to) {
  if (job.options.ephemeral || job.frontier_pending != 0 || job.frontier >= job.total) return;
  job.frontier_pending = static_cast<uint32_t>(std::min<uint64_t>(job.total, to));
  job.frontier_commit = next_commit[static_cast<int>(StoreKind::kDurable)];
  Put(StoreKind::kDurable, PutFrontier{job.id, job.frontier_pending});
  frontier_waits.insert(job.id);
}

void Scheduler::Impl::LoadAhead(Job& job, TaskIndex from) {
  const auto begin =
      std::upper_bound(job.chunks.begin(), job.chunks.end(), from,
                       [](TaskIndex i, const Chunk& chunk) { return i < chunk.run.first; });
  // Far ahead is of no use yet, and a job may have very many small chunks.
  uint64_t looked = 0;
  for (auto it = std::prev(begin); it != job.chunks.end() && looked < options.load_ahead_chunks;
       ++it, ++looked) {
    if (it->ready == 0) continue;
    if (it->inputs != nullptr) continue;
    if (it->loading) continue;
    if (it->commit > committed[static_cast<int>(job.store)]) return;
    if (LoadsFull() ||
        (loading_bytes > 0 &&
         (loading_bytes + it->bytes > options.load_ahead_bytes ||
          resident_bytes + loading_bytes > options.resident_bytes + options.load_ahead_bytes))) {
      return;
    }
    it->loading = true;
    ++loading_count;
    loading_bytes += it->bytes;
    effects.loads.push_back({job.id, it->run.first, job.store});
    if (loading_bytes >= options.load_ahead_bytes) return;
  }
}

std::optional<Run> Scheduler::Impl::NextRun(Job& job, uint32_t limit) {
  // An id that a worker has seen never means another job, even if this commit fails.
  if (job.id.value >= reserved_for_sure && !REEVE_BUG(kJobIdsNotReserved)) return std::nullopt;
  const std::optional<Run> ready = job.ready.FirstRun(0, std::min(limit, options.max_span));
  if (!ready.has_value() || !CoveredByFrontier(job, *ready)) return std::nullopt;
  Run run = *ready;
  Chunk& chunk = ChunkOf(job, run.first);
  if (chunk.has_inputs && chunk.inputs == nullptr) {
    LoadAhead(job, run.first);
    return std::nullopt;
  }
  run.count = std::min(run.end(), chunk.run.end()) - run.first;
  if (!job.options.ephemeral && !REEVE_BUG(kFrontierIgnored))
    run.count = std::min(run.end(), job.frontier) - run.first;
  // One attempt number a span.
  auto budget = job.budgets.lower_bound(run.first);
  const bool tried = budget != job.budgets.end() && budget->first == run.first;
  const uint32_t attempt = tried ? budget->second.attempt() : 1;
  uint32_t same = 0;
  for (; same < run.count && budget != job.budgets.end() && budget->first < run.end(); ++budget) {
    if (!tried) {
      same = budget->first - run.first;
      break;
    }
    if (budget->first != run.first + same || budget->second.attempt() != attempt) break;
    ++same;
  }
  if (tried || same > 0) run.count = same;
  return run;
}

// An empty worker, or the one that is kept from new work until it is empty. Null: none can take it.
WorkerRecord* Scheduler::Impl::WorkerForSolo(const Job& job) {
  const auto work = classes.find(job.options.handler);
  if (work == classes.end()) return nullptr;
  WorkerRecord* best = nullptr;
  for (const SessionId session : work->second.workers) {
    WorkerRecord& worker = *workers.at(session);
    if (!worker.takes_work() || Slots(worker, LaneOf(worker, job.options.handler)) == 0 ||
        !IsCommitted(worker.welcome_after)) {
      continue;
    }
    if (worker.holds_nothing()) return &worker;
    if (best == nullptr || worker.session == emptying ||
        (best->session != emptying && worker.leases.size() < best->leases.size())) {
      best = &worker;
    }
  }
  return best;
}

void Scheduler::Impl::PlaceSolo(const Now& now) {
  SessionId keep;
  for (const JobId id : std::vector<JobId>(solo_jobs.begin(), solo_jobs.end())) {
    Job& job = *jobs.at(id);
    while (!job.solo.empty() && !ResultsFull(job) &&
           (job.options.max_in_flight == 0 || job.in_flight < job.options.max_in_flight)) {
      WorkerRecord* worker = WorkerForSolo(job);
      if (worker == nullptr) break;
      if (!worker->holds_nothing()) {
        keep = worker->session;
        break;
      }
      const Run run = *job.solo.FirstRun(0, 1);
      const Chunk& chunk = ChunkOf(job, run.first);
      if (chunk.has_inputs && chunk.inputs == nullptr) {
        LoadAhead(job, run.first);
        break;
      }
      Assign(now, *worker, job, run, true);
    }
    if (keep) break;  // One worker is enough to empty.
  }
  emptying = keep;
}

void Scheduler::Impl::Place(const Now& now) {
  if (!solo_jobs.empty() || emptying) PlaceSolo(now);
  for (auto& [handler, work] : classes) {
    if (work.workers.empty()) continue;
    for (auto next = work.jobs.begin(); next != work.jobs.end();) {
      const JobId id = (next++)->second;  // Placing may take this job off the list, and no other.
      PlaceJob(now, work, *jobs.at(id));
      if (LoadsFull()) break;
      // Every worker is full for this class: a job behind would only find the same.
      bool room = false;
      for (const SessionId session : work.workers) {
        WorkerRecord& worker = *workers.at(session);
        const uint32_t slots = Slots(worker, LaneOf(worker, handler));
        room = room ||
               (Takes(worker) && worker.held[static_cast<int>(LaneOf(worker, handler))] < slots);
      }
      if (!room) break;
    }
  }
  if (now.monotonic >= next_rebalance) Rebalance(now);
}

void Scheduler::Impl::PlaceJob(const Now& now, WorkClass& work, Job& job) {
  for (bool placed = true; placed && job.listed;) {
    placed = false;
    std::vector<std::pair<uint32_t, WorkerRecord*>> candidates;  // Credit.
    for (const SessionId session : work.workers) {
      WorkerRecord& worker = *workers.at(session);
      if (const uint32_t credit = Credit(worker, job); credit > 0)
        candidates.push_back({credit, &worker});
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (size_t i = 0; i < candidates.size() && job.listed; ++i) {
      const uint64_t left = candidates.size() - i;
      const uint64_t fair = (job.ready.size() + left - 1) / left;
      uint64_t share = std::min<uint64_t>(candidates[i].first,
                                          std::max(fair, Undivided(*candidates[i].second, job)));
      if (job.options.max_in_flight > 0) {
        share = std::min<uint64_t>(share, job.options.max_in_flight - job.in_flight);
      }
      while (share > 0 && job.listed) {
        std::optional<Run> run = NextRun(job, static_cast<uint32_t>(share));
        if (!run.has_value()) return;
        run->count = std::min(run->count, RoomInBytes(*candidates[i].second, job, run->first));
        if (run->count == 0) break;
        Assign(now, *candidates[i].second, job, *run, false);
        share -= run->count;
        placed = true;
      }
    }
  }
}

void Scheduler::Impl::Assign(const Now& now, WorkerRecord& worker, Job& job, Run run, bool solo) {
  Chunk& chunk = ChunkOf(job, run.first);
  auto owned = std::make_unique<Lease>();
  Lease& lease = *owned;
  lease.seq = LeaseSeq(next_lease++);
  lease.job = job.id;
  lease.birth = chunk.birth;
  lease.runs.Add(run);
  const auto budget = job.budgets.find(run.first);
  lease.attempt = budget == job.budgets.end() ? 1 : budget->second.attempt();
  lease.lane = LaneOf(worker, job.options.handler);
  lease.session = worker.session;
  lease.task_bytes = chunk.task_bytes();
  lease.solo = worker.alone = solo;
  lease.sent = run;
  lease.inputs = chunk.inputs;
  lease.inputs_first = chunk.run.first;
  lease.positions = chunk.positions;
  TakeFrom(solo ? job.solo : job.ready, job, run);
  job.in_flight += run.count;
  job.leases.insert(lease.seq);
  worker.leases.insert(lease.seq);
  worker.held[static_cast<int>(lease.lane)] += run.count;
  worker.held_bytes += run.count * lease.task_bytes;
  Send(now, worker, lease);
  leases.emplace(lease.seq, std::move(owned));
  if (job.watched) changed_jobs.insert(job.id);
  if (!job.options.at_most_once && run.end() + options.frontier_step > job.frontier)
    ExtendFrontier(job, uint64_t{job.frontier} + 2 * options.frontier_step);
  if (chunk.has_inputs && run.end() + 1 < job.total) LoadAhead(job, run.end());
  UpdateListing(job);
}

void Scheduler::Impl::Send(const Now& now, WorkerRecord& worker, Lease& lease) {
  lease.sent_at = now.monotonic;
  AssignedSpan span;
  span.job = lease.job;
  span.lease = lease.seq;
  span.run = lease.sent;
  span.birth = lease.birth;
  span.attempt = lease.attempt;
  span.solo = lease.solo;
  span.record = jobs.at(lease.job)->record;
  span.inputs = lease.inputs;
  span.inputs_first = lease.inputs_first;
  span.positions = lease.positions;
  Assignment& assignment = assigning[worker.session];
  assignment.session = worker.session;
  assignment.spans.push_back(std::move(span));
}

// When nothing is ready and a worker has idle slots, half of what the fullest one holds ahead is
// called back.
void Scheduler::Impl::Rebalance(const Now& now) {
  next_rebalance = now.monotonic + absl::Milliseconds(20);
  for (auto& [handler, work] : classes) {
    if (!work.jobs.empty() || work.workers.size() < 2) continue;
    bool idle = false;
    WorkerRecord* fullest = nullptr;
    double most = kRecallNs;
    for (const SessionId session : work.workers) {
      WorkerRecord& worker = *workers.at(session);
      const Lane lane = LaneOf(worker, handler);
      const uint32_t slots = Slots(worker, lane);
      const uint64_t held = worker.held[static_cast<int>(lane)];
      if (Takes(worker) && held < slots) idle = true;
      if (slots == 0 || held <= slots) continue;
      const auto pace = worker.handler_paces.find(handler);
      // Not a single result yet: every task queued behind the slots may be a long one.
      const double cost = pace == worker.handler_paces.end() ? kRecallNs * 2 : pace->second.cost_ns;
      const double queued = cost * static_cast<double>(held - slots) / slots;
      if (queued > most) {
        most = queued;
        fullest = &worker;
      }
    }
    if (!idle || fullest == nullptr) continue;
    const Lane lane = LaneOf(*fullest, handler);
    uint64_t wanted = (fullest->held[static_cast<int>(lane)] - Slots(*fullest, lane) + 1) / 2;
    SendRecall recall;
    // The newest first: they are the farthest from being run.
    for (auto it = fullest->leases.rbegin(); it != fullest->leases.rend() && wanted > 0; ++it) {
      Lease& lease = *leases.at(*it);
      if (lease.lane != lane || lease.runs.empty()) continue;
      if (jobs.at(lease.job)->options.handler != handler ||
          jobs.at(lease.job)->options.at_most_once)
        continue;
      if (lease.recalling && now.monotonic - lease.recall_at < kRepeat) break;
      const std::vector<Run> runs = lease.runs.Runs();
      TaskIndex end = runs.back().end();
      for (auto run = runs.rbegin(); run != runs.rend() && wanted > 0; ++run) {
        const auto cut = static_cast<uint32_t>(std::min<uint64_t>(wanted, run->count));
        end = run->end() - cut;
        wanted -= cut;
      }
      lease.recalling = true;
      lease.recall_end = end;
      lease.recall_at = now.monotonic;
      recall.cuts.push_back({lease.seq, end});
    }
    if (!recall.cuts.empty()) effects.sends.push_back({fullest->session, std::move(recall), {}});
  }
}

}  // namespace reeve
