// The benchmarks of a rate: `throughput`, `payload`, `sleep`, `spawn`.

#include <stdlib.h>

#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "base/strings.h"
#include "client/bench/bench.h"
#include "client/bench/bench_cluster.h"
#include "client/bench/calls.h"
#include "client/bench/throughput.h"
#include "client/exit_code.h"
#include "client/result_stream.h"

namespace reeve {
namespace {

constexpr uint32_t kMiB = 1u << 20;

// Which target the options amount to; "" if none.
std::string FigureOf(const BenchOptions& options) {
  if (options.acknowledge_only || options.streams != 1) return "";
  const bool is_ephemeral = options.durability == "ephemeral";
  if (options.array) return is_ephemeral ? "" : "array_rate";
  return is_ephemeral ? "stream_rate_ephemeral" : "stream_rate";
}

absl::StatusOr<double> RunSleeps(BenchCluster* bench, uint32_t count, const std::string& seconds,
                                 bool ephemeral, uint64_t* succeeded) {
  v1::JobSpec spec = EchoSpec(ephemeral);
  spec.set_handler("sleep");
  spec.set_shared_input(seconds);
  const double began = SteadySeconds();
  const auto ran =
      RunToEnd(bench->client(), bench->canceller(), ArrayRequest(std::move(spec), count));
  if (!ran.ok()) return ran.status();
  *succeeded += ran->counts.succeeded();
  return SteadySeconds() - began;
}

}  // namespace

absl::StatusOr<Report> MeasureThroughput(const BenchContext& context, const BenchOptions& options) {
  auto bench = BenchCluster::Begin(context, options);
  if (!bench.ok()) return bench.status();
  Report report = NewReport("throughput", options, 1'000'000);
  if (options.array) report.payload_bytes = report.batch = 0;
  const ThroughputOptions one{.tasks = report.tasks,
                              .payload_bytes = options.payload_bytes,
                              .batch = options.batch,
                              .streams = options.streams,
                              .array = options.array,
                              .ephemeral = options.durability == "ephemeral",
                              .expect_empty = options.acknowledge_only};
  for (uint32_t i = 0; i < options.runs; ++i) {
    const auto run = RunThroughput(bench->get(), one);
    if (!run.ok()) return run.status();
    report.AddRun(run->seconds, run->verified);
    report.latencies_us.insert(report.latencies_us.end(), run->latencies_us.begin(),
                               run->latencies_us.end());
    if (const std::string figure = FigureOf(options); !figure.empty())
      report.Add(figure, "tasks/s", static_cast<double>(report.tasks) / run->seconds);
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  return report;
}

absl::StatusOr<Report> MeasurePayload(const BenchContext& context, const BenchOptions& options) {
  auto bench = BenchCluster::Begin(context, options);
  if (!bench.ok()) return bench.status();
  Report report = NewReport("payload", options, 1'000);
  report.payload_bytes = kMiB;
  report.batch = 0;
  std::string payload(kMiB, '\0');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(i * 31 + i / 251);
  for (uint32_t i = 0; i < options.runs; ++i) {
    v1::JobSpec spec = EchoSpec(options.durability == "ephemeral");
    spec.set_shared_input(payload);
    const double began = SteadySeconds();
    const auto job = (*bench)->client().CreateJob(ArrayRequest(std::move(spec), report.tasks));
    if (!job.ok()) return job.status();
    v1::StreamResultsRequest wanted;
    wanted.set_job_id(job->job_id());
    wanted.set_follow(true);
    ResultStream stream(&(*bench)->client(), &(*bench)->canceller(), wanted);
    std::set<TaskIndex> right;
    for (;;) {
      const auto batch = stream.Next();
      if (!batch.ok()) return batch.status();
      if (*batch == nullptr) break;
      (*batch)->ForEach((*batch)->head_runs(), [&](const ResultEntry& entry) {
        if (entry.state == TaskState::kSucceeded && entry.output == payload)
          right.insert(entry.index);
      });
    }
    report.AddRun(SteadySeconds() - began, right.size());
    report.Add("payload_rate", "MB/s",
               static_cast<double>(report.tasks) * kMiB / 1e6 / report.seconds.back());
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  return report;
}

absl::StatusOr<Report> MeasureSleep(const BenchContext& context, const BenchOptions& options) {
  constexpr uint32_t kSlots = 16, kShort = 10'000, kLong = 1'000;
  if (options.local > kSlots) return UsageError("--local: at most 16 workers share the 16 threads");
  BenchOptions sixteen = options;
  sixteen.local = options.local == 0 ? 2 : options.local;
  sixteen.slots = kSlots / sixteen.local;
  auto bench = BenchCluster::Begin(context, sixteen);
  if (!bench.ok()) return bench.status();
  Report report = NewReport("sleep", options, kShort + kLong);
  report.payload_bytes = report.batch = 0;
  const bool ephemeral = options.durability == "ephemeral";
  for (uint32_t i = 0; i < options.runs; ++i) {
    uint64_t succeeded = 0;
    const auto brief = RunSleeps(bench->get(), kShort, "0.001", ephemeral, &succeeded);
    if (!brief.ok()) return brief.status();
    const auto whole = RunSleeps(bench->get(), kLong, "0.1", ephemeral, &succeeded);
    if (!whole.ok()) return whole.status();
    report.AddRun(*brief + *whole, succeeded);
    const double slots = sixteen.slots * sixteen.local;
    report.Add("overhead_1ms", "%", (*brief / (kShort * 0.001 / slots) - 1) * 100);
    report.Add("overhead_100ms", "%", (*whole / (std::ceil(kLong / slots) * 0.1) - 1) * 100);
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  return report;
}

absl::StatusOr<Report> MeasureSpawn(const BenchContext& context, const BenchOptions& options) {
  auto bench = BenchCluster::Begin(context, options);
  if (!bench.ok()) return bench.status();
  Report report = NewReport("spawn", options, 2'000);
  report.payload_bytes = report.batch = 0;
  for (uint32_t run = 0; run < options.runs; ++run) {
    v1::JobSpec spec = EchoSpec(options.durability == "ephemeral");
    spec.set_handler("exec");
    spec.mutable_command()->add_argv("/bin/true");
    double began = SteadySeconds();
    const auto ran = RunToEnd((*bench)->client(), (*bench)->canceller(),
                              ArrayRequest(std::move(spec), report.tasks));
    if (!ran.ok()) return ran.status();
    report.AddRun(SteadySeconds() - began, ran->counts.succeeded());
    began = SteadySeconds();
    const std::string peer = StrCat("seq ", report.tasks, " | xargs -P2 -n1 /bin/true");
    if (system(peer.c_str()) != 0) continue;  // There is no xargs here.
    report.Add("spawn_ratio", "x", (SteadySeconds() - began) / report.seconds.back());
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  return report;
}

}  // namespace reeve
