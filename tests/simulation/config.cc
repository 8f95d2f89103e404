#include "tests/simulation/config.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "tests/simulation/asks.h"
#include "tests/simulation/random.h"

namespace reeve::sim {
namespace {

// Swarm: each seed has its own subset of faults, so that rare pairs meet often in some seeds.
std::vector<FaultKind> PickKinds(Random& random, bool strict) {
  std::vector<FaultKind> kinds;
  for (int i = 0; i < kFaultKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    const bool kills_workers = kind == FaultKind::kWorkerCrash || kind == FaultKind::kWorkerDeath ||
                               kind == FaultKind::kWorkerDrain;
    if (strict && kills_workers) continue;
    if (random.Chance(450)) kinds.push_back(kind);
  }
  return kinds;
}

int64_t PickDuration(Random& random, FaultKind kind, bool strict) {
  switch (kind) {
    case FaultKind::kMasterCrash:
    case FaultKind::kCarryCrash:
    case FaultKind::kCommitFails:
      return random.Between(50 * kMs, strict ? 5 * kSecond : 12 * kSecond);
    case FaultKind::kSlowStore: return random.Between(20 * kMs, 1500 * kMs);
    case FaultKind::kWallJump:
      return random.Between(1, 3) == 1 ? random.Between(1, 120) * 60 * kSecond
                                       : random.Between(1, 30) * kSecond;
    case FaultKind::kWorkerCrash:
    case FaultKind::kWorkerDrain: return random.Between(20 * kMs, 8 * kSecond);
    case FaultKind::kMasterStall:
      return random.Between(100 * kMs, strict ? 8 * kSecond : 20 * kSecond);
    default: return random.Between(100 * kMs, strict ? 2500 * kMs : 15 * kSecond);
  }
}

void AddFaults(Random& random, SimConfig* config) {
  const std::vector<FaultKind> kinds = PickKinds(random, config->strict);
  if (kinds.empty()) return;
  const uint64_t count = 1 + random.Below(8);
  uint32_t deaths = 0;
  for (uint64_t i = 0; i < count; ++i) {
    Fault fault;
    fault.kind = kinds[random.Below(kinds.size())];
    fault.at = random.Between(200 * kMs, config->heal_at);
    fault.who = static_cast<uint32_t>(random.Below(config->workers));
    fault.duration = PickDuration(random, fault.kind, config->strict);
    fault.detail = static_cast<uint32_t>(random.Next());
    // One worker is left to finish the work.
    if (fault.kind == FaultKind::kWorkerDeath && ++deaths >= config->workers)
      fault.kind = FaultKind::kWorkerCrash;
    config->faults.push_back(fault);
  }
}

// Work and faults that belong together: chance alone brings them together too seldom.
class Burst {
 public:
  Burst(Random& random, SimConfig* config)
      : random_(random),
        config_(config),
        plan_(config->jobs[random.Below(config->jobs.size())]),
        who_(static_cast<uint32_t>(random.Below(config->workers))) {}

  void Add() {
    plan_.task_us = 2 * kSecond;
    plan_.cancel_at = 0;
    if (!config_->strict && random_.Chance(300)) return LoseAChunkTwice();
    if (!config_->strict && random_.Chance(300)) return ExpireAndComeBack();
    switch (random_.Below(5)) {
      case 0: return BreakWhileCancelling();
      case 1:
      case 2: return RestartWhileASuspectRuns();
      case 3: return SetBackWhileRetriesWait();
      default: return ResultsOnTheirWay();
    }
  }

  // A worker is out of reach for longer or shorter than a lease, its connection closed or not.
  void CutOffWhileExclusiveTasksRun() {
    plan_.kind = JobPlan::Kind::kArray;
    plan_.count = 4;
    plan_.appenders = 0;
    plan_.at_most_once = plan_.ephemeral = false;
    plan_.exclusive = true;
    plan_.poison = {};
    plan_.cancel_at = 0;
    plan_.task_us = 6 * kSecond;
    config_->workers = std::max(config_->workers, 2u);
    config_->slots = 4;  // There is room for them elsewhere.
    const int64_t at = plan_.at + random_.Between(1 * kSecond, 4 * kSecond);
    config_->heal_at = std::max(config_->heal_at, at + 15 * kSecond);
    const int64_t closes = at + random_.Between(0, 500 * kMs);
    Fail(at, FaultKind::kCutToMaster, random_.Between(2 * kSecond, 14 * kSecond), 0);
    if (random_.Chance(600)) Fail(closes, FaultKind::kBreak, 100 * kMs, 0);
  }

 private:
  void Fail(int64_t at, FaultKind kind, int64_t duration, uint32_t detail) {
    FailAt(who_, at, kind, duration, detail);
  }
  void FailAt(uint32_t who, int64_t at, FaultKind kind, int64_t duration, uint32_t detail) {
    config_->faults.push_back(
        {std::min(std::max(at, 200 * kMs), config_->heal_at), kind, who, duration, detail});
  }

  // Links break while a cancelled job waits for its last tasks.
  void BreakWhileCancelling() {
    plan_.cancel_at = plan_.at + random_.Between(1 * kSecond, 4 * kSecond);
    for (uint32_t worker = 0; worker < config_->workers; ++worker) {
      FailAt(worker, plan_.cancel_at + random_.Between(0, 800 * kMs), FaultKind::kBreak, 100 * kMs,
             0);
    }
  }

  // The master dies again and again once a poison task runs alone, with plenty to run beside it.
  void RestartWhileASuspectRuns() {
    plan_.kind = JobPlan::Kind::kArray;
    plan_.count = 20;
    plan_.appenders = 0;
    plan_.at_most_once = plan_.ephemeral = false;
    plan_.task_us = 2500 * kMs;
    plan_.poison = {};
    plan_.poison.permille = 100;
    config_->slots = std::max(config_->slots, 2u);
    config_->heal_at = 50 * kSecond;
    for (int i = 0; i < 12; ++i)
      Fail(random_.Between(8 * kSecond, 50 * kSecond), FaultKind::kMasterCrash, 200 * kMs, 0);
  }

  // The wall clock goes back by more than any task may have to wait.
  void SetBackWhileRetriesWait() {
    plan_.at_most_once = plan_.ephemeral = false;
    plan_.task_us = 5 * kMs;
    plan_.fail_permille = 600;
    plan_.max_attempts = 3;
    for (int i = 0; i < 3; ++i)
      Fail(plan_.at + random_.Between(0, 3 * kSecond), FaultKind::kWallJump, 3600 * kSecond, 1);
  }

  // A worker is greeted anew while its results are on their way.
  void ResultsOnTheirWay() {
    plan_.task_us = 5 * kMs;
    for (int i = 0; i < 3; ++i) {
      const int64_t at = plan_.at + random_.Between(0, 3 * kSecond);
      Fail(at, FaultKind::kCollectorStall, random_.Between(500 * kMs, 2 * kSecond), 0);
      Fail(at + random_.Between(0, 800 * kMs), FaultKind::kBreak, 100 * kMs, 0);
    }
  }

  // Results come in just after their lease is gone and others have their tasks.
  void ExpireAndComeBack() {
    plan_.count = 30;
    config_->workers = std::max(config_->workers, 2u);
    // One draw a statement: compilers differ in the order of arguments.
    const int64_t at = plan_.at + random_.Between(200 * kMs, 2 * kSecond);
    const int64_t longer = random_.Between(300 * kMs, 2500 * kMs);
    Fail(at, FaultKind::kCutToMaster, absl::ToInt64Microseconds(config_->scheduler.lease) + longer,
         0);
  }

  // The master dies with a chunk that a worker has begun, and once more after the chunk came
  // again, all the while out of that worker's reach.
  void LoseAChunkTwice() {
    config_->faults.clear();
    plan_.kind = JobPlan::Kind::kAppended;
    plan_.appenders = static_cast<uint32_t>(random_.Between(1, 2));
    plan_.batch = 2;
    plan_.count = 8;
    plan_.max_in_flight = 0;
    config_->workers = std::max(config_->workers, 2u);
    config_->slots = std::max(config_->slots, 2u);
    plan_.at = std::max(plan_.at, 2 * kSecond);
    config_->heal_at = std::max(config_->heal_at, plan_.at + 8 * kSecond);
    const int64_t first = plan_.at + random_.Between(50 * kMs, 450 * kMs);
    const int64_t second = first + random_.Between(3 * kSecond, 5 * kSecond);
    Fail(plan_.at + random_.Between(10 * kMs, 40 * kMs), FaultKind::kSlowStore, 500 * kMs, 0);
    Fail(first, FaultKind::kCommitFails, 100 * kMs, 0);
    for (uint32_t worker = 1; worker < config_->workers; ++worker) {
      FailAt(worker, first + 100 * kMs, FaultKind::kCutToMaster,
             second - first + random_.Between(0, kSecond), 0);
    }
    // What the other worker got instead is not finished either.
    FailAt(0, second - random_.Between(0, 1 * kSecond), FaultKind::kWorkerCrash, 8 * kSecond, 2);
    Fail(second, FaultKind::kMasterCrash, 100 * kMs, 0);
  }

  Random& random_;
  SimConfig* config_;
  JobPlan& plan_;
  const uint32_t who_;
};

// Small enough to be reached by what a seed has to do.
void AddBounds(Random& random, SimConfig* config) {
  SchedulerOptions& bounds = config->scheduler;
  if (random.Chance(300)) {
    bounds.max_queued_payload_tasks = static_cast<uint64_t>(random.Between(30, 80));
    bounds.max_queued_bytes = static_cast<uint64_t>(random.Between(240, 800));
  }
  if (random.Chance(200)) bounds.max_active_jobs = static_cast<uint64_t>(random.Between(1, 3));
  if (random.Chance(200)) bounds.job_id_block = 1;
  bounds.ephemeral_bytes = static_cast<uint64_t>(random.Between(600, 4000));
  bounds.ephemeral_job_bytes = static_cast<uint64_t>(random.Between(300, 2000));
  bounds.cursor_life = absl::Seconds(random.Between(10, 40));
}

void AddPoison(Random& random, const SimConfig& config, JobPlan* plan) {
  plan->poison.permille = static_cast<uint32_t>(random.Between(20, 200));
  plan->poison.named = random.Chance(400);
  plan->poison.parent_too = !config.strict && random.Chance(250);
  plan->poison.not_always = random.Chance(250);
}

// By a hash: the other histories stay what they were.
void AddGraph(uint64_t hash, JobPlan* plan) {
  if (hash % 1000 >= 300) return;
  plan->nodes = static_cast<uint32_t>(5 + hash / 1000 % 40);
  plan->max_tasks = hash / 100'000 % 4 == 0 ? 1 + plan->nodes / 2 : 1000;
}

void AddJobs(Random& random, SimConfig* config) {
  const uint64_t jobs = 1 + random.Below(4);
  const bool poisoned = random.Chance(300);
  static constexpr int64_t kTaskTimes[] = {300, 5 * kMs, 80 * kMs, 400 * kMs, 2 * kSecond};
  for (uint64_t i = 0; i < jobs; ++i) {
    JobPlan plan;
    plan.kind = static_cast<JobPlan::Kind>(random.Below(3));
    plan.at = random.Between(0, config->heal_at * 2 / 3);
    plan.task_us = kTaskTimes[random.Below(5)];
    plan.count = static_cast<uint32_t>(random.Between(1, plan.task_us >= kSecond ? 8 : 30));
    if (plan.kind == JobPlan::Kind::kAppended) {
      plan.appenders = static_cast<uint32_t>(random.Between(1, 2));
      plan.batch = static_cast<uint32_t>(random.Between(1, 6));
    }
    if (random.Chance(200)) plan.cancel_at = plan.at + random.Between(0, 8 * kSecond);
    plan.max_attempts = static_cast<uint32_t>(random.Between(1, 3));
    if (random.Chance(250)) plan.max_in_flight = static_cast<uint32_t>(random.Between(1, 6));
    if (random.Chance(400)) plan.fail_permille = static_cast<uint32_t>(random.Between(50, 700));
    if (random.Chance(150)) {
      plan.at_most_once = true;
      plan.max_attempts = 1;
    } else if (random.Chance(250)) {
      plan.ephemeral = true;
      plan.read = random.Chance(850);
    }
    if (poisoned && random.Chance(700)) AddPoison(random, *config, &plan);
    plan.exclusive = !plan.ephemeral && Mix(config->seed, 1000 + i) % 1000 < 150;
    if (plan.kind != JobPlan::Kind::kArray) AddGraph(Mix(config->seed, 2000 + i), &plan);
    config->jobs.push_back(plan);
  }
}

// Shorter patience than the defaults, so that leases expire and windows close within a short run.
void Hurry(Random& random, SimConfig* config) {
  config->scheduler.suspect = absl::Seconds(2);
  config->scheduler.lease = absl::Seconds(random.Between(4, 8));
  config->scheduler.reconnect_grace = absl::Seconds(random.Between(1, 3));
  config->scheduler.resend = absl::Seconds(2);
  config->scheduler.reattach_window = absl::Seconds(random.Between(4, 12));
  config->scheduler.cancel_grace = absl::Seconds(random.Between(3, 12));
  config->agent.results_repeat = absl::Seconds(3);
  config->agent.drain_grace = absl::Seconds(3);
}

}  // namespace

const char* Name(FaultKind kind) {
  static constexpr const char* kNames[] = {
      "master-crash",  "carry-crash",  "master-stall",    "commit-fails", "slow-store",
      "worker-crash",  "worker-death", "worker-stall",    "worker-drain", "cut-to-master",
      "cut-to-worker", "break",        "collector-stall", "wall-jump"};
  return kNames[static_cast<int>(kind)];
}

SimConfig ExpandSeed(uint64_t seed, Mode mode) {
  Random random(Mix(seed, 1));
  SimConfig config;
  config.seed = seed;
  config.mode = mode;
  config.strict = random.Chance(500);
  config.workers = static_cast<uint32_t>(random.Between(1, 4));
  config.slots = static_cast<uint32_t>(random.Between(1, 4));
  config.heal_at = random.Between(5, 25) * kSecond;
  config.delay_min = random.Between(20, 300);
  static constexpr int64_t kSpreads[] = {500, 5 * kMs, 60 * kMs, 300 * kMs};
  config.delay_max = config.delay_min + kSpreads[random.Below(config.strict ? 3 : 4)];
  if (random.Chance(400))
    config.duplicate_permille = static_cast<uint32_t>(random.Between(20, 250));
  if (random.Chance(300)) config.reply_loss_permille = 150;
  if (!config.strict) {
    if (random.Chance(400)) config.loss_permille = static_cast<uint32_t>(random.Between(5, 200));
    config.reorder = random.Chance(300);
    Hurry(random, &config);
    // Slower than a Hello is repeated: the case that a fixed repetition cannot win.
    if (random.Chance(60)) {
      config.delay_min = 500 * kMs;
      config.delay_max = 700 * kMs;
    }
  } else {
    config.scheduler.lease = absl::Seconds(30);
    config.scheduler.suspect = absl::Seconds(10);
    config.scheduler.reconnect_grace = absl::Seconds(15);
    config.scheduler.reattach_window = absl::Seconds(60);
    config.scheduler.cancel_grace = absl::Seconds(60);
  }
  config.commit_min = random.Between(50, 500);
  config.commit_max = config.commit_min + (random.Chance(300) ? 200 * kMs : 5 * kMs);
  config.scheduler.max_held_per_worker = static_cast<uint32_t>(random.Between(4, 40));
  config.scheduler.max_span = static_cast<uint32_t>(random.Between(1, 12));
  config.scheduler.frontier_step = static_cast<uint32_t>(random.Between(2, 24));
  if (random.Chance(300)) config.scheduler.resident_bytes = 200;
  config.scheduler.load_ahead_bytes = 64;
  if (Mix(seed, 4) % 4 == 0) config.scheduler.load_ahead_chunks = 1 + Mix(seed, 5) % 4;
  // As 12 s to 15 s and 30 s.
  config.agent.exclusive_hold =
      std::min(config.scheduler.lease, config.scheduler.reattach_window) * 4 / 5;
  AddJobs(random, &config);
  AddBounds(random, &config);
  AddFaults(random, &config);
  if (random.Chance(400)) Burst(random, &config).Add();
  // Drawn apart: the other histories stay what they were.
  Random apart(Mix(seed, 2));
  const bool cut_off = !config.strict && apart.Chance(60);
  if (cut_off) Burst(apart, &config).CutOffWhileExclusiveTasksRun();
  for (JobPlan& plan : config.jobs) {
    if (plan.kind == JobPlan::Kind::kArray) plan.nodes = plan.max_tasks = 0;
    // Their inputs are longer, and must fit any bound.
    if (plan.nodes > 0) plan.count = std::min(plan.count, 10u);
  }
  if (!cut_off) {
    AddAsks(&config);
    AddInterventions(&config);
  }
  config.end_at = config.heal_at + (mode == Mode::kSafety ? 5 : 1200) * kSecond;
  std::stable_sort(config.faults.begin(), config.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at < b.at; });
  return config;
}

bool SimConfig::WallJumps() const {
  return std::any_of(faults.begin(), faults.end(),
                     [](const Fault& fault) { return fault.kind == FaultKind::kWallJump; });
}

bool SimConfig::HasRates() const {
  return std::any_of(queues.begin(), queues.end(),
                     [](const QueuePlan& queue) { return queue.settings.rate.limited(); }) ||
         std::any_of(jobs.begin(), jobs.end(),
                     [](const JobPlan& job) { return job.asks.key_rate.limited(); });
}

bool SimConfig::DiesForEver(uint32_t worker) const {
  return std::any_of(faults.begin(), faults.end(), [worker](const Fault& fault) {
    return fault.kind == FaultKind::kWorkerDeath && fault.who == worker;
  });
}

size_t SimConfig::Parties() const {
  std::set<std::string> parties;
  for (const JobPlan& job : jobs) {
    const Asks& asks = job.asks;
    std::string party = asks.queue + "/" + asks.owner;
    for (const auto& [name, need] : asks.resources) party += "/" + name + std::to_string(need);
    for (const LabelTerm& term : asks.selector)
      party += "/" + term.value + std::to_string(static_cast<int>(term.kind));
    parties.insert(party);
  }
  return parties.size();
}

std::string Describe(const Fault& fault) {
  std::ostringstream out;
  out << "t=" << fault.at / kMs << "ms " << Name(fault.kind) << " worker=" << fault.who
      << " for=" << fault.duration / kMs << "ms detail=" << fault.detail % 24;
  return out.str();
}

std::string Describe(const SimConfig& config) {
  std::ostringstream out;
  out << "seed=" << config.seed
      << " mode=" << (config.mode == Mode::kSafety ? "safety" : "liveness")
      << " strict=" << config.strict << " workers=" << config.workers << " slots=" << config.slots
      << " heal=" << config.heal_at / kMs << "ms end=" << config.end_at / kMs << "ms\n"
      << "  delay=" << config.delay_min << ".." << config.delay_max
      << "us loss=" << config.loss_permille << " duplicate=" << config.duplicate_permille
      << " reply-loss=" << config.reply_loss_permille << " reorder=" << config.reorder
      << " commit=" << config.commit_min << ".." << config.commit_max << "us\n";
  for (size_t i = 0; i < config.jobs.size(); ++i) {
    const JobPlan& job = config.jobs[i];
    static constexpr const char* kKinds[] = {"array", "inline", "appended"};
    out << "  job " << i << ": " << kKinds[static_cast<int>(job.kind)] << " t=" << job.at / kMs
        << "ms tasks=" << job.count << " appenders=" << job.appenders << " batch=" << job.batch
        << " cancel=" << job.cancel_at / kMs << "ms attempts=" << job.max_attempts
        << " in-flight=" << job.max_in_flight << " fail=" << job.fail_permille
        << " each=" << job.task_us << "us once=" << job.at_most_once << " nodes=" << job.nodes
        << " max-tasks=" << job.max_tasks << " exclusive=" << job.exclusive
        << " ephemeral=" << job.ephemeral << " read=" << job.read
        << " poison=" << job.poison.permille << (job.poison.named ? " named" : "")
        << (job.poison.parent_too ? " parent-too" : "")
        << (job.poison.not_always ? " not-always" : "") << "\n";
    if (job.asks.any) out << "    " << Describe(job.asks) << "\n";
  }
  for (const QueuePlan& queue : config.queues) out << "  " << Describe(queue) << "\n";
  for (const SchedulePlan& schedule : config.schedules) out << "  " << Describe(schedule) << "\n";
  for (const DrainPlan& drain : config.drains) {
    out << "  worker " << drain.worker << " drained: t=" << drain.at / kMs
        << "ms until=" << drain.until / kMs << "ms\n";
  }
  for (const Fault& fault : config.faults) out << "  fault " << Describe(fault) << "\n";
  return out.str();
}

}  // namespace reeve::sim
