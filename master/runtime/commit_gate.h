// Holds back what may leave the master only after a commit: replies, acknowledgements, notices.
//
// What waits for a commit leaves in the order it came, per store. What names none, or one that is
// done, passes at once: a refusal, a heartbeat's answer or a repeated Welcome does not wait behind
// the replies of a slow commit.
//
// Thread: the owner's.

#ifndef REEVE_MASTER_RUNTIME_COMMIT_GATE_H_
#define REEVE_MASTER_RUNTIME_COMMIT_GATE_H_

#include <array>
#include <cstdint>
#include <deque>
#include <utility>

#include "master/scheduler/effects.h"

namespace reeve {

template <typename What>
class CommitGate {
 public:
  // Calls `go(What&)` now, or in OnCommitted.
  template <typename Go>
  void Pass(After after, What what, Go go) {
    const auto s = static_cast<size_t>(after.store);
    if (after.number <= committed_[s]) return go(what);
    held_[s].emplace_back(after.number, std::move(what));
  }

  // Everything up to commit `number` of the store is committed: `go` for what waited for it.
  template <typename Go>
  void OnCommitted(StoreKind store, uint64_t number, Go go) {
    const auto s = static_cast<size_t>(store);
    committed_[s] = number;
    while (!held_[s].empty() && held_[s].front().first <= number) {
      What what = std::move(held_[s].front().second);
      held_[s].pop_front();
      go(what);
    }
  }

  bool empty(StoreKind store) const { return held_[static_cast<size_t>(store)].empty(); }

 private:
  std::array<uint64_t, kStoreCount> committed_{};
  std::array<std::deque<std::pair<uint64_t, What>>, kStoreCount> held_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_RUNTIME_COMMIT_GATE_H_
