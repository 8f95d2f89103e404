// Which entries of a batch count, where not all do: the n-th that counts, and where it lies.
//
// Thread: immutable once filled.

#ifndef REEVE_BASE_POSITIONS_H_
#define REEVE_BASE_POSITIONS_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include "base/ids.h"

namespace reeve {

class Positions {
 public:
  // REQUIRES: `position` is higher than any before.
  void Add(uint32_t position) {
    if (!parts_.empty() && End(parts_.back()) == position) {
      ++parts_.back().count;
    } else {
      parts_.push_back({position, 1, count_});
    }
    ++count_;
  }

  uint32_t count() const { return count_; }

  // Where the n-th that counts lies. REQUIRES: nth < count(). Cost: O(log runs).
  uint32_t At(uint32_t nth) const {
    const auto after =
        std::upper_bound(parts_.begin(), parts_.end(), nth,
                         [](uint32_t n, const Part& part) { return n < part.before; });
    const Part& part = *std::prev(after);
    return part.first + (nth - part.before);
  }

  // Ascending, disjoint, maximal.
  std::vector<Run> Runs() const {
    std::vector<Run> runs;
    for (const Part& part : parts_) runs.push_back({part.first, part.count});
    return runs;
  }

 private:
  struct Part {
    uint32_t first = 0, count = 0;
    uint32_t before = 0;  // Entries that count, in the parts before.
  };
  static uint32_t End(const Part& part) { return part.first + part.count; }

  std::vector<Part> parts_;
  uint32_t count_ = 0;
};

// Null: all entries count.
using PositionsRef = std::shared_ptr<const Positions>;

}  // namespace reeve

#endif  // REEVE_BASE_POSITIONS_H_
