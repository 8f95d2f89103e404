// The benchmarks of a rate: `throughput`, `payload`, `sleep`, `spawn`.

#include <stdlib.h>

#include <cmath>
#include <string>
#include <utility>

#include "base/strings.h"
#include "client/bench/bench.h"
#include "client/bench/bench_cluster.h"
#include "client/bench/calls.h"
#include "client/bench/throughput.h"
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
  v1::CreateJobRequest request;
  v1::JobSpec* spec = request.mutable_spec();
  *spec = EchoSpec(ephemeral);
  spec->set_handler("sleep");
  spec->set_shared_input(seconds);
  request.mutable_array()->set_step(1);
  request.mutable_array()->set_count(count);
  const double began = SteadySeconds();
  const auto ran = RunToEnd(bench->client(), bench->canceller(), std::move(request));
  if (!ran.ok()) return ran.status();
  *succeeded += ran->counts.succeeded();
  return SteadySeconds() - began;
}

}  // namespace

absl::StatusOr<Report> MeasureThroughput(const BenchContext& context, const BenchOptions& options) {
  auto bench = BenchCluster::Begin(context, options);
  if (!bench.ok()) return bench.status();
  Report report;
  report.benchmark = "throughput";
  report.tasks = options.tasks == 0 ? 1'000'000 : options.tasks;
  report.payload_bytes = options.array ? 0 : options.payload_bytes;
  report.durability = options.durability;
  report.batch = options.array ? 0 : options.batch;
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
  Report report;
  report.benchmark = "payload";
  report.tasks = options.tasks == 0 ? 1'000 : options.tasks;
  report.payload_bytes = kMiB;
  report.durability = options.durability;
  std::string payload(kMiB, '\0');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(i * 31 + i / 251);
  for (uint32_t i = 0; i < options.runs; ++i) {
    v1::CreateJobRequest request;
    *request.mutable_spec() = EchoSpec(options.durability == "ephemeral");
    request.mutable_spec()->set_shared_input(payload);
    request.mutable_array()->set_step(1);
    request.mutable_array()->set_count(static_cast<uint32_t>(report.tasks));
    const double began = SteadySeconds();
    const auto job = (*bench)->client().CreateJob(request);
    if (!job.ok()) return job.status();
    v1::StreamResultsRequest wanted;
    wanted.set_job_id(job->job_id());
    wanted.set_follow(true);
    ResultStream stream(&(*bench)->client(), &(*bench)->canceller(), wanted);
    uint64_t verified = 0;
    for (;;) {
      const auto batch = stream.Next();
      if (!batch.ok()) return batch.status();
      if (*batch == nullptr) break;
      (*batch)->ForEach((*batch)->head_runs(), [&](const ResultEntry& entry) {
        verified += entry.state == TaskState::kSucceeded && entry.output == payload;
      });
    }
    report.AddRun(SteadySeconds() - began, verified);
    report.Add("payload_rate", "MB/s",
               static_cast<double>(report.tasks) * kMiB / 1e6 / report.seconds.back());
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  return report;
}

absl::StatusOr<Report> MeasureSleep(const BenchContext& context, const BenchOptions& options) {
  constexpr uint32_t kSlots = 16, kShort = 10'000, kLong = 1'000;
  BenchOptions sixteen = options;
  sixteen.local = options.local == 0 ? 2 : options.local;
  sixteen.slots = kSlots / sixteen.local;
  auto bench = BenchCluster::Begin(context, sixteen);
  if (!bench.ok()) return bench.status();
  Report report;
  report.benchmark = "sleep";
  report.tasks = kShort + kLong;
  report.durability = options.durability;
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
  Report report;
  report.benchmark = "spawn";
  report.tasks = options.tasks == 0 ? 2'000 : options.tasks;
  report.durability = options.durability;
  for (uint32_t run = 0; run < options.runs; ++run) {
    v1::CreateJobRequest request;
    v1::JobSpec* spec = request.mutable_spec();
    *spec = EchoSpec(options.durability == "ephemeral");
    spec->set_handler("exec");
    spec->mutable_command()->add_argv("/bin/true");
    request.mutable_array()->set_step(1);
    request.mutable_array()->set_count(static_cast<uint32_t>(report.tasks));
    double began = SteadySeconds();
    const auto ran = RunToEnd((*bench)->client(), (*bench)->canceller(), std::move(request));
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
