// Queues: who stands where, and whose turn it is.
//
// Among queues with work the one goes next that has had the least for its weight; within a queue
// the highest level (priority, and one more for each `ageing` in which a job got nothing); within
// a level the owner that has had the least; then the class (handler, labels, resources) that has;
// then the oldest job. What is had is the time of slots,
// whatever the tasks. Jobs whose starts have a rate stand apart: their time decides, not their
// turn.

#include "master/scheduler/queues.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "master/scheduler/state.h"

namespace reeve {
namespace {

// How many jobs of a flow grow older at one look; those behind them do when these have gone.
constexpr int kAgedAtOnce = 1'000;
constexpr absl::Duration kAgeEvery = absl::Milliseconds(500);

}  // namespace

absl::Duration RateGate::Base(const Rate& rate, absl::Duration now) const {
  return std::max(next_, now - rate.interval() * (static_cast<int64_t>(rate.burst) - 1));
}

uint64_t RateGate::Open(const Rate& rate, absl::Duration now) const {
  const absl::Duration base = Base(rate, now);
  if (base > now) return 0;
  absl::Duration rest;
  return static_cast<uint64_t>(absl::IDivDuration(now - base, rate.interval(), &rest)) + 1;
}

void RateGate::Pass(const Rate& rate, absl::Duration now, uint64_t starts) {
  next_ = Base(rate, now) + rate.interval() * static_cast<int64_t>(starts);
}

absl::Duration RateGate::Reserve(const Rate& rate, absl::Duration from) {
  const absl::Duration base = Base(rate, from);
  next_ = base + rate.interval();
  return std::max(base, from);
}

Queue& Scheduler::Impl::QueueOf(const std::string& name) {
  const auto [it, made] = queues.try_emplace(name.empty() ? kDefaultQueue : name);
  if (made) it->second.settings.name = it->first;
  return it->second;
}

void Scheduler::Impl::DropQueueIfUnused(const std::string& name) {
  const auto queue = queues.find(name);
  if (queue != queues.end() && queue->second.jobs == 0 && !queue->second.set_up)
    queues.erase(queue);
}

void Scheduler::Impl::Enqueue(Job& job) {
  Queue& queue = QueueOf(job.options.queue);
  const auto [it, made] = flows.try_emplace({queue.settings.name, job.options.owner});
  Flow& flow = it->second;
  if (made) {
    flow.number = next_flow++;
    flow.queue = &queue;
    flow.owner = job.options.owner;
    flow_of[flow.number] = &flow;
  }
  ++flow.jobs;
  ++queue.jobs;
  job.flow = &flow;
  job.level = std::clamp(job.options.priority, 0, kHighestPriority);
  job.work = ClassFor(job.options);
  ++job.work->jobs;
}

void Scheduler::Impl::Dequeue(Job& job) {
  Flow& flow = *job.flow;
  Queue& queue = *flow.queue;
  queue.tasks -= job.cancelled_count;  // The others were taken off as they ended.
  --queue.jobs;
  if (--flow.jobs == 0) {
    flow_of.erase(flow.number);
    flows.erase({queue.settings.name, flow.owner});
  }
  const std::string name = queue.settings.name;
  DropQueueIfUnused(name);
  --job.work->jobs;
  DropClassIfUnused(job.work);
  job.flow = nullptr;
  job.work = nullptr;
}

bool Scheduler::Impl::IsHeldBack(const Job& job) const {
  return job.paused || job.not_yet || job.blocked_by > 0 || job.awaits_results ||
         job.ending.halted || job.state == JobState::kCancelling;
}

// After a restart tasks may be at workers that have not come back: what counts them waits for
// these.
bool Scheduler::Impl::AtOwnLimit(const Job& job) const {
  const bool unknown =
      reattach_deadline != absl::InfiniteDuration() && !REEVE_BUG(kLimitsNotAwaited);
  return job.options.max_in_flight > 0 && (job.in_flight >= job.options.max_in_flight || unknown) &&
         !REEVE_BUG(kJobLimitIgnored);
}

bool Scheduler::Impl::AtLimit(const Job& job) const {
  if (AtOwnLimit(job)) return true;
  const bool unknown =
      reattach_deadline != absl::InfiniteDuration() && !REEVE_BUG(kLimitsNotAwaited);
  return job.keys != nullptr && (job.keys->eligible.empty() || unknown);
}

uint64_t Scheduler::Impl::RoomIn(Queue& queue, const Now& now) {
  if (queue.settings.paused) return 0;
  uint64_t room = UINT64_MAX;
  if (queue.settings.max_in_flight > 0 && !REEVE_BUG(kQueueLimitIgnored)) {
    if (reattach_deadline != absl::InfiniteDuration() && !REEVE_BUG(kLimitsNotAwaited)) return 0;
    room = queue.settings.max_in_flight -
           std::min<uint64_t>(queue.in_flight, queue.settings.max_in_flight);
  }
  if (queue.settings.rate.limited() && !REEVE_BUG(kRateIgnored)) {
    const uint64_t open = queue.gate.Open(queue.settings.rate, now.monotonic);
    if (open == 0 && room > 0) next_gate = std::min(next_gate, queue.gate.NextAt());
    room = std::min(room, open);
  }
  return room;
}

// ---- Lists ----

void Scheduler::Impl::UpdateListing(Job& job) {
  const bool wanted = !job.ready.empty() && !IsHeldBack(job) && !AtLimit(job) && !ResultsFull(job);
  if (wanted == job.listed) return;
  if (!wanted) return Unlist(job);
  job.listed = true;
  job.waiting_since = last_now.monotonic;
  ListAt(job, job.level);
  ++job.work->listed;
}

void Scheduler::Impl::ListAt(Job& job, int32_t level) {
  job.level = level;
  if (job.timed()) {
    job.work->timed[job.queue().settings.name].insert({-level, job.id});
    return;
  }
  job.in_line = level == kHighestLevel ? job.waiting_since : absl::ZeroDuration();
  job.work->levels[level][job.flow->number].insert({job.in_line, job.id});
  const auto begin = [level](Turns& turns, double least) {
    if (turns[level].listed++ == 0) turns[level].Begin(least);
  };
  begin(job.work->turns, classes_had[level]);
  begin(job.flow->turns, job.queue().flows_had[level]);
  begin(job.queue().turns, queues_had[level]);
}

void Scheduler::Impl::Unlist(Job& job) {
  if (!job.listed) return;
  job.listed = false;
  TakeOff(job);
  --job.work->listed;
}

void Scheduler::Impl::TakeOff(Job& job) {
  WorkClass& work = *job.work;
  if (job.timed()) {
    const auto timed = work.timed.find(job.queue().settings.name);
    timed->second.erase({-job.level, job.id});
    emptied = emptied || timed->second.empty();
    if (timed->second.empty() && !placing) work.timed.erase(timed);
    return;
  }
  const auto of_flow = work.levels[job.level].find(job.flow->number);
  of_flow->second.erase({job.in_line, job.id});
  emptied = emptied || of_flow->second.empty();
  if (of_flow->second.empty() && !placing) work.levels[job.level].erase(of_flow);
  --work.turns[job.level].listed;
  --job.flow->turns[job.level].listed;
  --job.queue().turns[job.level].listed;
}

void Scheduler::Impl::MoveTo(Job& job, int32_t level) {
  if (!job.listed) {
    job.level = level;
    return;
  }
  TakeOff(job);
  ListAt(job, level);
}

void Scheduler::Impl::TakeTurn(const Now& now, Job& job, uint64_t tasks) {
  Flow& flow = *job.flow;
  Queue& queue = *flow.queue;
  if (job.timed()) {
    if (queue.settings.rate.limited()) queue.gate.Pass(queue.settings.rate, now.monotonic, tasks);
  } else {
    const auto served = [&job](double& least, const Turns& turns) {
      least = std::max(least, turns[job.level].settled());
    };
    served(queue.flows_had[job.level], flow.turns);
    served(queues_had[job.level], queue.turns);
    served(classes_had[job.level], job.work->turns);
  }
  job.waiting_since = now.monotonic;
  const int32_t base = std::clamp(job.options.priority, 0, kHighestPriority);
  if (job.level != base) MoveTo(job, base);
}

// Only where somebody of a higher level is ahead does age matter, and until such a job is ahead of
// those that kept it waiting: jobs of one priority go in their order.
void Scheduler::Impl::Age(const Now& now) {
  if (now.monotonic < next_ageing || REEVE_BUG(kNobodyAges)) return;
  next_ageing = now.monotonic + std::min(kAgeEvery, options.ageing);
  std::vector<std::pair<JobId, int32_t>> older;
  const auto look = [&](const Job& job) {
    const absl::Duration waited = now.monotonic - job.waiting_since;
    if (waited < options.ageing) return;
    absl::Duration rest;
    const int64_t steps = absl::IDivDuration(waited, options.ageing, &rest);
    const int32_t base = std::clamp(job.options.priority, 0, kHighestPriority);
    const auto level =
        static_cast<int32_t>(std::min<int64_t>(kHighestLevel, int64_t{base} + steps));
    if (level > job.level) older.emplace_back(job.id, level);
  };
  for (const auto& [key, work] : classes) {
    if (work->listed == 0) continue;
    bool behind = false;
    for (int level = kHighestLevel; level >= 0; --level) {
      const WorkClass::Level& here = work->levels[level];
      for (const auto& [flow, ids] : here) {
        int looked = 0;
        for (const auto& [since, id] : ids) {
          if (++looked > kAgedAtOnce) break;
          const Job& job = *jobs.at(id);
          if (behind || level > std::clamp(job.options.priority, 0, kHighestPriority)) look(job);
        }
      }
      behind = behind || !here.empty();
    }
  }
  for (const auto& [id, level] : older) MoveTo(*jobs.at(id), level);
}

// ---- What people do with them ----

void Scheduler::Impl::On(const Now& now, UpdateQueue& event) {
  const auto found = queues.find(event.name);
  if (found == queues.end() && queues.size() >= options.max_queues) {
    absl::Status full = MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                                  "there are as many queues as may be");
    effects.replies.push_back({event.call, StatusReply{std::move(full)}, {}});
    return;
  }
  Queue& queue = QueueOf(event.name);
  // Its jobs stand in other lists when their starts have a rate.
  std::vector<Job*> listed;
  for (auto& [id, job] : jobs) {
    if (&job->queue() != &queue || !job->listed) continue;
    Unlist(*job);
    listed.push_back(job.get());
  }
  queue.set_up = true;
  QueueSettings& settings = queue.settings;
  if (event.weight.has_value()) settings.weight = *event.weight;
  if (event.max_in_flight.has_value()) settings.max_in_flight = *event.max_in_flight;
  if (event.rate.has_value() && *event.rate != settings.rate) {
    settings.rate = *event.rate;
    queue.gate.Begin(now.monotonic);
  }
  if (event.paused.has_value()) settings.paused = *event.paused;
  if (event.max_tasks.has_value()) settings.max_tasks = *event.max_tasks;
  if (event.retry_rate.has_value()) settings.retry_rate = *event.retry_rate;
  for (Job* job : listed) UpdateListing(*job);
  room_changed = true;
  Put(StoreKind::kDurable, PutQueue{settings});
  effects.replies.push_back(
      {event.call, StatusReply{absl::OkStatus()}, Latest(StoreKind::kDurable)});
}

void Scheduler::Impl::On(const Now&, DeleteQueue& event) {
  const auto found = queues.find(event.name);
  absl::Status status;
  if (found == queues.end()) {
    status = MakeError(absl::StatusCode::kNotFound, "QUEUE_NOT_FOUND",
                       StrCat("there is no queue ", event.name));
  } else if (found->second.jobs > 0 && !REEVE_BUG(kQueueInUseDeleted)) {
    status =
        MakeError(absl::StatusCode::kFailedPrecondition, "QUEUE_IN_USE",
                  StrCat("queue ", event.name, " has ", found->second.jobs, " unfinished jobs"));
  } else {
    if (!REEVE_BUG(kQueueInUseDeleted) && !REEVE_BUG(kQueueOutlivesDeletion)) queues.erase(found);
    if (!REEVE_BUG(kQueueDeletionNotWritten))
      Put(StoreKind::kDurable, reeve::DropQueue{event.name});
  }
  effects.replies.push_back(
      {event.call, StatusReply{std::move(status)}, Latest(StoreKind::kDurable)});
}

QueueView Scheduler::Impl::ViewOf(const Queue& queue) const {
  return {queue.settings, queue.jobs, queue.tasks, queue.in_flight};
}

std::vector<QueueView> Scheduler::ListQueues() const {
  std::vector<QueueView> views;
  for (const auto& [name, queue] : impl_->queues) views.push_back(impl_->ViewOf(queue));
  return views;
}

std::optional<QueueView> Scheduler::FindQueue(const std::string& name) const {
  const auto queue = impl_->queues.find(name);
  if (queue == impl_->queues.end()) return std::nullopt;
  return impl_->ViewOf(queue->second);
}

}  // namespace reeve
