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
// So many tasks of one key go at once while others wait for their turn.
constexpr uint32_t kKeyTurn = 16;

}  // namespace

Lane Scheduler::Impl::LaneOf(const WorkerRecord& worker, const std::string& handler) const {
  for (const HandlerOffer& offer : worker.handlers) {
    if (offer.name == handler) return offer.lane;
  }
  return Lane::kUnspecified;
}

const Chunk& Scheduler::Impl::ChunkOf(const Job& job, TaskIndex index) const {
  const auto after =
      std::upper_bound(job.chunks.begin(), job.chunks.end(), index,
                       [](TaskIndex i, const Chunk& chunk) { return i < chunk.run.first; });
  return *std::prev(after);
}

Chunk& Scheduler::Impl::ChunkOf(Job& job, TaskIndex index) {
  return const_cast<Chunk&>(std::as_const(*this).ChunkOf(std::as_const(job), index));
}

void Scheduler::Impl::AddReady(Job& job, Run run) {
  if (job.ending.halted) {
    job.cancelled.Add(run);
    job.cancelled_count += run.count;
    return;
  }
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
  const bool keyed = job.keys != nullptr && &set == &job.ready;
  const Run added = run;
  while (run.count > 0) {
    Chunk& chunk = ChunkOf(job, run.first);
    const uint32_t here = std::min(run.end(), chunk.run.end()) - run.first;
    chunk.ready += here;
    run = {run.first + here, run.count - here};
  }
  if (keyed) AddKeyed(job, added);
}

void Scheduler::Impl::TakeFrom(IntervalSet& set, Job& job, Run run) {
  set.Remove(run);
  if (job.keys != nullptr && &set == &job.ready) RemoveKeyed(job, run);
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

uint32_t Scheduler::Impl::Window(WorkerRecord& worker, const Job& job) const {
  const uint32_t slots = Slots(worker, LaneOf(worker, job.options.handler));
  // What waits at a worker is lost with it, or is late, or occupies what others could use.
  if (job.options.at_most_once || job.timed() || !job.work->needs.empty()) return slots;
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
  // What has its time goes before what waits there, and so does not wait for it.
  const bool timed = job.timed();
  const uint64_t held = (timed ? worker.front : worker.held)[static_cast<int>(lane)];
  const uint32_t slots = Slots(worker, lane), window = Window(worker, job);
  uint32_t credit = 0;
  if (held < window) {
    credit = static_cast<uint32_t>(window - held);
    if (job.work->needs.empty() && held >= slots && credit < window / kRefillPart) credit = 0;
  }
  // Other classes keep the lane full: this one gets in among them.
  if (credit == 0 && !timed && MayCrowd(worker, *job.work, slots))
    credit = slots - static_cast<uint32_t>(HeldOf(worker, *job.work));
  if (!job.work->needs.empty())
    credit = static_cast<uint32_t>(std::min<uint64_t>(credit, RoomInResources(*job.work, worker)));
  return credit;
}

uint64_t Scheduler::Impl::HeldOf(const WorkerRecord& worker, const WorkClass& work) const {
  const auto held = worker.held_of.find(&work);
  return held == worker.held_of.end() ? 0 : held->second;
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
  double& usual = job.flow->task_seconds;
  const double seconds = measured / kNsPerSecond;
  usual = usual == 0 ? seconds : usual * (1 - kNewCostWeight) + seconds * kNewCostWeight;
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
  // Tasks with keys do not go in order.
  ExtendFrontier(job, uint64_t{std::max(job.frontier, run.end())} + 2 * options.frontier_step);
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
  const IntervalSet* from = &job.ready;
  if (job.keys != nullptr) {
    if (job.keys->eligible.empty()) return std::nullopt;
    const KeyGroup& group = job.keys->groups.at(job.keys->eligible.begin()->second);
    const JobExtras& extras = *job.extras();
    from = &group.ready;
    if (extras.key_max_in_flight > 0 && !REEVE_BUG(kKeyLimitIgnored))
      limit = std::min<uint64_t>(limit, extras.key_max_in_flight - group.in_flight);
    if (extras.key_rate.limited() && !REEVE_BUG(kRateIgnored))
      limit = std::min<uint64_t>(limit, group.gate.Open(extras.key_rate, last_now.monotonic));
    if (job.keys->eligible.size() > 1) limit = std::min(limit, kKeyTurn);
  }
  const std::optional<Run> ready = from->FirstRun(0, std::min(limit, options.max_span));
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
  // What the attempt before left is told with the span.
  if (!job.details.empty()) {
    const auto details = job.details.lower_bound(run.first);
    if (details != job.details.end() && details->first < run.end())
      run.count = std::max(1u, details->first - run.first);
  }
  return run;
}

// An empty worker, or the one that is kept from new work until it is empty. Null: none can take it.
WorkerRecord* Scheduler::Impl::WorkerForSolo(const Job& job) {
  WorkerRecord* best = nullptr;
  for (const SessionId session : job.work->workers) {
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
    while (!job.solo.empty() && !ResultsFull(job) && !IsHeldBack(job) && RoomOf(now, job, 1) > 0) {
      WorkerRecord* worker = WorkerForSolo(job);
      if (worker == nullptr) break;
      if (!worker->holds_nothing()) {
        keep = worker->session;
        break;
      }
      const Run run = *job.solo.FirstRun(0, 1);
      if (!KeyIsOpen(now, job, run.first)) break;
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
  next_gate = absl::InfiniteDuration();
  if (!solo_jobs.empty() || emptying) PlaceSolo(now);
  placing = true;
  for (auto& [name, work] : classes) {
    if (!work->workers.empty() && !work->timed.empty()) PlaceTimed(now, *work);
  }
  ++round;
  const std::vector<WorkClass*> order = ClassesInTurn();
  crowded = order.size() > 1;
  Reserve(now, order);
  for (WorkClass* work : order) PlaceClass(now, *work);
  crowded = false;
  placing = false;
  if (std::exchange(emptied, false)) {
    for (auto& [name, work] : classes) {
      for (WorkClass::Level& level : work->levels)
        std::erase_if(level, [](const auto& flow) { return flow.second.empty(); });
      std::erase_if(work->timed, [](const auto& queue) { return queue.second.empty(); });
    }
  }
  if (now.monotonic >= next_rebalance) Rebalance(now);
}

void Scheduler::Impl::PlaceTimed(const Now& now, WorkClass& work) {
  for (auto& [name, ids] : work.timed) {
    Queue& queue = queues.at(name);
    for (auto next = ids.begin(); next != ids.end() && RoomIn(queue, now) > 0;) {
      const JobId id = (next++)->second;
      PlaceJob(now, work, *jobs.at(id));
    }
  }
}

bool Scheduler::Impl::MayCrowd(const WorkerRecord& worker, const WorkClass& work,
                               uint32_t slots) const {
  return crowded && worker.wanted != round && HeldOf(worker, work) < slots;
}

// Without: every worker is full for this class, and a job behind would only find the same.
bool Scheduler::Impl::HasRoomFor(const WorkClass& work) const {
  for (const SessionId session : work.workers) {
    const WorkerRecord& worker = *workers.at(session);
    if (!Takes(worker) || RoomInResources(work, worker) == 0) continue;
    const Lane lane = LaneOf(worker, work.handler);
    const uint32_t slots = Slots(worker, lane);
    if (worker.held[static_cast<int>(lane)] < slots || MayCrowd(worker, work, slots)) return true;
  }
  return false;
}

void Scheduler::Impl::Want(const WorkClass& work) {
  if (!crowded) return;
  for (const SessionId session : work.workers) {
    WorkerRecord& worker = *workers.at(session);
    if (RoomInResources(work, worker) > 0) worker.wanted = round;
  }
}

void Scheduler::Impl::PlaceClass(const Now& now, WorkClass& work) {
  for (int at = kHighestLevel; at >= 0; --at) {
    WorkClass::Level& level = work.levels[at];
    if (level.empty()) continue;
    if (level.size() > 1) {
      const bool left = PlaceInTurns(now, work, at);
      if (LoadsFull()) return;
      if (HasRoomFor(work)) continue;
      if (left) Want(work);
      return;
    }
    const Line& ids = level.begin()->second;
    Queue& queue = *flow_of.at(level.begin()->first)->queue;
    const bool bounded = queue.limits() || queue.settings.paused;
    for (auto next = ids.begin(); next != ids.end();) {
      if (bounded && RoomIn(queue, now) == 0) break;
      Job& job =
          *jobs.at((next++)->second);  // Placing may take this job off the list, and no other.
      PlaceJob(now, work, job);
      if (LoadsFull()) return;
      if (HasRoomFor(work)) continue;
      if ((job.listed || next != ids.end()) && RoomIn(queue, now) > 0) Want(work);
      return;
    }
  }
}

bool Scheduler::Impl::PlaceInTurns(const Now& now, WorkClass& work, int at) {
  struct Party {
    Flow* flow;
    const Line* ids;
    Line::const_iterator next;
  };
  std::vector<Party> parties;
  for (auto& [number, ids] : work.levels[at]) {
    if (!ids.empty()) parties.push_back({flow_of.at(number), &ids, ids.begin()});
  }
  uint64_t credit = 0;
  if (!parties.empty()) {
    const Job& job = *jobs.at(parties.front().next->second);
    for (const SessionId session : work.workers) credit += Credit(*workers.at(session), job);
  }
  // Half of what there is goes round once: turns stay short, and spans long.
  const uint64_t turn = std::max<uint64_t>(1, credit / (2 * std::max<size_t>(1, parties.size())));
  while (!parties.empty()) {
    const auto party =
        REEVE_BUG(kTurnsIgnored)
            ? parties.begin()
            : std::min_element(parties.begin(), parties.end(),
                               [at](const Party& a, const Party& b) {
                                 return StandingOf(*a.flow, at) < StandingOf(*b.flow, at);
                               });
    if (party->next == party->ids->end() || RoomIn(*party->flow->queue, now) == 0) {
      parties.erase(party);
      continue;
    }
    const auto first = *party->next;
    const auto after = std::next(party->next);
    const uint64_t placed = PlaceJob(now, work, *jobs.at(first.second), turn);
    if (placed == 0 || !party->ids->contains(first)) party->next = after;
    if (LoadsFull()) return true;
    if (!HasRoomFor(work)) {
      return std::any_of(parties.begin(), parties.end(), [&](const Party& left) {
        return left.next != left.ids->end() && RoomIn(*left.flow->queue, now) > 0;
      });
    }
  }
  return false;
}

uint64_t Scheduler::Impl::RoomOf(const Now& now, Job& job, uint64_t most) {
  if (job.options.max_in_flight > 0 && !REEVE_BUG(kJobLimitIgnored)) {
    if (AtOwnLimit(job)) return 0;
    most = std::min<uint64_t>(most, job.options.max_in_flight - job.in_flight);
  }
  const Queue& queue = job.queue();
  if (queue.limits() || queue.settings.paused || queue.settings.rate.limited())
    most = std::min(most, RoomIn(*job.flow->queue, now));
  return most;
}

uint64_t Scheduler::Impl::PlaceJob(const Now& now, WorkClass& work, Job& job, uint64_t most) {
  uint64_t all = 0;
  for (bool placed = true; placed && job.listed && all < most;) {
    placed = false;
    std::vector<std::pair<uint32_t, WorkerRecord*>> candidates;  // Credit.
    for (const SessionId session : work.workers) {
      WorkerRecord& worker = *workers.at(session);
      if (const uint32_t credit = Credit(worker, job); credit > 0)
        candidates.push_back({credit, &worker});
    }
    const bool pack = job.extras() != nullptr && job.extras()->pack;
    std::stable_sort(candidates.begin(), candidates.end(), [pack](const auto& a, const auto& b) {
      return pack ? a.first < b.first : a.first > b.first;
    });
    for (size_t i = 0; i < candidates.size() && job.listed; ++i) {
      const uint64_t left = candidates.size() - i;
      const uint64_t fair = pack ? job.ready.size() : (job.ready.size() + left - 1) / left;
      uint64_t share = std::min<uint64_t>(candidates[i].first,
                                          std::max(fair, Undivided(*candidates[i].second, job)));
      share = RoomOf(now, job, std::min(share, most - all));
      while (share > 0 && job.listed) {
        std::optional<Run> run = NextRun(job, static_cast<uint32_t>(share));
        if (!run.has_value()) return all;
        run->count = std::min(run->count, RoomInBytes(*candidates[i].second, job, run->first));
        if (run->count == 0) break;
        Assign(now, *candidates[i].second, job, *run, false);
        share -= run->count;
        all += run->count;
        placed = true;
      }
    }
  }
  return all;
}

void Scheduler::Impl::CountHeld(Lease& lease, Job& job, WorkerRecord* worker, Run run, bool held) {
  const int64_t by = held ? int64_t{run.count} : -int64_t{run.count};
  const auto count = static_cast<uint64_t>(by);
  job.in_flight += count;
  job.queue().in_flight += count;
  const double counted = lease.counted * static_cast<double>(by);
  if (held) CountUse(job, lease.level, counted);
  CountAhead(job, lease.level, counted);
  if (job.keys != nullptr) CountKeys(job, run, held ? 1 : -1);
  if (worker == nullptr) return;
  worker->held[static_cast<int>(lease.lane)] += count;
  worker->held_bytes += count * lease.task_bytes;
  const auto of = worker->held_of.try_emplace(job.work).first;
  of->second += count;
  if (of->second == 0) worker->held_of.erase(of);
  if (lease.front) worker->front[static_cast<int>(lease.lane)] += count;
  for (const auto& [name, need] : job.work->needs) worker->used[name] += by * need;
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
  lease.front = job.timed();
  lease.solo = worker.alone = solo;
  lease.sent = run;
  lease.inputs = chunk.inputs;
  lease.inputs_first = chunk.run.first;
  lease.positions = chunk.positions;
  PassKeyGate(now, job, run);
  TakeFrom(solo ? job.solo : job.ready, job, run);
  SetCounted(now, lease, worker, job);
  CountHeld(lease, job, &worker, run, true);
  TakeTurn(now, job, run.count);
  job.leases.insert(lease.seq);
  worker.leases.insert(lease.seq);
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
  span.inputs = lease.inputs;
  span.inputs_first = lease.inputs_first;
  span.positions = lease.positions;
  const Job& job = *jobs.at(lease.job);
  span.record = job.record;
  span.brief = job.brief;
  span.front = lease.front;
  if (!job.details.empty() && lease.sent.count == 1) {
    const auto details = job.details.find(lease.sent.first);
    if (details != job.details.end()) span.details = details->second;
  }
  Assignment& assignment = assigning[worker.session];
  assignment.session = worker.session;
  assignment.spans.push_back(std::move(span));
}

// When nothing is ready and a worker has idle slots, half of what the fullest one holds ahead is
// called back.
void Scheduler::Impl::Rebalance(const Now& now) {
  next_rebalance = now.monotonic + absl::Milliseconds(20);
  for (auto& [name, of_class] : classes) {
    const WorkClass& work = *of_class;
    const std::string& handler = work.handler;
    if (work.listed > 0 || work.workers.size() < 2 || !work.needs.empty()) continue;
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
      const Job& job = *jobs.at(lease.job);
      if (job.work != &work || job.options.at_most_once) continue;
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
