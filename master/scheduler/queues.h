// Queues, the turns that their jobs take, keys of tasks, and rates. Private to master/scheduler;
// see state.h.

#ifndef REEVE_MASTER_SCHEDULER_QUEUES_H_
#define REEVE_MASTER_SCHEDULER_QUEUES_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "base/ids.h"
#include "base/interval_set.h"
#include "master/scheduler/events.h"

namespace reeve {

// Where jobs stand: at their priority, or higher if they are old. Nobody begins at the highest one,
// so that an old job gets by whoever there is.
inline constexpr int kLevels = kHighestPriority + 2;
inline constexpr int kHighestLevel = kLevels - 1;
inline constexpr char kDefaultQueue[] = "default";

// Lets starts pass at the distances of a Rate (the generic cell rate algorithm): what was not used
// is worth at most `burst` starts.
class RateGate {
 public:
  // Starts that may pass at `now`.
  uint64_t Open(const Rate& rate, absl::Duration now) const;
  void Pass(const Rate& rate, absl::Duration now, uint64_t starts);
  // When the next one may pass, if none may now.
  absl::Duration NextAt() const { return next_; }
  // Books one start at `from` or later. Returns: when.
  absl::Duration Reserve(const Rate& rate, absl::Duration from);
  // Nothing was saved up before `now`.
  void Begin(absl::Duration now) { next_ = now; }

 private:
  absl::Duration Base(const Rate& rate, absl::Duration now) const;

  absl::Duration next_ = -absl::InfiniteDuration();
};

// How much a party has had of the time of slots. The one with the least goes next; whoever had
// nothing to do does not save it up.
struct Turn {
  double had = 0;       // Slot seconds; of a queue divided by its weight.
  double ahead = 0;     // Of these: of tasks at workers, from when they went out.
  uint64_t listed = 0;  // Its jobs that have work to place.

  double settled() const { return had - ahead; }
  // Behind nobody that had `least`: it begins to wait.
  void Begin(double least) { had += std::max(0.0, least - settled()); }
};

// By level: who goes first by priority owes nothing to others for it, nor they to those that come.
using Turns = std::array<Turn, kLevels>;

struct Queue {
  QueueSettings settings;
  bool set_up = false;  // By somebody; otherwise it goes with its last job.
  uint64_t jobs = 0;
  uint64_t tasks = 0;  // Unfinished.
  uint64_t in_flight = 0;
  Turns turns;
  std::array<double, kLevels> flows_had{};  // Least that a flow which begins is taken to have had.
  RateGate gate, retry_gate;

  bool limits() const { return settings.max_in_flight > 0; }
};

// The jobs of one owner in one queue: they take turns with those of other owners.
struct Flow {
  uint32_t number = 0;
  Queue* queue = nullptr;
  std::string owner;
  uint64_t jobs = 0;
  Turns turns;
  double task_seconds = 0;  // What one of its tasks took of late; 0: unknown.
};

// Jobs in the order in which they go; see Job::in_line.
using Line = std::set<std::pair<absl::Duration, JobId>>;

// What a job asks of a worker, as a job class: handler, labels, resources.
struct WorkClass {
  std::string handler;
  std::vector<LabelTerm> selector;
  Resources needs;
  uint64_t jobs = 0;            // All that are unfinished.
  std::set<SessionId> workers;  // That could run them, with all their resources free.
  // Jobs with work to place, by level (priority and age), then by number of the flow.
  using Level = std::map<uint32_t, Line>;
  std::array<Level, kLevels> levels;
  // Those with a rate: they wait for their time, not for their turn. By queue, then by level.
  std::map<std::string, std::set<std::pair<int32_t, JobId>>> timed;
  uint64_t listed = 0;  // Jobs in all of these.
  Turns turns;          // Among classes with work of the same flow.

  bool plain() const { return selector.empty() && needs.empty(); }
  // The highest one with work to place; 0 if there is none.
  int TopLevel() const {
    int level = kHighestLevel;
    while (level > 0 && levels[level].empty()) --level;
    return level;
  }
};

struct KeyGroup {
  IntervalSet ready;
  uint64_t in_flight = 0;
  double had = 0;
  RateGate gate;
  bool eligible = false;  // It is in KeyGroups::eligible.
  bool waking = false;    // It is in Scheduler::Impl::key_wakes.
};

// Tasks of a keyed job, by key.
struct KeyGroups {
  absl::btree_map<uint64_t, KeyGroup> groups;
  std::set<std::pair<double, uint64_t>> eligible;  // (had, key): may have a task placed now.
  double had = 0;  // Least that a group which begins is taken to have had.
  // After a restart: what went out before it is not known.
  absl::Duration not_before = -absl::InfiniteDuration();

  KeyGroup& Of(uint64_t key) {
    const auto [it, made] = groups.try_emplace(key);
    if (made) it->second.gate.Begin(not_before);
    return it->second;
  }
};

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_QUEUES_H_
