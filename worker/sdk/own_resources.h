// What a worker has besides slots, for tasks that ask for some of it: `cpus` and `memory` as the
// machine and the worker's cgroup give them, and whatever its owner says.
//
// Private to worker/sdk.
//
// Thread: none.

#ifndef REEVE_WORKER_SDK_OWN_RESOURCES_H_
#define REEVE_WORKER_SDK_OWN_RESOURCES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace reeve {

struct MachineRoom {
  int64_t cpu_thousandths = 1'000;
  int64_t memory_bytes = 0;
};

// Hardware threads that this process may use and memory that there is; less where its cgroup (of
// version 2), or one above it, has a quota. `cgroup_file`: as /proc/self/cgroup.
MachineRoom LookAtMachine(const std::string& cgroup_file = "/proc/self/cgroup",
                          const std::string& cgroup_root = "/sys/fs/cgroup");

// `given`: NAME=AMOUNT, with at most three decimals, or K, M, G, T for 1,024 and its powers; what
// is given counts more than the machine. Returns: thousandths by name. Errors: INVALID_ARGUMENT
// what is no such thing, a name given twice, more than 16.
absl::StatusOr<std::map<std::string, int64_t>> OwnResources(const std::vector<std::string>& given,
                                                            const MachineRoom& machine);

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_OWN_RESOURCES_H_
