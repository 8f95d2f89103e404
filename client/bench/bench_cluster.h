// The cluster a benchmark runs on: the one the session knows, or one made for it in a temporary
// folder and taken away afterwards.
//
// Thread: one; client() and canceller() from any.

#ifndef REEVE_CLIENT_BENCH_BENCH_CLUSTER_H_
#define REEVE_CLIENT_BENCH_BENCH_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/bench/bench.h"
#include "client/canceller.h"
#include "client/job_client.h"
#include "client/local_cluster.h"

namespace reeve {

class BenchCluster {
 public:
  // As `options` say: one of its own with `local`, otherwise the session's.
  // Errors: a usage error for options that cannot be; what LocalCluster::Start says.
  static absl::StatusOr<std::unique_ptr<BenchCluster>> Begin(const BenchContext& context,
                                                             const BenchOptions& options);
  // One of its own with so many workers.
  static absl::StatusOr<std::unique_ptr<BenchCluster>> Start(const BenchContext& context,
                                                             uint32_t workers,
                                                             const BenchOptions& options);
  explicit BenchCluster(const BenchContext& context) : canceller_(context.canceller) {}
  ~BenchCluster();

  JobClient& client() { return *connected_; }
  Canceller& canceller() { return canceller_; }

  // Fills in workers, slots, memory, and what each process has used since Begin.
  absl::Status Describe(Report* report);
  // Memory of the master now.
  absl::StatusOr<uint64_t> MasterBytes();
  // CPU time that the master has used so far.
  absl::StatusOr<double> MasterCpuSeconds();

  // ---- REQUIRES: a cluster of its own. ----

  // kill -9 of the master, and a new one, which is not waited for.
  absl::Status KillAndStartMaster();
  // Another worker process with these flags; not waited for.
  absl::Status AddWorker(const std::string& name, const std::vector<std::string>& flags);
  // So many more workers of the usual kind, and waits for them.
  absl::Status AddWorkers(uint32_t count);
  // Waits until that many workers are ONLINE; CANCELLED or DEADLINE_EXCEEDED otherwise.
  absl::Status WaitForWorkers(uint64_t count);

 private:
  absl::StatusOr<std::vector<ProcessUse>> Use();

  Canceller& canceller_;
  std::string folder_;
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<JobClient> client_;
  JobClient* connected_ = nullptr;
  std::vector<ProcessUse> at_begin_;
};

// A report with what the options say; `tasks` is for when they say nothing.
Report NewReport(const std::string& benchmark, const BenchOptions& options, uint64_t tasks);

// Seconds on the steady clock.
double SteadySeconds();

}  // namespace reeve

#endif  // REEVE_CLIENT_BENCH_BENCH_CLUSTER_H_
