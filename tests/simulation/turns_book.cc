#include "tests/simulation/turns_book.h"

#include <algorithm>

#include "tests/simulation/work.h"

namespace reeve::sim {
namespace {

// Commits, a look at ages every half second, a stop of the master.
constexpr int64_t kSlack = 4 * kSecond;

bool IsPlain(const AskedJob& job) {
  return job.extras() == nullptr || (job.extras()->resources.empty() &&
                                     job.extras()->selector.empty() && !job.extras()->keyed);
}

}  // namespace

void TurnsBook::Require(bool holds, const char* what, uint64_t a, uint64_t b) {
  if (holds) return;
  world_->Fail(std::string(what) + " (" + std::to_string(a) + "/" + std::to_string(b) + ")");
}

const JobPlan& TurnsBook::PlanOf(const AskedJob& job) const {
  return world_->config.jobs[job.plan];
}

void TurnsBook::OnLife() {
  parties_.clear();
  for (const auto& [id, row] : (*store_)->jobs()) {
    parties_[id].given = row.frontier;
    parties_[id].last = world_->now;
  }
}

bool TurnsBook::Waits(const AskedJob& job) {
  const AskedQueue* queue = view_->FindQueue(job.queue());
  const bool free =
      queue == nullptr || (!queue->settings.paused && queue->settings.max_in_flight == 0 &&
                           !queue->settings.rate.limited());
  return free && !job.paused && !IsTerminal(job.state) && job.ending.as == JobState::kUnspecified &&
         parties_[job.id].given < job.total();
}

void TurnsBook::OnAssigned(const AskedJob& job, const AssignedSpan& span) {
  Party& party = parties_[job.id];
  party.last = world_->now;
  party.passed_over = 0;
  party.given = std::max(party.given, span.run.end());
  party.had += span.run.count;
  if (world_->config.schedules.empty() && world_->config.queues.empty() &&
      !std::any_of(world_->config.jobs.begin(), world_->config.jobs.end(),
                   [](const JobPlan& plan) { return plan.asks.patient || plan.asks.shares; })) {
    return;
  }
  const AskedQueue* queue = view_->FindQueue(job.queue());
  const bool timed = queue != nullptr && queue->settings.rate.limited();
  if (!span.solo && !timed && IsPlain(job)) CheckAge(job);
  CheckShares();
}

// `job` got something: nobody else has waited too long for it.
void TurnsBook::CheckAge(const AskedJob& job) {
  const int64_t ageing = absl::ToInt64Microseconds(world_->config.scheduler.ageing);
  for (const auto& [id, other] : view_->jobs()) {
    // Among those of one priority it is in their order.
    if (job.options.priority <= other.options.priority || !PlanOf(other).asks.patient ||
        !Waits(other)) {
      continue;
    }
    const int64_t waited = world_->now - std::max(other.since, parties_[id].last);
    const int64_t steps = kHighestPriority + 1 - other.options.priority;
    if (waited > ageing) world_->Saw(Seen::kAged);
    if (waited <= (steps + 1) * ageing + kSlack + stalls_) continue;
    // What goes out in the same step does not count, nor what follows a time in which nobody could
    // get anything.
    const uint64_t passed_over = ++parties_[id].passed_over;
    Require(passed_over <= 4 * world_->config.workers, "priorities never starve", id.value,
            static_cast<uint64_t>(waited));
  }
}

void TurnsBook::CheckShares() {
  const AskedJob* first = nullptr;
  for (const auto& [id, job] : view_->jobs()) {
    if (!PlanOf(job).asks.shares || !Waits(job)) continue;
    if (first == nullptr) {
      first = &job;
      continue;
    }
    const AskedQueue* a = view_->FindQueue(first->queue());
    const AskedQueue* b = view_->FindQueue(job.queue());
    const bool owners = first->queue() == job.queue();
    if (!owners && (a == nullptr || b == nullptr)) return;
    const double of_a =
        static_cast<double>(parties_[first->id].had) / (owners ? 1 : a->settings.weight);
    const double of_b = static_cast<double>(parties_[id].had) / (owners ? 1 : b->settings.weight);
    const SchedulerOptions& options = world_->config.scheduler;
    const double most = std::max(options.max_held_per_worker, world_->config.slots);
    const double turn = most * world_->config.workers + 2 * options.max_span;
    world_->Saw(owners ? Seen::kOwnersShared : Seen::kShared);
    // What is at workers counts for as long as it is there, until its results say how long it ran.
    const double on_way = static_cast<double>(world_->config.delay_max) * 2 *
                          world_->config.workers * world_->config.slots /
                          static_cast<double>(std::max<int64_t>(1, PlanOf(job).task_us));
    Require(uneven_ || std::abs(of_a - of_b) <= 2 * turn + on_way,
            owners ? "owners in a queue take turns" : "queues share as their weights say",
            parties_[first->id].had, parties_[id].had);
    return;
  }
  // One of them has nothing to do, or is not there yet: from now on it is no pair.
  for (auto& [id, party] : parties_) party.had = 0;
}

}  // namespace reeve::sim
