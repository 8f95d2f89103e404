// `reeve bench`: how fast this cluster is, with every result checked.
//
// A benchmark is a function from options to a Report; RunBench prints it, RunBenchAll puts the
// targets of all of them into one table. Figures that have a target are named in targets.h.
//
// Thread: the main thread's; benchmarks make threads of their own where they feed and read at once.

#ifndef REEVE_CLIENT_BENCH_BENCH_H_
#define REEVE_CLIENT_BENCH_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench/report.h"
#include "client/canceller.h"
#include "client/commands/session.h"

namespace reeve {

// What every benchmark works with. Once the canceller is cancelled, by Ctrl-C, it ends soon with an
// error.
struct BenchContext {
  Session& session;
  Canceller& canceller;
};

struct BenchOptions {
  uint64_t tasks = 0;           // 0: the benchmark's default.
  uint32_t payload_bytes = 16;  // At least 16: the task's number is in it.
  uint32_t batch = 1000;        // Tasks per append message.
  uint32_t runs = 1;
  bool array = false;  // throughput: one array instead of streamed payloads.
  std::string durability = "durable";
  uint32_t local = 0;      // Start a cluster of so many workers for the run.
  uint32_t slots = 0;      // Of each of them; 0: the worker's default.
  uint32_t streams = 1;    // throughput: jobs fed and read at once.
  uint32_t in_flight = 1;  // latency: calls at once.
  // The workers of the local cluster acknowledge without executing: the master alone is measured.
  bool acknowledge_only = false;
  bool encrypt = false;                   // The local cluster speaks TLS and CURVE.
  std::vector<std::string> worker_flags;  // Further ones of the local cluster's workers.
};

// A million no-op tasks, from the first byte sent to the last result in hand.
absl::StatusOr<Report> MeasureThroughput(const BenchContext& context, const BenchOptions& options);
// One task per job and call: one at a time, or `in_flight` of them.
absl::StatusOr<Report> MeasureLatency(const BenchContext& context, const BenchOptions& options);
// Commands (`/bin/true`), beside `xargs -P2` in the same run.
absl::StatusOr<Report> MeasureSpawn(const BenchContext& context, const BenchOptions& options);
// 1,000 results of 1 MiB.
absl::StatusOr<Report> MeasurePayload(const BenchContext& context, const BenchOptions& options);

// The others start clusters of their own whatever `local` says.

// 10,000 sleeps of 1 ms and 1,000 of 100 ms on 16 threads, against the time they need at least.
absl::StatusOr<Report> MeasureSleep(const BenchContext& context, const BenchOptions& options);
// 10,000 `http` tasks against a server that answers after a second, on the async lane of one
// worker.
absl::StatusOr<Report> MeasureHttp(const BenchContext& context, const BenchOptions& options);
// Memory of the master for each task that waits.
absl::StatusOr<Report> MeasureMemory(const BenchContext& context, const BenchOptions& options);
// The rate beside 10 M queued tasks, 10 M finished ones and 100,000 queued jobs, against the rate
// of an empty cluster, turn by turn.
absl::StatusOr<Report> MeasureDepth(const BenchContext& context, const BenchOptions& options);
// From a kill -9 of the master with work pending until it accepts and assigns again.
absl::StatusOr<Report> MeasureRestart(const BenchContext& context, const BenchOptions& options);
// The rate with 1, 2, 4 and 8 worker processes and 16 client streams; what 1,000 idle workers cost.
absl::StatusOr<Report> MeasureWorkers(const BenchContext& context, const BenchOptions& options);
// The rate with TLS and CURVE against the rate without, turn by turn.
absl::StatusOr<Report> MeasureEncryption(const BenchContext& context, const BenchOptions& options);

using Benchmark = absl::StatusOr<Report> (*)(const BenchContext& context,
                                             const BenchOptions& options);

// Runs it and prints its report. Returns: exit code 1 if a result was missing or wrong, 130 after
// Ctrl-C.
absl::StatusOr<int> RunBench(Session& session, const BenchOptions& options, Benchmark benchmark);

// Every target with bar, aim and what was measured; at least five runs unless `runs` says
// otherwise. Returns: exit code 1 if a result was wrong or a bar is missed.
absl::StatusOr<int> RunBenchAll(Session& session, const BenchOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_BENCH_H_
