#include "tests/simulation/sim_operator.h"

#include <algorithm>

#include "tests/simulation/asks.h"
#include "tests/simulation/work.h"

namespace reeve::sim {
namespace {

constexpr int64_t kPatience = 2 * kSecond;

UpdateQueue SettingsIn(CallId call, const QueueSettings& settings) {
  return {call,          settings.name, settings.weight,    settings.max_in_flight,
          settings.rate, std::nullopt,  settings.max_tasks, settings.retry_rate};
}

}  // namespace

SimOperator::SimOperator(World* world, const SimStore* store) : world_(world), store_(store) {
  for (const QueuePlan& queue : world->config.queues) AddQueue(queue);
  for (uint32_t i = 0; i < world->config.schedules.size(); ++i) AddSchedule(i);
  for (const DrainPlan& drain : world->config.drains) AddDrain(drain);
}

void SimOperator::Add(Order order) {
  orders_.push_back(std::move(order));
  Again(static_cast<uint32_t>(orders_.size() - 1), orders_.back().at);
}

void SimOperator::AddQueue(const QueuePlan& plan) {
  const std::string name = plan.settings.name;
  const auto set_up = [&](int64_t at, const QueueSettings& settings, size_t behind) {
    Order order;
    order.at = at;
    order.behind = behind;
    order.make = [settings](CallId call) { return SettingsIn(call, settings); };
    order.holds = [this, settings] {
      const auto row = store_->queues().find(settings.name);
      return row != store_->queues().end() && row->second.max_in_flight == settings.max_in_flight &&
             row->second.rate == settings.rate;
    };
    Add(std::move(order));
  };
  set_up(plan.at, plan.settings, SIZE_MAX);
  const auto pause = [&](int64_t at, bool paused) {
    Order order;
    order.at = at;
    order.behind = orders_.size() - 1;
    order.make = [name, paused](CallId call) {
      UpdateQueue event{};
      event.call = call;
      event.name = name;
      event.paused = paused;
      return event;
    };
    order.holds = [this, name, paused] {
      const auto row = store_->queues().find(name);
      return row != store_->queues().end() && row->second.paused == paused;
    };
    Add(std::move(order));
  };
  if (plan.pause_at > 0) {
    pause(plan.pause_at, true);
    pause(plan.resume_at, false);
  }
  if (plan.change_at > 0) set_up(plan.change_at, plan.changed, orders_.size() - 1);
  if (plan.delete_at == 0) return;
  Order order;
  order.at = plan.delete_at;
  order.behind = orders_.size() - 1;
  order.make = [name](CallId call) { return DeleteQueue{call, name}; };
  order.holds = [this, name] { return !store_->queues().contains(name); };
  // As long as it is in use: again later.
  order.settles = [](const absl::Status& status) { return absl::IsNotFound(status); };
  order.seen = Seen::kQueueDeleted;
  Add(std::move(order));
  if (plan.again_at > 0) set_up(plan.again_at, plan.settings, orders_.size() - 1);
}

void SimOperator::AddSchedule(uint32_t nth) {
  const SchedulePlan& plan = world_->config.schedules[nth];
  Order order;
  order.at = plan.at;
  // It may have ended before the answer came.
  order.exists = [this, nth] { return store_->HadSchedule(ScheduleName(nth)); };
  order.make = [this, nth](CallId call) {
    CreateSchedule event;
    event.call = call;
    event.request_id = "create-" + ScheduleName(nth);
    event.content_hash = nth + 1;
    event.settings = SettingsOf(world_->config, ScheduleName(nth));
    event.remaining = world_->config.schedules[nth].count;
    return event;
  };
  Add(std::move(order));
  using What = ChangeSchedule::What;
  if (plan.pause_at > 0) {
    ChangeAt(plan.pause_at, nth, What::kPause);
    ChangeAt(plan.resume_at, nth, What::kResume);
  }
  if (plan.run_at > 0) ChangeAt(plan.run_at, nth, What::kRun);
  // A clock that was set back may keep it from firing for hours.
  if (world_->config.WallJumps())
    ChangeAt(world_->config.heal_at + 5 * kSecond, nth, What::kDelete);
}

void SimOperator::ChangeAt(int64_t at, uint32_t nth, ChangeSchedule::What what) {
  Order order;
  order.at = at;
  order.behind = orders_.size() - 1;
  order.make = [nth, what](CallId call) {
    ChangeSchedule event;
    event.call = call;
    event.owner = kOwner;
    event.name = ScheduleName(nth);
    event.what = what;
    if (what == ChangeSchedule::What::kRun) event.request_id = "run-" + ScheduleName(nth);
    return event;
  };
  Add(std::move(order));
}

void SimOperator::AddDrain(const DrainPlan& plan) {
  const std::string worker_id = WorkerId(plan.worker);
  for (const bool drained : {true, false}) {
    Order order;
    order.at = drained ? plan.at : plan.until;
    const auto before = last_drain_.find(plan.worker);
    if (before != last_drain_.end()) order.behind = before->second;
    order.make = [this, worker_id, drained](CallId call) {
      return SetDrained{call, store_->NumberOf(worker_id), drained};
    };
    order.holds = [this, worker_id, drained] {
      return store_->drained().contains(worker_id) == drained;
    };
    // It is not there now, or never will be.
    order.settles = [this, worker = plan.worker](const absl::Status&) {
      return world_->healed && world_->config.DiesForEver(worker);
    };
    order.seen = drained ? Seen::kDrainOrdered : Seen::kUndrainOrdered;
    last_drain_[plan.worker] = orders_.size();
    Add(std::move(order));
  }
}

void SimOperator::Again(uint32_t order, int64_t after) {
  world_->At(world_->now + after, Kind::kOperatorTimer, order, 0, ++orders_[order].token);
}

void SimOperator::OnTimer(uint32_t index, uint64_t token) {
  Order& order = orders_[index];
  if (order.done || token != order.token) return;
  if (order.behind != SIZE_MAX && !orders_[order.behind].done) return Again(index, 200 * kMs);
  Again(index, kPatience);
  order.done = order.done || (order.exists && order.exists());
  if (order.done) return;
  calls_.push_back(index);
  order.call = CallId(kCalls | (calls_.size() - 1));
  world_->At(world_->now + world_->clients.Between(50, 2 * kMs), Kind::kOperatorCall, 0,
             posted_.Put(order.make(order.call)));
}

void SimOperator::OnReply(const Reply& reply) {
  const Order& order = orders_[calls_[reply.call.value & ~kCalls]];
  world_->Note("tells operator", reply.call.value & ~kCalls);
  const auto* status = std::get_if<StatusReply>(&reply.body);
  if (status != nullptr && status->status.ok() && order.holds && reply.call == order.call &&
      !order.holds()) {
    world_->Fail("what an operator is told is durable");
  }
  if (!world_->healed && world_->clients.Chance(world_->config.reply_loss_permille)) return;
  world_->At(world_->now + world_->clients.Between(50, 2 * kMs), Kind::kOperatorReply, 0,
             replies_.Put(reply));
}

void SimOperator::OnArrived(uint64_t slot) {
  const Reply reply = replies_.Take(slot);
  Order& order = orders_[calls_[reply.call.value & ~kCalls]];
  if (reply.call != order.call) return;
  const auto* job = std::get_if<JobReply>(&reply.body);
  // Not taken now: again later. A schedule that has ended takes no more orders.
  if (job != nullptr && !job->status.ok() && !absl::IsNotFound(job->status)) return;
  const auto* status = std::get_if<StatusReply>(&reply.body);
  const bool refused = status != nullptr && !status->status.ok();
  if (refused && absl::IsFailedPrecondition(status->status)) world_->Saw(Seen::kQueueInUse);
  if (refused && order.settles && !order.settles(status->status)) return;
  order.done = true;
  if (!refused) world_->Saw(order.seen);
}

bool SimOperator::Done() const {
  return store_->schedules().empty() &&
         std::all_of(orders_.begin(), orders_.end(), [](const Order& order) { return order.done; });
}

}  // namespace reeve::sim
