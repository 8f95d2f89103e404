// What all parts of a simulated cluster share: the clock, the queue of what will happen, chance,
// the trace, and the first broken invariant.
//
// Thread: one.

#ifndef REEVE_TESTS_SIMULATION_WORLD_H_
#define REEVE_TESTS_SIMULATION_WORLD_H_

#include <array>
#include <cstdint>
#include <cstdio>
#include <queue>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/simulation/config.h"
#include "tests/simulation/random.h"

namespace reeve::sim {

enum class Kind : uint8_t {
  kMasterTurn,   // a: life.
  kMasterTimer,  // a: life, b: token.
  kMasterStart,
  kWorkerTurn,   // who, a: process.
  kWorkerTimer,  // who, a: process, b: token.
  kWorkerStart,
  kReadTimer,      // who: client, a: token.
  kTaskDone,       // who, a: process, b: slot << 32 | serial.
  kFence,          // who, a: process: the deadline of its exclusive tasks may have passed.
  kConnect,        // who, a: channel, b: process.
  kToMaster,       // who, a: frame, b: route.
  kToWorker,       // who, a: frame, b: route.
  kCommitDone,     // a: life.
  kCommitTold,     // a: life, b: number.
  kLoaded,         // a: life, b: load.
  kApi,            // a: event: a call arrives.
  kReply,          // a: reply.
  kClientTimer,    // who: client, a: which, b: token.
  kOperatorTimer,  // who: order, b: token.
  kOperatorCall,   // a: event.
  kOperatorReply,  // a: reply.
  kResultsLoaded,  // a: life, b: load.
  kFault,          // a: index.
  kHeal,
};

// Branches that a batch of seeds must reach, or it shows nothing.
enum class Seen : uint8_t {
  kStaleRefused,
  kReattached,
  kLeaseExpired,
  kAssignResent,
  kSpanLost,
  kDuplicateHello,
  kCommitAnswerLost,
  kRecallCut,
  kCancelVersusFinish,
  kAppenderResumed,
  kAppendRepeated,
  kRequestRepeated,
  kResultsResent,
  kFrontierExtended,
  kDropped,
  kWhoAreYou,
  kConnectionClosed,
  kDrained,
  kInputsLoaded,
  kRetried,
  kFailedForGood,
  kBudgetRestored,
  kCrashInCarry,
  kWindowClosed,
  kSuspected,
  kNamedCrash,
  kSoloCrash,
  kPoisoned,
  kSoloRun,
  kDeathToldAgain,
  kParentDied,
  kAtMostOnceLost,
  kEphemeralGone,
  kEphemeralFull,
  kInputsGivenBack,
  kResultsGivenBack,
  kNobodyReads,
  kWallSetBack,
  kQueueFull,
  kExclusiveStopped,
  kInputsAdded,
  kKeyKnown,
  kMaxTasks,
  kAtLimit,
  kAtRate,
  kResourcesUsed,
  kDependencyMet,
  kUnmet,
  kSkipped,
  kExpired,
  kStopped,
  kHalted,
  kPaused,
  kReplaced,
  kAttached,
  kNotRetried,
  kAgain,
  kResultsUnreadable,
  kQueueChanged,
  kFired,
  kFiredBehind,
  kFiredInstead,
  kFireSkipped,
  kFiredLate,
  kAged,
  kShared,
  kDetailsTold,
  kResultsTold,
  kDrainOrdered,
  kUndrainOrdered,
  kDrainedToStay,
  kDrainedRestored,
  kUndrained,
  kRetryJob,
  kRetryJobRestored,
  kInputsShared,
  kDeleted,
  kDeleteRefused,
  kQueueDeleted,
  kQueueInUse,
  kOwnerFull,
  kOwnersShared,
  kCount,
};
inline constexpr int kSeenCount = static_cast<int>(Seen::kCount);
inline constexpr std::array<const char*, kSeenCount> kSeenNames = {"stale result refused",
                                                                   "re-attach adopted",
                                                                   "lease expired",
                                                                   "assignment resent",
                                                                   "lost span noticed",
                                                                   "duplicate Hello",
                                                                   "commit answer lost",
                                                                   "recall cut",
                                                                   "cancel versus finish",
                                                                   "appender resumed",
                                                                   "append repeated",
                                                                   "request repeated",
                                                                   "results resent",
                                                                   "frontier extended",
                                                                   "run dropped by Welcome",
                                                                   "WhoAreYou",
                                                                   "connection closed",
                                                                   "worker drained",
                                                                   "inputs loaded",
                                                                   "task retried",
                                                                   "task failed for good",
                                                                   "budget restored",
                                                                   "crash within a turn",
                                                                   "re-attach window closed",
                                                                   "task suspected",
                                                                   "culprit named",
                                                                   "crash while alone",
                                                                   "task poisoned",
                                                                   "suspect runs alone",
                                                                   "death told again",
                                                                   "parent died too",
                                                                   "at-most-once task lost",
                                                                   "ephemeral job gone",
                                                                   "ephemeral results full",
                                                                   "inputs given back",
                                                                   "results given back",
                                                                   "job nobody reads ends",
                                                                   "wall clock set back",
                                                                   "queue full",
                                                                   "exclusive task stopped",
                                                                   "inputs added by tasks",
                                                                   "known key dropped",
                                                                   "input beyond max_tasks",
                                                                   "limit reached",
                                                                   "rate reached",
                                                                   "resources used",
                                                                   "dependency met",
                                                                   "dependency unmet",
                                                                   "job skipped",
                                                                   "job expired",
                                                                   "stopped by a rule",
                                                                   "halted by a rule",
                                                                   "job paused",
                                                                   "job replaced",
                                                                   "attached to a job",
                                                                   "failure not retried",
                                                                   "again, not counted",
                                                                   "results unreadable",
                                                                   "queue changed",
                                                                   "schedule fired",
                                                                   "fired behind a job",
                                                                   "fired instead of a job",
                                                                   "fire time skipped",
                                                                   "fired late",
                                                                   "job grew older",
                                                                   "queues shared",
                                                                   "details told",
                                                                   "results told",
                                                                   "drain ordered",
                                                                   "undrain ordered",
                                                                   "drained to stay",
                                                                   "drained after a restart",
                                                                   "undrained worker used",
                                                                   "retry job",
                                                                   "retry job restored",
                                                                   "inputs shared",
                                                                   "job deleted",
                                                                   "deletion refused",
                                                                   "queue deleted",
                                                                   "queue in use",
                                                                   "owner full",
                                                                   "owners shared"};
using Counters = std::array<uint64_t, kSeenCount>;

// Things on their way: a slot number fits into an event.
template <typename T>
class Pool {
 public:
  uint64_t Put(T value) {
    if (free_.empty()) {
      slots_.push_back(std::move(value));
      return slots_.size() - 1;
    }
    const uint64_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = std::move(value);
    return slot;
  }
  T Take(uint64_t slot) {
    free_.push_back(slot);
    return std::exchange(slots_[slot], T());
  }

 private:
  std::vector<T> slots_;
  std::vector<uint64_t> free_;
};

struct World {
  World(const SimConfig& given, bool print)
      : config(given),
        trace(print),
        network(Mix(given.seed, 2)),
        stores(Mix(given.seed, 3)),
        lanes(Mix(given.seed, 4)),
        clients(Mix(given.seed, 5)),
        turns(Mix(given.seed, 6)) {}

  struct Next {
    int64_t at;
    uint64_t seq;
    Kind kind;
    uint32_t who;
    uint64_t a, b;
    bool operator<(const Next& other) const {
      return at != other.at ? at > other.at : seq > other.seq;
    }
  };

  void At(int64_t when, Kind kind, uint32_t who = 0, uint64_t a = 0, uint64_t b = 0) {
    queue.push({when, next_seq++, kind, who, a, b});
  }
  // The first broken invariant stands; the run ends after the step.
  void Fail(std::string what) {
    if (broken.empty()) broken = std::move(what);
  }
  // Part of the history: goes into its hash, and out when tracing.
  void Note(std::string_view what, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
    hash = Mix(hash ^ static_cast<uint64_t>(now), Mix(what.size() ^ a << 1, b) ^ Mix(c, d));
    if (!trace) return;
    std::printf("%10.3f ms  %-18.*s %llu %llu %llu %llu\n", static_cast<double>(now) / kMs,
                static_cast<int>(what.size()), what.data(), static_cast<unsigned long long>(a),
                static_cast<unsigned long long>(b), static_cast<unsigned long long>(c),
                static_cast<unsigned long long>(d));
  }
  void Saw(Seen what, uint64_t times = 1) { counters[static_cast<int>(what)] += times; }

  const SimConfig& config;
  const bool trace;
  bool healed = false;
  int64_t now = 0;
  int64_t wall_offset = 0;  // Of the master's wall clock.
  uint64_t hash = 0, steps = 0;
  std::string broken;
  Counters counters{};
  Random network, stores, lanes, clients, turns;
  std::priority_queue<Next> queue;
  uint64_t next_seq = 0;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_WORLD_H_
