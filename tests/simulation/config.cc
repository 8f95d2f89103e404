#include "tests/simulation/config.h"

#include <algorithm>
#include <sstream>

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
  std::stable_sort(config->faults.begin(), config->faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at < b.at; });
}

void AddJobs(Random& random, SimConfig* config) {
  const uint64_t jobs = 1 + random.Below(4);
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
      "master-crash",  "carry-crash",  "master-stall",   "commit-fails", "slow-store",
      "worker-crash",  "worker-death", "worker-stall",   "worker-drain", "cut-to-master",
      "cut-to-worker", "break",        "collector-stall"};
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
  config.end_at = config.heal_at + (mode == Mode::kSafety ? 5 : 400) * kSecond;
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
  AddJobs(random, &config);
  AddFaults(random, &config);
  return config;
}

std::string Describe(const Fault& fault) {
  std::ostringstream out;
  out << "t=" << fault.at / kMs << "ms " << Name(fault.kind) << " worker=" << fault.who
      << " for=" << fault.duration / kMs << "ms detail=" << fault.detail % 12;
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
        << " each=" << job.task_us << "us\n";
  }
  for (const Fault& fault : config.faults) out << "  fault " << Describe(fault) << "\n";
  return out.str();
}

}  // namespace reeve::sim
