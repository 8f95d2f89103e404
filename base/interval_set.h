// A set of task indexes kept as disjoint, maximal runs.
//
// What makes a job of 100 million tasks cost a few bytes: work is taken, returned and finished run
// by run. A perfectly scattered set costs about 10 bytes a run.
//
// Thread: none; the owner's.

#ifndef REEVE_BASE_INTERVAL_SET_H_
#define REEVE_BASE_INTERVAL_SET_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/ids.h"

namespace reeve {

class IntervalSet {
 public:
  IntervalSet() = default;
  explicit IntervalSet(Run run) { Add(run); }

  // Number of indexes in the set. Cost: O(1).
  uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Number of maximal runs.
  size_t run_count() const { return ends_.size(); }

  // Adds every index of `run`; those already in stay.
  // Returns: how many were new. Cost: O(log runs + runs merged).
  uint32_t Add(Run run);

  // Removes every index of `run`. Returns: how many were in. Cost: O(log runs + runs touched).
  uint32_t Remove(Run run);
  // The same. Returns: what was in, ascending.
  std::vector<Run> TakeOut(Run run);

  bool Contains(TaskIndex index) const;
  // True if every index of `run` is in. An empty run is in every set.
  bool ContainsAll(Run run) const;
  // True if at least one index of `run` is in.
  bool Intersects(Run run) const;

  // The maximal part of the set that begins at or after `from`, cut off at `limit` indexes.
  std::optional<Run> FirstRun(TaskIndex from = 0, uint32_t limit = UINT32_MAX) const;

  // The runs of the set that lie within `run`, ascending.
  std::vector<Run> Intersection(Run run) const;
  // The runs of `run` that are not in the set, ascending.
  std::vector<Run> Missing(Run run) const;

  // All runs, ascending.
  std::vector<Run> Runs() const;

  void Clear() {
    ends_.clear();
    size_ = 0;
  }

  bool operator==(const IntervalSet& other) const { return ends_ == other.ends_; }

 private:
  using Map = absl::btree_map<TaskIndex, TaskIndex>;  // first → end (exclusive).
  Map::const_iterator FindContainingOrAfter(TaskIndex index) const;

  // Invariant: for consecutive entries (f1, e1), (f2, e2): f1 < e1 < f2.
  Map ends_;
  uint64_t size_ = 0;
};

}  // namespace reeve

#endif  // REEVE_BASE_INTERVAL_SET_H_
