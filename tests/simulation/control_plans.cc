// Which seeds have people who interfere with what runs, by theme. Drawn apart: the other plans of a
// seed stay what they were.

#include <algorithm>

#include "tests/simulation/asks.h"
#include "tests/simulation/random.h"

namespace reeve::sim {
namespace {

class Planner {
 public:
  explicit Planner(SimConfig* config) : random_(Mix(config->seed, 31)), config_(config) {}

  void Add() {
    if (random_.Chance(70)) Drains();
    if (random_.Chance(100)) Retries();
    if (random_.Chance(60)) Deletes();
    if (random_.Chance(50)) DeletedQueue();
    if (random_.Chance(70)) OwnersWithBounds();
    if (random_.Chance(40)) OwnersInTurns();
  }

 private:
  // Some are drained twice; now and then all of them at once.
  void Drains() {
    const uint64_t drains = 1 + random_.Below(3);
    for (uint64_t i = 0; i < drains; ++i) {
      DrainPlan drain;
      drain.worker = static_cast<uint32_t>(random_.Below(config_->workers));
      drain.at = random_.Between(200 * kMs, config_->heal_at);
      drain.until = drain.at + random_.Between(300 * kMs, 10 * kSecond);
      config_->drains.push_back(drain);
    }
    std::stable_sort(config_->drains.begin(), config_->drains.end(),
                     [](const DrainPlan& a, const DrainPlan& b) { return a.at < b.at; });
  }

  // A job that fails, a retry of it, and now and then one more: of that, or of the first again.
  void Retries() {
    JobPlan plan = Failing();
    if (random_.Chance(400)) {
      // Of a retry job and what waits besides, one must wait.
      config_->scheduler.max_queued_payload_tasks = 30;
      config_->scheduler.max_queued_bytes = 240;
      if (plan.kind == JobPlan::Kind::kInline) plan.count = 20;
    }
    if (random_.Chance(700)) {
      plan.asks.delete_at = random_.Chance(400) ? plan.at + random_.Between(kSecond, 10 * kSecond)
                                                : config_->heal_at + 3 * kSecond;
    }
    auto other = static_cast<int32_t>(config_->jobs.size());
    config_->jobs.push_back(plan);
    plan.kind = JobPlan::Kind::kInline;
    plan.appenders = 0;
    const uint64_t retries = 1 + random_.Below(2);
    for (uint64_t i = 0; i < retries; ++i) {
      plan.asks.retries = other;
      plan.asks.failed_only = random_.Chance(300);
      plan.at += 300 * kMs;
      plan.fail_permille = static_cast<uint32_t>(random_.Between(0, 600));
      plan.cancel_at = random_.Chance(150) ? plan.at + random_.Between(kSecond, 6 * kSecond) : 0;
      if (random_.Chance(500)) plan.asks.delete_at = 0;
      if (random_.Chance(700)) other = static_cast<int32_t>(config_->jobs.size());
      config_->jobs.push_back(plan);
    }
  }

  JobPlan Failing() {
    JobPlan plan;
    plan.asks.any = true;
    plan.kind = static_cast<JobPlan::Kind>(random_.Below(3));
    plan.at = random_.Between(100 * kMs, std::max(config_->heal_at / 2, kSecond));
    static constexpr int64_t kTimes[] = {5 * kMs, 80 * kMs, 800 * kMs};
    plan.task_us = kTimes[random_.Below(3)];
    plan.count = static_cast<uint32_t>(random_.Between(2, 10));
    if (plan.kind == JobPlan::Kind::kAppended) {
      plan.appenders = 1;
      plan.batch = static_cast<uint32_t>(random_.Between(1, 4));
    }
    plan.max_attempts = static_cast<uint32_t>(random_.Between(1, 2));
    plan.fail_permille = 500;
    if (random_.Chance(250)) plan.cancel_at = plan.at + random_.Between(200 * kMs, 3 * kSecond);
    if (random_.Chance(150)) {
      plan.at_most_once = true;
      plan.max_attempts = 1;
    }
    if (random_.Chance(200)) plan.max_in_flight = static_cast<uint32_t>(random_.Between(1, 3));
    if (plan.kind == JobPlan::Kind::kInline && random_.Chance(300)) {
      plan.asks.keys = 2;
      plan.asks.key_max_in_flight = 1;
    }
    return plan;
  }

  // Some of the jobs there are, others depend on some of these.
  void Deletes() {
    for (JobPlan& plan : config_->jobs) {
      if (plan.asks.scheduled || !plan.asks.unique_key.empty() || !random_.Chance(600)) continue;
      plan.asks.any = true;
      plan.asks.delete_at = plan.at + random_.Between(200 * kMs, 12 * kSecond);
    }
    if (random_.Chance(500)) return;
    const int64_t at = random_.Between(100 * kMs, 5 * kSecond);
    AddJob(at, 3).asks.delete_at = at + random_.Between(300 * kMs, 3 * kSecond);
    JobPlan& after = AddJob(at + 100 * kMs, 6);
    after.task_us = 2 * kSecond;
    after.asks.after.push_back({static_cast<uint32_t>(config_->jobs.size()) - 2,
                                JobDependency::Condition::kEnd, random_.Chance(300)});
  }

  JobPlan& AddJob(int64_t at, uint32_t most) {
    JobPlan plan;
    plan.asks.any = true;
    plan.kind = random_.Chance(500) ? JobPlan::Kind::kArray : JobPlan::Kind::kInline;
    plan.at = at;
    plan.task_us = random_.Chance(500) ? 5 * kMs : 400 * kMs;
    plan.count = static_cast<uint32_t>(random_.Between(2, most));
    plan.max_attempts = static_cast<uint32_t>(random_.Between(1, 2));
    config_->jobs.push_back(plan);
    return config_->jobs.back();
  }

  // In use until its jobs have ended; then one comes for which it is no longer set up, or again.
  void DeletedQueue() {
    QueuePlan queue;
    queue.settings.name = "queue-" + std::to_string(config_->queues.size());
    queue.settings.weight = static_cast<uint32_t>(random_.Between(1, 3));
    queue.settings.max_in_flight = static_cast<uint32_t>(random_.Between(1, 3));
    if (random_.Chance(300)) queue.settings.max_tasks = 30;
    queue.at = random_.Chance(700) ? 0 : random_.Between(0, 3 * kSecond);
    queue.delete_at = queue.at + random_.Between(500 * kMs, 8 * kSecond);
    if (random_.Chance(400)) queue.again_at = queue.delete_at + random_.Between(0, 6 * kSecond);
    config_->queues.push_back(queue);
    AddJob(random_.Between(100 * kMs, 4 * kSecond), 12).asks.queue = queue.settings.name;
    if (random_.Chance(700))
      AddJob(random_.Between(2 * kSecond, 15 * kSecond), 12).asks.queue = queue.settings.name;
  }

  // Each with little room: some of the jobs there are, and more.
  void OwnersWithBounds() {
    SchedulerOptions& bounds = config_->scheduler;
    uint64_t group = 0;  // All or none: they must fit.
    for (const JobPlan& plan : config_->jobs) group = std::max<uint64_t>(group, plan.asks.group);
    bounds.max_active_jobs_per_owner = group + static_cast<uint64_t>(random_.Between(1, 3));
    bounds.max_queued_payload_tasks_per_owner = static_cast<uint64_t>(random_.Between(30, 50));
    bounds.max_queued_bytes_per_owner = static_cast<uint64_t>(random_.Between(240, 600));
    const char* grouped = random_.Chance(500) ? "cid" : "";
    for (JobPlan& plan : config_->jobs) {
      if (plan.asks.scheduled || plan.asks.shares) continue;
      if (plan.asks.group > 0 || plan.asks.grouped) {
        plan.asks.owner = grouped;
      } else if (random_.Chance(400)) {
        plan.asks.any = true;
        plan.asks.owner = random_.Chance(700) ? "cid" : "dan";
      }
    }
    const uint64_t more = 1 + random_.Below(3);
    for (uint64_t i = 0; i < more; ++i)
      AddJob(random_.Between(100 * kMs, 6 * kSecond), 20).asks.owner = "cid";
    if (group == 0 && bounds.max_active_jobs_per_owner > 1 && random_.Chance(500)) Pair();
  }

  // Two created together, one of them all that an owner may have besides what there is.
  void Pair() {
    config_->scheduler.max_active_jobs = std::max<uint64_t>(config_->scheduler.max_active_jobs, 2);
    const int64_t at = random_.Between(kSecond, 6 * kSecond);
    for (int i = 0; i < 2; ++i) {
      JobPlan& plan = AddJob(at, 6);
      plan.asks.owner = "cid";
      if (i == 0) plan.asks.group = 1;
      plan.asks.grouped = i > 0;
    }
  }

  // As queues that share, but in one queue.
  void OwnersInTurns() {
    for (const JobPlan& plan : config_->jobs) {
      if (plan.asks.shares) return;  // One pair is enough.
    }
    MakeTurnsEven(random_, config_);
    const int64_t at =
        4 * kSecond + random_.Between(100 * kMs, std::max(config_->heal_at / 2, kSecond));
    for (const char* owner : {"ann", "bob"}) {
      JobPlan& plan = AddJob(at, 2);
      plan.kind = JobPlan::Kind::kArray;
      plan.task_us = 5 * kMs;
      plan.count = 100;
      plan.asks.owner = owner;
      plan.asks.shares = true;
    }
  }

  Random random_;
  SimConfig* config_;
};

}  // namespace

void AddInterventions(SimConfig* config) { Planner(config).Add(); }

}  // namespace reeve::sim
