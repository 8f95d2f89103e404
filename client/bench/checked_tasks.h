// A job of given inputs whose results are checked one by one.
//
// Thread: the caller's.

#ifndef REEVE_CLIENT_BENCH_CHECKED_TASKS_H_
#define REEVE_CLIENT_BENCH_CHECKED_TASKS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/result_batch.h"
#include "client/bench/bench_cluster.h"

namespace reeve {

// Returns: how many tasks had the result that `is_right(entry, index)` wants.
absl::StatusOr<uint64_t> RunChecked(
    BenchCluster* bench, v1::JobSpec spec, const std::vector<std::string>& inputs,
    const std::function<bool(const ResultEntry& entry, uint64_t index)>& is_right);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_CHECKED_TASKS_H_
