// `reeve bench`: how fast this cluster is, with every result checked.
//
// Thread: the main thread's; throughput feeds from a thread of its own.

#ifndef REEVE_CLIENT_COMMANDS_BENCH_H_
#define REEVE_CLIENT_COMMANDS_BENCH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct BenchOptions {
  uint64_t tasks = 0;           // 0: the benchmark's default.
  uint32_t payload_bytes = 16;  // At least 16: the task's number is in it.
  uint32_t batch = 1000;        // Tasks per append message.
  uint32_t runs = 1;
  bool array = false;  // throughput: one array instead of streamed payloads.
  std::string durability = "durable";
  uint32_t local = 0;  // Start a cluster of so many workers for the run.
  uint32_t slots = 0;  // Of each of them; 0: the worker's default.
};

// A million no-op tasks, from the first byte sent to the last result in hand.
absl::StatusOr<int> RunBenchThroughput(Session& session, const BenchOptions& options);
// One task at a time in one call.
absl::StatusOr<int> RunBenchLatency(Session& session, const BenchOptions& options);
// Commands (`/bin/true`), beside `xargs -P2` in the same run.
absl::StatusOr<int> RunBenchSpawn(Session& session, const BenchOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_BENCH_H_
