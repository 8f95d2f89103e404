// One run of no-op tasks, as many streams as asked for, with every result checked: what several
// benchmarks measure a rate with.
//
// Thread: one calls; two more per stream.

#ifndef REEVE_CLIENT_BENCH_THROUGHPUT_H_
#define REEVE_CLIENT_BENCH_THROUGHPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench/bench_cluster.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

struct ThroughputOptions {
  uint64_t tasks = 1'000'000;
  uint32_t payload_bytes = 16;
  uint32_t batch = 1000;
  uint32_t streams = 1;
  bool array = false;
  bool ephemeral = false;
  // Outputs are empty: the workers do not execute.
  bool expect_empty = false;
  // Most tasks sent and not back yet, for each stream; 0: no limit.
  uint64_t window = 0;
};

struct ThroughputResult {
  double seconds = 0;  // From the first call to the last result in hand.
  uint64_t verified = 0;
  std::vector<double> latencies_us;  // Of the first task of each batch or run.
};

absl::StatusOr<ThroughputResult> RunThroughput(BenchCluster* bench,
                                               const ThroughputOptions& options);

// A job of the handler `echo`.
v1::JobSpec EchoSpec(bool ephemeral);
// Tasks 0 to `count` - 1.
v1::CreateJobRequest ArrayRequest(v1::JobSpec spec, uint64_t count);
// Decimal digits of a task's number at the front of its payload.
inline constexpr uint32_t kNumberDigits = 16;
// Writes that many.
void WriteNumber(uint64_t number, char* to);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_THROUGHPUT_H_
