// Whether the state agrees with itself: said after every step of every test and of the simulation.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "master/scheduler/state.h"

namespace reeve {
namespace {

void Require(bool holds, const char* formula, JobId job) {
  if (holds) return;
  std::fprintf(stderr, "scheduler invariant broken: %s (job %llu)\n", formula,
               static_cast<unsigned long long>(job.value));
  std::abort();
}

bool KnowsListed(const Turns& turns, const std::array<uint64_t, kLevels>& listed) {
  return std::equal(turns.begin(), turns.end(), listed.begin(),
                    [](const Turn& turn, uint64_t count) { return turn.listed == count; });
}

// Sums of numbers that came and went in another order.
bool IsAbout(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(1.0, std::abs(a)); }

}  // namespace

void Scheduler::Impl::CheckInvariants() const {
  std::map<SessionId, std::array<uint64_t, kLaneCount>> held;
  std::map<SessionId, std::array<uint64_t, kLaneCount>> front;
  std::map<SessionId, uint64_t> held_bytes;
  std::map<SessionId, std::map<const WorkClass*, uint64_t>> held_of;
  std::map<SessionId, Resources> used;
  for (const auto& [seq, lease] : leases) {
    Require(!lease->runs.empty(), "a lease holds something", lease->job);
    Require(jobs.contains(lease->job), "a lease's job exists", lease->job);
    Require(workers.contains(lease->session), "a lease's worker exists", lease->job);
    Require(jobs.at(lease->job)->leases.contains(seq), "the job knows the lease", lease->job);
    Require(workers.at(lease->session)->leases.contains(seq), "the worker knows the lease",
            lease->job);
    held[lease->session][static_cast<int>(lease->lane)] += lease->runs.size();
    held_bytes[lease->session] += lease->runs.size() * lease->task_bytes;
    held_of[lease->session][jobs.at(lease->job)->work] += lease->runs.size();
    if (lease->front) front[lease->session][static_cast<int>(lease->lane)] += lease->runs.size();
    for (const auto& [name, need] : jobs.at(lease->job)->work->needs)
      used[lease->session][name] += static_cast<int64_t>(lease->runs.size()) * need;
  }
  for (const auto& [session, worker] : workers) {
    bool alone = false;
    for (const LeaseSeq seq : worker->leases) alone = alone || leases.at(seq)->solo;
    Require(alone == worker->alone, "alone exactly with a solo task", {});
    Require(worker->held_bytes == held_bytes[session], "held bytes add up", {});
    for (int lane = 0; lane < kLaneCount; ++lane) {
      Require(worker->held[lane] == held[session][lane], "held counts add up", {});
      Require(worker->front[lane] == front[session][lane], "those in front add up", {});
    }
  }
  for (const auto& [session, worker] : workers) {
    Require(worker->held_of.size() == held_of[session].size(), "classes at a worker", {});
    for (const auto& [of, count] : held_of[session]) {
      const auto found = worker->held_of.find(of);
      Require(found != worker->held_of.end() && found->second == count,
              "tasks of a class at a worker add up", {});
    }
    for (const auto& [name, amount] : worker->used)
      Require(amount == used[session][name], "used resources are those of the leases", {});
  }
  CheckQueues();
  uint64_t resident = 0, queued = 0, results = 0, reserved = 0;
  std::map<std::string, Share> counted;
  for (const auto& [id, job] : jobs) {
    IntervalSet seen;
    const auto once = [&seen, id = id](const IntervalSet& set) {
      for (const Run run : set.Runs())
        Require(seen.Add(run) == run.count, "an index is in one place", id);
    };
    once(job->ready);
    once(job->solo);
    once(job->unclaimed);
    once(job->cancelled);
    uint64_t scheduled = 0, in_flight = 0;
    for (const auto& [time, bucket] : job->scheduled) {
      once(bucket);
      scheduled += bucket.size();
      Require(due.contains({time, id}), "a bucket has its due entry", id);
    }
    for (const LeaseSeq seq : job->leases) {
      once(leases.at(seq)->runs);
      in_flight += leases.at(seq)->runs.size();
      for (const Run run : leases.at(seq)->runs.Runs()) {
        Require(job->options.ephemeral || run.end() <= job->frontier,
                "nothing at or beyond the frontier is assigned", id);
      }
    }
    Require(scheduled == job->scheduled_count, "scheduled count", id);
    Require(in_flight == job->in_flight, "in-flight count", id);
    once(job->absent);
    Require(job->total == seen.size() + job->succeeded + job->failed, "every task is in one state",
            id);
    CheckKeys(*job);
    uint64_t ready = 0;
    TaskIndex next = 0;
    for (const Chunk& chunk : job->chunks) {
      Require(chunk.run.first == next, "chunks have no gaps", id);
      next = chunk.run.end();
      ready += chunk.ready;
      if (chunk.inputs != nullptr) resident += chunk.bytes;
      Require(chunk.positions == nullptr || chunk.positions->count() == chunk.run.count,
              "positions of a chunk are those of its tasks", id);
    }
    Require(next == job->total, "chunks are all of the job", id);
    Require((job->known != nullptr) == job->options.accepts_inputs,
            "keys are kept exactly where inputs are accepted", id);
    if (job->known != nullptr) {
      reserved += job->options.max_tasks;
      Require(job->total <= job->options.max_tasks, "no more tasks than max_tasks", id);
      Require(job->known->keys.size() <= job->total, "a key has a task", id);
    }
    Require(ready == job->ready.size() + job->solo.size(), "ready counts of chunks", id);
    Require(solo_jobs.contains(id) == !job->solo.empty(), "solo jobs have solo tasks", id);
    Require(job->listed ==
                (!job->ready.empty() && !AtLimit(*job) && !ResultsFull(*job) && !IsHeldBack(*job)),
            "listed exactly if it has work to place", id);
    Require((job->alarm != absl::InfiniteFuture()) == alarms.contains({job->alarm, id}),
            "an alarm rings", id);
    uint64_t waiting = 0, tasks = 0;
    for (const Chunk& chunk : job->chunks) {
      if (chunk.left == 0 || !chunk.has_inputs) continue;
      waiting += chunk.bytes;
      tasks += chunk.run.count;
    }
    if (!job->options.owner.empty()) {
      Share& share = counted[job->options.owner];
      share = {share.jobs + 1, share.tasks + tasks, share.bytes + waiting};
    }
    Require(waiting == job->queued_bytes, "queued bytes are those of chunks with tasks left", id);
    queued += waiting;
    uint64_t kept = 0;
    for (const auto& [seq, bytes] : job->kept_results) kept += bytes;
    Require(kept == job->result_bytes, "result bytes are those not passed", id);
    results += kept;
  }
  Require(resident == resident_bytes, "resident bytes", {});
  Require(queued == queued_bytes, "queued bytes", {});
  Require(counted == shares, "shares of owners are those of their jobs", {});
  Require(reserved == reserved_keys, "reserved keys", {});
  Require(results == ephemeral_results, "ephemeral result bytes", {});
}

void Scheduler::Impl::CheckQueues() const {
  struct Sum {
    uint64_t jobs = 0, tasks = 0, in_flight = 0;
    std::array<uint64_t, kLevels> listed{};
    std::array<double, kLevels> ahead{};
    uint64_t all_listed = 0;
  };
  std::map<const Queue*, Sum> of_queue;
  std::map<const Flow*, Sum> of_flow;
  std::map<const WorkClass*, Sum> of_class;
  for (const auto& [id, job] : jobs) {
    Sum& sum = of_queue[&job->queue()];
    ++sum.jobs;
    sum.tasks += job->unfinished() + job->cancelled_count;
    sum.in_flight += job->in_flight;
    ++of_flow[job->flow].jobs;
    ++of_class[job->work].jobs;
    if (!job->listed) continue;
    ++of_class[job->work].all_listed;
    const WorkClass& work = *job->work;
    if (job->timed()) {
      const auto timed = work.timed.find(job->queue().settings.name);
      Require(timed != work.timed.end() && timed->second.contains({-job->level, id}),
              "a listed job stands with those that have a time", id);
      continue;
    }
    ++of_queue[&job->queue()].listed[job->level];
    ++of_flow[job->flow].listed[job->level];
    ++of_class[job->work].listed[job->level];
    const auto flow = work.levels[job->level].find(job->flow->number);
    Require(flow != work.levels[job->level].end() && flow->second.contains({job->in_line, id}),
            "a listed job stands in its level", id);
  }
  for (const auto& [seq, lease] : leases)
    of_flow[jobs.at(lease->job)->flow].ahead[lease->level] +=
        lease->counted * static_cast<double>(lease->runs.size());
  for (const auto& [name, queue] : queues) {
    const Sum sum = of_queue[&queue];
    Require(queue.jobs == sum.jobs && queue.tasks == sum.tasks, "a queue knows what it has", {});
    Require(queue.in_flight == sum.in_flight, "a queue knows what is at workers", {});
    Require(KnowsListed(queue.turns, sum.listed), "a queue knows who is listed", {});
    Require(queue.jobs > 0 || queue.set_up, "a queue that nobody set up has jobs", {});
  }
  for (const auto& [name, flow] : flows) {
    const Sum sum = of_flow[&flow];
    Require(flow.jobs == sum.jobs && flow.jobs > 0, "a flow has jobs", {});
    for (int level = 0; level < kLevels; ++level) {
      Require(IsAbout(flow.turns[level].ahead, sum.ahead[level]),
              "what a flow is counted ahead is at workers", {});
    }
    Require(KnowsListed(flow.turns, sum.listed), "a flow knows who is listed", {});
  }
  for (const auto& [name, work] : classes) {
    const Sum sum = of_class[work.get()];
    Require(work->jobs == sum.jobs && work->listed == sum.all_listed &&
                KnowsListed(work->turns, sum.listed),
            "a class knows its jobs", {});
    for (const auto& [session, worker] : workers) {
      Require(work->workers.contains(session) == Fits(*work, *worker),
              "a class has the workers that fit", {});
    }
  }
}

void Scheduler::Impl::CheckKeys(const Job& job) const {
  if (job.keys == nullptr) return;
  uint64_t ready = 0, in_flight = 0, eligible = 0;
  for (const auto& [key, group] : job.keys->groups) {
    ready += group.ready.size();
    in_flight += group.in_flight;
    eligible += group.eligible ? 1 : 0;
    Require(group.eligible == job.keys->eligible.contains({group.had, key}),
            "a key is eligible where it says so", job.id);
    Require(!group.eligible || !group.ready.empty(), "an eligible key has tasks", job.id);
  }
  Require(ready == job.ready.size(), "ready tasks are those of the keys", job.id);
  Require(in_flight == job.in_flight, "tasks at workers are those of the keys", job.id);
  Require(eligible == job.keys->eligible.size(), "eligible keys are counted once", job.id);
}

}  // namespace reeve
