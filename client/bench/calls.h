// Jobs of one call each: RunJob from request to end.
//
// Thread: RunToEnd any; RunCalls one, and gRPC's.

#ifndef REEVE_CLIENT_BENCH_CALLS_H_
#define REEVE_CLIENT_BENCH_CALLS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/canceller.h"
#include "client/job_client.h"

namespace reeve {

struct RanJob {
  std::string output;     // Of its last result.
  v1::TaskCounts counts;  // When it ended.
};

// Fills in the request id and waits for the end. Errors: CANCELLED once the canceller is.
absl::StatusOr<RanJob> RunToEnd(JobClient& client, Canceller& canceller,
                                v1::CreateJobRequest request);

struct CallsResult {
  double seconds = 0;
  uint64_t verified = 0;
  std::vector<double> latencies_us;  // Of each call.
};

// Runs `count` jobs of one task with `payload_bytes`, at most `in_flight` at once, and compares
// each output with its input. The first error ends it.
absl::StatusOr<CallsResult> RunCalls(JobClient& client, Canceller& canceller, uint64_t count,
                                     uint32_t in_flight, uint32_t payload_bytes, bool ephemeral);

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_CALLS_H_
