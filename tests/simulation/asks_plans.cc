// Which seeds have jobs that ask for something, by theme.

#include <algorithm>

#include "tests/simulation/asks.h"
#include "tests/simulation/random.h"

namespace reeve::sim {
namespace {

class Planner {
 public:
  explicit Planner(SimConfig* config) : random_(Mix(config->seed, 30)), config_(config) {}

  void Add() {
    if (!random_.Chance(400)) return;
    config_->scheduler.ageing = absl::Milliseconds(random_.Between(500, 3000));
    config_->scheduler.max_catch_up = static_cast<uint32_t>(random_.Between(2, 6));
    const uint64_t themes = 1 + random_.Below(2);
    for (uint64_t i = 0; i < themes; ++i) AddTheme(random_.Below(17));
  }

 private:
  void AddTheme(uint64_t theme) {
    switch (theme) {
      case 0: return QueueLimit();
      case 1: return QueueRate();
      case 2: return JobLimit();
      case 3: return Keys();
      case 4: return NeedResources();
      case 5: return SelectWorkers();
      case 6: return Chain();
      case 7: return Graph();
      case 8: return StopRules();
      case 9: return Times();
      case 10: return Pause();
      case 11: return Unique();
      case 12: return RetryRulesOf();
      case 13: return CloseWhenIdle();
      case 14: return Schedule();
      case 15: return Ageing();
      default: return Shares();
    }
  }

  // In time for the faults.
  int64_t Early() { return random_.Between(100 * kMs, std::max(config_->heal_at / 2, kSecond)); }
  int64_t TaskTime() {
    static constexpr int64_t kTimes[] = {5 * kMs, 80 * kMs, 400 * kMs, 2 * kSecond};
    return kTimes[random_.Below(4)];
  }

  JobPlan& AddJob(uint32_t most) {
    JobPlan plan;
    plan.asks.any = true;
    plan.kind = random_.Chance(600) ? JobPlan::Kind::kArray : JobPlan::Kind::kInline;
    plan.at = Early();
    plan.task_us = TaskTime();
    plan.count = static_cast<uint32_t>(random_.Between(2, most));
    plan.max_attempts = static_cast<uint32_t>(random_.Between(1, 3));
    if (random_.Chance(300)) plan.fail_permille = 200;
    config_->jobs.push_back(plan);
    return config_->jobs.back();
  }

  QueuePlan& AddQueue() {
    QueuePlan queue;
    queue.settings.name = "queue-" + std::to_string(config_->queues.size());
    queue.at = random_.Chance(700) ? 0 : Early();
    config_->queues.push_back(queue);
    return config_->queues.back();
  }

  // Some of the other jobs come along.
  void Fill(const std::string& queue) {
    for (JobPlan& plan : config_->jobs) {
      if (plan.asks.queue.empty() && !plan.asks.scheduled && random_.Chance(200)) {
        plan.asks.any = true;
        plan.asks.queue = queue;
      }
    }
    const uint64_t jobs = 1 + random_.Below(2);
    for (uint64_t i = 0; i < jobs; ++i) AddJob(12).asks.queue = queue;
  }

  void QueueLimit() {
    QueuePlan& queue = AddQueue();
    queue.settings.max_in_flight = static_cast<uint32_t>(random_.Between(1, 4));
    queue.settings.weight = static_cast<uint32_t>(random_.Between(1, 3));
    if (random_.Chance(300)) {
      queue.change_at = queue.at + random_.Between(kSecond, 8 * kSecond);
      queue.changed = queue.settings;
      queue.changed.max_in_flight = static_cast<uint32_t>(random_.Between(0, 4));
    }
    if (random_.Chance(400)) {
      queue.pause_at = queue.at + random_.Between(100 * kMs, 6 * kSecond);
      queue.resume_at = queue.pause_at + random_.Between(100 * kMs, 8 * kSecond);
    }
    if (random_.Chance(200)) queue.settings.max_tasks = 30;
    if (!config_->WallJumps() && random_.Chance(200))
      queue.settings.retry_rate = {5, absl::Seconds(1), 1};
    Fill(queue.settings.name);
  }

  Rate PickRate() {
    Rate rate;
    rate.count = static_cast<uint32_t>(random_.Between(2, 20));
    rate.burst = static_cast<uint32_t>(random_.Between(1, 3));
    rate.per = absl::Milliseconds(random_.Chance(500) ? 1000 : 2500);
    return rate;
  }

  void QueueRate() {
    QueuePlan& queue = AddQueue();
    queue.settings.rate = PickRate();
    if (random_.Chance(300))
      queue.settings.max_in_flight = static_cast<uint32_t>(random_.Between(1, 4));
    Fill(queue.settings.name);
  }

  void JobLimit() {
    JobPlan& plan = AddJob(20);
    plan.max_in_flight = static_cast<uint32_t>(random_.Between(1, 3));
    plan.task_us = random_.Chance(500) ? 400 * kMs : 2 * kSecond;
    if (!random_.Chance(400)) return;
    plan.asks.update_at = plan.at + random_.Between(500 * kMs, 5 * kSecond);
    plan.asks.new_priority = static_cast<int32_t>(random_.Below(10));
    plan.asks.new_max_in_flight = static_cast<uint32_t>(random_.Between(0, 4));
  }

  void Keys() {
    JobPlan& plan = AddJob(24);
    plan.kind = JobPlan::Kind::kInline;
    plan.asks.keys = static_cast<uint32_t>(random_.Between(1, 4));
    if (random_.Chance(600)) {
      plan.asks.key_max_in_flight = static_cast<uint32_t>(random_.Between(1, 2));
    } else {
      plan.asks.key_rate = PickRate();
    }
    if (random_.Chance(200)) plan.asks.key_rate = PickRate();
    if (random_.Chance(200)) plan.max_in_flight = 3;
  }

  void NeedResources() {
    JobPlan& plan = AddJob(12);
    const bool licence = random_.Chance(500);
    plan.asks.resources[licence ? "licence" : "cpus"] = random_.Between(300, 1000);
    if (licence && random_.Chance(300)) plan.asks.resources["cpus"] = 300;
    // Every worker has so much of it.
    for (auto& [name, need] : plan.asks.resources)
      need = std::min(need, ResourcesOf(*config_, 0).at(name));
    plan.asks.pack = random_.Chance(300);
    plan.asks.priority = static_cast<int32_t>(random_.Below(10));
    if (random_.Chance(400)) {
      const Asks asks = plan.asks;
      AddJob(8).asks = asks;
    }
  }

  void SelectWorkers() {
    JobPlan& plan = AddJob(8);
    if (config_->WallJumps()) return;  // Its deadline would be hours away.
    LabelTerm term;
    term.name = "zone";
    term.value = random_.Chance(500) ? "a" : "b";
    term.kind = static_cast<LabelTerm::Kind>(random_.Between(1, 4));
    plan.asks.selector.push_back(term);
    // Those that fit may be dead for ever.
    plan.asks.expire_at = plan.at + 40 * kSecond;
  }

  JobDependency::Condition PickCondition() {
    return static_cast<JobDependency::Condition>(random_.Between(1, 3));
  }

  void DependOn(JobPlan* plan, uint32_t before) {
    plan->asks.after.push_back({before, PickCondition(), random_.Chance(300)});
    plan->asks.skip_if_unmet = random_.Chance(500);
  }

  void Chain() {
    // An end is known for a while before it is durable.
    config_->commit_max = config_->commit_min + 200 * kMs;
    const uint64_t length = 2 + random_.Below(3);
    for (uint64_t i = 0; i < length; ++i) {
      JobPlan& plan = AddJob(6);
      plan.fail_permille = random_.Chance(500) ? 0 : 400;
      if (random_.Chance(150)) plan.cancel_at = plan.at + random_.Between(0, 5 * kSecond);
      // No step of a frontier holds it back, whose commit would hold the end before it too.
      plan.ephemeral = i + 1 == length && random_.Chance(600);
      const auto last = static_cast<uint32_t>(config_->jobs.size() - 1);
      if (i > 0) DependOn(&plan, last - 1);
      if (i > 1 && random_.Chance(400)) DependOn(&plan, last - 2);
    }
  }

  void Graph() {
    const auto first = static_cast<uint32_t>(config_->jobs.size());
    const auto more = static_cast<uint32_t>(random_.Between(1, 4));
    // All or none: they must fit.
    config_->scheduler.max_active_jobs =
        std::max<uint64_t>(config_->scheduler.max_active_jobs, more + 1);
    for (uint32_t i = 0; i <= more; ++i) {
      JobPlan& plan = AddJob(5);
      plan.fail_permille = random_.Chance(700) ? 0 : 300;
      if (i == 0) plan.asks.group = more;
      plan.asks.grouped = i > 0;
      for (uint32_t k = 0; k < i; ++k) {
        if (random_.Chance(500)) DependOn(&plan, first + k);
      }
    }
  }

  void StopRules() {
    JobPlan& plan = AddJob(20);
    plan.max_attempts = static_cast<uint32_t>(random_.Between(1, 2));
    plan.fail_permille = 500;
    switch (random_.Below(3)) {
      case 0: plan.asks.stop.max_failures = static_cast<uint32_t>(random_.Between(1, 3)); break;
      case 1: plan.asks.stop.max_failure_percent = 30; break;
      default: plan.asks.stop.first_success = true;
    }
    plan.asks.stop.let_running_end = random_.Chance(500);
  }

  void Times() {
    JobPlan& plan = AddJob(12);
    // A clock that was set back may keep it waiting for hours.
    if (!config_->WallJumps() && random_.Chance(600))
      plan.asks.start_at = plan.at + random_.Between(300 * kMs, 6 * kSecond);
    if (random_.Chance(600)) {
      plan.asks.expire_at = plan.at + random_.Between(kSecond, 12 * kSecond);
      plan.task_us = 2 * kSecond;
    }
  }

  void Pause() {
    JobPlan& plan = AddJob(20);
    if (plan.task_us > kSecond) plan.task_us = 400 * kMs;
    plan.asks.hold = random_.Chance(300);
    if (!plan.asks.hold) plan.asks.pause_at = plan.at + random_.Between(50 * kMs, 3 * kSecond);
    plan.asks.resume_at =
        std::max(plan.at, plan.asks.pause_at) + random_.Between(500 * kMs, 15 * kSecond);
  }

  void Unique() {
    const auto policy = static_cast<UniquePolicy>(random_.Between(1, 3));
    const uint64_t jobs = 2 + random_.Below(2);
    for (uint64_t i = 0; i < jobs; ++i) {
      JobPlan& plan = AddJob(6);
      plan.asks.unique_key = "one";
      plan.asks.unique_policy = policy;
      plan.kind = JobPlan::Kind::kArray;
    }
  }

  void RetryRulesOf() {
    JobPlan& plan = AddJob(15);
    plan.fail_permille = 600;
    plan.max_attempts = 3;
    // A clock that was set back may keep a task waiting for as long as its handler may ask for.
    plan.asks.retry_rules = !config_->WallJumps();
  }

  void CloseWhenIdle() {
    JobPlan& plan = AddJob(8);
    plan.kind = JobPlan::Kind::kAppended;
    plan.appenders = 1;
    plan.batch = 3;
    plan.asks.idle_close = true;
  }

  void Schedule() {
    JobPlan& plan = AddJob(4);
    plan.kind = JobPlan::Kind::kArray;
    plan.task_us = random_.Chance(500) ? 5 * kMs : 2 * kSecond;
    plan.asks.scheduled = true;
    SchedulePlan schedule;
    schedule.job = static_cast<uint32_t>(config_->jobs.size() - 1);
    schedule.at = Early() / kMs * kMs;  // As exact as request ids are.
    schedule.every = random_.Between(3, 30) * 100 * kMs;
    schedule.overlap = static_cast<Overlap>(random_.Between(1, 4));
    schedule.catch_up = static_cast<CatchUp>(random_.Between(1, 3));
    schedule.count = static_cast<uint32_t>(random_.Between(1, 6));
    if (!config_->WallJumps() && random_.Chance(250)) schedule.jitter = schedule.every / 2;
    if (random_.Chance(300)) {
      schedule.pause_at = schedule.at + random_.Between(100 * kMs, 4 * kSecond);
      schedule.resume_at = schedule.pause_at + random_.Between(500 * kMs, 5 * kSecond);
    }
    if (random_.Chance(200)) schedule.run_at = schedule.at + random_.Between(0, 5 * kSecond);
    config_->schedules.push_back(schedule);
  }

  // One with work for long, and behind it one that is to get something all the same.
  void Ageing() {
    config_->scheduler.ageing = absl::Milliseconds(500);
    config_->slots = 1;
    JobPlan& busy = AddJob(2);
    busy.kind = JobPlan::Kind::kArray;
    busy.at = 200 * kMs;
    busy.task_us = 400 * kMs;
    busy.count = 50 * config_->workers;
    busy.fail_permille = 0;
    const auto priority = static_cast<int32_t>(random_.Between(7, 9));
    busy.asks.priority = priority;
    JobPlan& patient = AddJob(6);
    patient.kind = JobPlan::Kind::kArray;
    patient.at = random_.Between(300 * kMs, 2 * kSecond);
    patient.asks.priority = static_cast<int32_t>(random_.Between(6, std::min(8, priority - 1)));
    patient.asks.patient = true;
  }

  void Shares() {
    for (const JobPlan& plan : config_->jobs) {
      if (plan.asks.shares) return;  // One pair is enough.
    }
    MakeTurnsEven(random_, config_);
    const int64_t at = 4 * kSecond + Early();  // All links are there.
    for (int i = 0; i < 2; ++i) {
      QueuePlan& queue = AddQueue();
      queue.at = 0;
      queue.settings.weight = static_cast<uint32_t>(random_.Between(1, 2));
      JobPlan& plan = AddJob(2);
      plan.kind = JobPlan::Kind::kArray;
      plan.at = at;
      plan.task_us = 5 * kMs;
      plan.count = 200;
      plan.asks.queue = queue.settings.name;
      plan.asks.shares = true;
    }
  }

  Random random_;
  SimConfig* config_;
};

}  // namespace

void MakeTurnsEven(Random& random, SimConfig* config) {
  config->scheduler.max_held_per_worker = 8;
  config->scheduler.max_span = std::min(config->scheduler.max_span, 4u);
  config->scheduler.frontier_step = 200;
  config->scheduler.job_id_block = 1000;
  config->commit_max = config->commit_min + 5 * kMs;
  if (random.Chance(500)) return;
  config->faults.clear();
  config->loss_permille = 0;
  config->reorder = false;
}

void AddAsks(SimConfig* config) { Planner(config).Add(); }

}  // namespace reeve::sim
