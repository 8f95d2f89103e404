// The targets of Reeve for speed and size, as data: which figure of which benchmark, its bar (what
// is required) and its aim.
//
// Thread: none.

#ifndef REEVE_CLIENT_BENCH_TARGETS_H_
#define REEVE_CLIENT_BENCH_TARGETS_H_

#include <string_view>
#include <vector>

namespace reeve {

struct Target {
  std::string_view id;      // `P5`.
  std::string_view figure;  // Name of the figure; no two targets share one.
  std::string_view what;    // For people.
  double bar;
  double aim;
  bool more_is_better;

  bool Meets(double value, double limit) const {
    return more_is_better ? value >= limit : value <= limit;
  }
};

// In the order of their ids.
const std::vector<Target>& Targets();
// Null if the figure has none.
const Target* FindTarget(std::string_view figure);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_TARGETS_H_
