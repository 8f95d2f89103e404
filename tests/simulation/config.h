// What a seed means: the cluster, the work, and the list of faults, all decided before the run
// begins. That is what makes a failing run easy to shrink: take entries out and run again.

#ifndef REEVE_TESTS_SIMULATION_CONFIG_H_
#define REEVE_TESTS_SIMULATION_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "master/scheduler/scheduler.h"
#include "worker/agent/agent.h"

namespace reeve::sim {

// All times in the simulation: microseconds since its begin.
inline constexpr int64_t kMs = 1'000;
inline constexpr int64_t kSecond = 1'000'000;

enum class Mode : uint8_t {
  kSafety,    // Faults to the end.
  kLiveness,  // From `heal_at` on nothing fails any more, except workers that are dead for ever;
              // then everything must finish.
};

enum class FaultKind : uint8_t {
  kMasterCrash,  // detail bit 0: the transaction under way is committed all the same.
  kCarryCrash,   // The master dies within its next turn, after step detail % 6; else as above.
  kMasterStall,  // SIGSTOP for `duration`.
  kCommitFails,  // The next commit fails; detail bit 0: it is committed all the same.
  kSlowStore,    // Commits take `duration` longer for `duration`.
  // Back after `duration` as a new process; detail bit 0: nobody sees it die; bit 1: its parent,
  // and with it what ran, is gone too.
  kWorkerCrash,
  kWorkerDeath,  // As above, for ever.
  kWorkerStall,  // SIGSTOP for `duration`.
  kWorkerDrain,  // SIGTERM; started again `duration` after it ended.
  kCutToMaster,  // Frames in one direction are lost (lossy seeds) or held back for `duration`.
  kCutToWorker,
  kBreak,  // The connection is reset. detail % 2: dispatch or collector.
  kCollectorStall,
  kWallJump,  // The master's wall clock is set forward or back (detail bit 0) by `duration`.
};
inline constexpr int kFaultKinds = 14;
const char* Name(FaultKind kind);

struct Fault {
  int64_t at = 0;
  FaultKind kind = FaultKind::kMasterCrash;
  uint32_t who = 0;  // Worker.
  int64_t duration = 0;
  uint32_t detail = 0;
};

// What some plans ask for besides (issue 7). All times as in JobPlan: 0 is never.
struct Asks {
  bool any = false;  // The plan was made for its asks.
  std::string queue, owner;
  int32_t priority = kDefaultPriority;
  // > 0: so many different keys, with a limit and a rate for each.
  uint32_t keys = 0, key_max_in_flight = 0;
  Rate key_rate;
  Resources resources;
  std::vector<LabelTerm> selector;
  bool pack = false;
  struct After {
    uint32_t plan = 0;  // An earlier one.
    JobDependency::Condition condition = JobDependency::Condition::kSuccess;
    bool results = false;
  };
  std::vector<After> after;
  bool skip_if_unmet = false;
  // > 0: it and the plans behind it are created together.
  uint32_t group = 0;
  bool grouped = false;  // One of those behind.
  StopRule stop;
  int64_t start_at = 0, expire_at = 0;
  bool hold = false;
  int64_t pause_at = 0, resume_at = 0;
  std::string unique_key;
  UniquePolicy unique_policy = UniquePolicy::kReject;
  bool retry_rules = false;  // Failures differ, and not all are tried again.
  bool idle_close = false;   // Nobody closes it.
  int64_t update_at = 0;
  int32_t new_priority = kDefaultPriority;
  uint32_t new_max_in_flight = 0;
  // >= 0: it tries again what did not succeed of this earlier plan; `failed_only`: not what never
  // ran.
  int32_t retries = -1;
  bool failed_only = false;
  int64_t delete_at = 0;   // From then on its client tries.
  bool scheduled = false;  // A schedule creates it, again and again.
  bool patient = false;    // It waits behind others, and must not starve.
  // One of two that have work at the same time, in queues of their own or of owners of their own.
  bool shares = false;
};

struct QueuePlan {
  QueueSettings settings;
  int64_t at = 0;
  int64_t pause_at = 0, resume_at = 0;
  int64_t change_at = 0;  // The limits become others.
  QueueSettings changed;
  int64_t delete_at = 0, again_at = 0;  // Deleted, and set up again as in the beginning.
};

// A worker that an operator lets have nothing for a while.
struct DrainPlan {
  uint32_t worker = 0;
  int64_t at = 0, until = 0;
};

struct SchedulePlan {
  uint32_t job = 0;  // Its plan.
  int64_t at = 0, every = kSecond, jitter = 0;
  Overlap overlap = Overlap::kSkip;
  CatchUp catch_up = CatchUp::kLast;
  uint32_t count = 1;
  int64_t pause_at = 0, resume_at = 0, run_at = 0;
};

struct JobPlan {
  enum class Kind : uint8_t { kArray, kInline, kAppended } kind = Kind::kArray;
  int64_t at = 0;
  uint32_t count = 1;      // Tasks; for kAppended by each appender.
  uint32_t appenders = 0;  // kAppended.
  uint32_t batch = 1;      // Tasks of an append.
  int64_t cancel_at = 0;   // 0: never.
  uint32_t max_attempts = 3;
  uint32_t max_in_flight = 0;
  uint32_t fail_permille = 0;
  int64_t task_us = 1000;  // Typical run time.
  bool at_most_once = false;
  bool exclusive = false;
  bool ephemeral = false;
  bool read = true;  // EPHEMERAL: somebody reads the results.
  // > 0: inputs are nodes of a graph of so many, and each task adds those its own leads to. Of them
  // at most `max_tasks` become tasks.
  uint32_t nodes = 0;
  uint32_t max_tasks = 0;
  // Tasks that take their worker process down.
  struct Poison {
    uint32_t permille = 0;    // How many.
    bool named = false;       // A crash note names the culprit.
    bool parent_too = false;  // Nobody is left to say what ran.
    bool not_always = false;  // Now and then one gets through.
  } poison;
  Asks asks;
};

struct SimConfig {
  uint64_t seed = 0;
  Mode mode = Mode::kSafety;
  // No worker dies, nothing is lost or late beyond the protocol's patience: every task is executed
  // once, whatever becomes of the master.
  bool strict = false;
  uint32_t workers = 1;
  uint32_t slots = 1;
  int64_t heal_at = 0;
  int64_t end_at = 0;  // Safety: the end. Liveness: everything has finished by then.
  int64_t delay_min = 0, delay_max = 0;
  uint32_t loss_permille = 0, duplicate_permille = 0, reply_loss_permille = 0;
  bool reorder = false;
  int64_t commit_min = 0, commit_max = 0;
  int64_t heartbeat = kSecond;
  SchedulerOptions scheduler;
  AgentOptions agent;
  std::vector<JobPlan> jobs;
  std::vector<QueuePlan> queues;
  std::vector<SchedulePlan> schedules;
  std::vector<DrainPlan> drains;
  std::vector<Fault> faults;

  bool WallJumps() const;
  bool HasRates() const;  // Of starts.
  bool DiesForEver(uint32_t worker) const;
  // Queues, owners and needs between which turns are taken.
  size_t Parties() const;
};

SimConfig ExpandSeed(uint64_t seed, Mode mode);

// For people: everything a seed means.
std::string Describe(const SimConfig& config);
std::string Describe(const Fault& fault);

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_CONFIG_H_
