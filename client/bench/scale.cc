// The benchmarks of size: `memory`, `depth`, `restart`, `workers`. Each on clusters of its own.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "base/strings.h"
#include "client/bench/bench.h"
#include "client/bench/bench_cluster.h"
#include "client/bench/calls.h"
#include "client/bench/throughput.h"
#include "client/task_appender.h"

namespace reeve {
namespace {

// A handler that no worker offers: its tasks wait.
constexpr char kNobodys[] = "bench-nobody";
constexpr uint32_t kMillion = 1'000'000;

v1::JobSpec WaitingSpec() {
  v1::JobSpec spec = EchoSpec(false);
  spec.set_handler(kNobodys);
  return spec;
}

absl::Status QueueArray(JobClient& client, v1::JobSpec spec, uint32_t tasks) {
  return client.CreateJob(ArrayRequest(std::move(spec), tasks)).status();
}

absl::Status QueueStream(JobClient& client, v1::JobSpec spec, uint32_t tasks,
                         uint32_t payload_bytes) {
  constexpr uint32_t kBatch = 1000;
  v1::CreateJobRequest request;
  *request.mutable_spec() = std::move(spec);
  request.set_open(true);
  const auto job = client.CreateJob(std::move(request));
  if (!job.ok()) return job.status();
  TaskAppender appender(&client, job->job_id());
  for (uint32_t at = 0; at < tasks; at += kBatch) {
    v1::AppendTasksRequest batch;
    batch.set_task_count(std::min(kBatch, tasks - at));
    batch.add_input_bytes(payload_bytes);
    batch.set_inputs(std::string(size_t{batch.task_count()} * payload_bytes, '.'));
    if (absl::Status s = appender.Append(std::move(batch)); !s.ok()) return s;
  }
  if (absl::Status s = appender.Finish(); !s.ok()) return s;
  return client.CloseJob(job->job_id()).status();
}

// So many jobs of one task each.
absl::Status QueueJobs(JobClient& client, const v1::JobSpec& spec, uint32_t jobs) {
  for (uint32_t i = 0; i < jobs; ++i) {
    if (absl::Status s = QueueArray(client, spec, 1); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// One rate of a loop that keeps 10,000 tasks in flight.
absl::Status AddRate(BenchCluster* bench, const ThroughputOptions& one, double* rate,
                     Report* report) {
  const auto run = RunThroughput(bench, one);
  if (!run.ok()) return run.status();
  *rate = static_cast<double>(one.tasks) / run->seconds;
  report->AddRun(run->seconds, run->verified);
  return absl::OkStatus();
}

// Kills the master and waits until a task that is given to it then has run. Returns: seconds.
absl::StatusOr<double> SecondsToServe(BenchCluster* bench, uint64_t* right) {
  const double began = SteadySeconds();
  if (absl::Status s = bench->KillAndStartMaster(); !s.ok()) return s;
  for (;;) {
    const auto run = RunCalls(bench->client(), bench->canceller(), 1, 1, 16, false);
    if (run.ok()) *right += run->verified;
    if (run.ok()) return SteadySeconds() - began;
    if (!JobClient::IsTransient(run.status()) || SteadySeconds() - began > 120) return run.status();
    if (!bench->canceller().SleepFor(absl::Milliseconds(5)))
      return absl::CancelledError("interrupted");
  }
}

absl::Status MeasureRestartWith(const BenchContext& context, const std::string& figure,
                                const BenchOptions& options,
                                const std::function<absl::Status(JobClient&)>& queue,
                                Report* report) {
  auto bench = BenchCluster::Start(context, 2, options);
  if (!bench.ok()) return bench.status();
  if (absl::Status s = queue((*bench)->client()); !s.ok()) return s;
  uint64_t right = 0;
  for (uint32_t i = 0; i < options.runs; ++i) {
    const auto seconds = SecondsToServe(bench->get(), &right);
    if (!seconds.ok()) return seconds.status();
    report->Add(figure, "s", *seconds);
  }
  report->tasks += options.runs;
  report->verified += right;
  const auto bytes = (*bench)->MasterBytes();
  if (bytes.ok()) report->master_resident_bytes = std::max(report->master_resident_bytes, *bytes);
  return bytes.status();
}

// What the master uses for the links while nothing else happens, in percent of a core.
absl::StatusOr<double> IdleCpu(BenchCluster* bench, absl::Duration during) {
  const auto before = bench->MasterCpuSeconds();
  if (!before.ok()) return before.status();
  if (!bench->canceller().SleepFor(during)) return absl::CancelledError("interrupted");
  const auto after = bench->MasterCpuSeconds();
  if (!after.ok()) return after.status();
  return (*after - *before) / absl::ToDoubleSeconds(during) * 100;
}

}  // namespace

absl::StatusOr<Report> MeasureMemory(const BenchContext& context, const BenchOptions& options) {
  constexpr uint32_t kArray = 100 * kMillion;
  Report report = NewReport("memory", options, 0);
  report.tasks = 0;  // Nothing runs.
  const uint32_t payloads = options.tasks == 0 ? kMillion : static_cast<uint32_t>(options.tasks);
  for (uint32_t i = 0; i < options.runs; ++i) {
    auto bench = BenchCluster::Start(context, 0, options);
    if (!bench.ok()) return bench.status();
    const auto empty = (*bench)->MasterBytes();
    if (!empty.ok()) return empty.status();
    if (absl::Status s = QueueArray((*bench)->client(), WaitingSpec(), kArray); !s.ok()) return s;
    const auto array = (*bench)->MasterBytes();
    if (!array.ok()) return array.status();
    if (absl::Status s =
            QueueStream((*bench)->client(), WaitingSpec(), payloads, options.payload_bytes);
        !s.ok())
      return s;
    const auto stream = (*bench)->MasterBytes();
    if (!stream.ok()) return stream.status();
    const auto grown = [](uint64_t from, uint64_t to) {
      return static_cast<double>(to) - static_cast<double>(from);
    };
    report.Add("array_task_bytes", "B", grown(*empty, *array) / kArray);
    // The payload itself may be in memory or not: what is in memory is counted in full.
    report.Add("payload_task_bytes", "B", grown(*array, *stream) / payloads);
    if (i + 1 == options.runs) {
      if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
    }
  }
  return report;
}

absl::StatusOr<Report> MeasureDepth(const BenchContext& context, const BenchOptions& options) {
  constexpr uint32_t kJobs = 100'000;
  auto shallow = BenchCluster::Start(context, 2, options);
  if (!shallow.ok()) return shallow.status();
  Report report = NewReport("depth", options, 300'000);
  const ThroughputOptions one{.tasks = report.tasks,
                              .payload_bytes = options.payload_bytes,
                              .batch = options.batch,
                              .window = 10'000};
  using Prepare = std::function<absl::Status(BenchCluster*)>;
  // What waits for nobody's handler has to be there before any worker is: with workers the master
  // refuses it.
  const auto compare = [&](const std::string& figure, const Prepare& before, const Prepare& after) {
    auto deep = BenchCluster::Start(context, 0, options);
    if (!deep.ok()) return deep.status();
    absl::Status status = before(deep->get());
    if (status.ok()) status = (*deep)->AddWorkers(2);
    if (status.ok()) status = after(deep->get());
    for (uint32_t i = 0; status.ok() && i < options.runs; ++i) {
      double alone = 0, beside = 0;
      status = AddRate(shallow->get(), one, &alone, &report);
      if (status.ok()) status = AddRate(deep->get(), one, &beside, &report);
      if (status.ok()) report.Add(figure, "x", beside / alone);
    }
    return status;
  };
  const Prepare nothing = [](BenchCluster*) { return absl::OkStatus(); };
  absl::Status status = compare("pair_ratio", nothing, nothing);  // What the noise is.
  if (status.ok()) {
    const Prepare queue = [&](BenchCluster* deep) {
      const absl::Status s = QueueArray(deep->client(), WaitingSpec(), 9 * kMillion);
      return s.ok() ? QueueStream(deep->client(), WaitingSpec(), kMillion, options.payload_bytes)
                    : s;
    };
    status = compare("depth_ratio", queue, nothing);
  }
  if (status.ok()) {
    const Prepare finish = [](BenchCluster* deep) {
      return RunThroughput(deep, {.tasks = 10 * kMillion, .array = true}).status();
    };
    status = compare("history_ratio", nothing, finish);
  }
  if (status.ok()) {
    const Prepare queue = [](BenchCluster* deep) {
      return QueueJobs(deep->client(), WaitingSpec(), kJobs);
    };
    status = compare("jobs_ratio", queue, nothing);
  }
  if (!status.ok()) return status;
  if (absl::Status s = (*shallow)->Describe(&report); !s.ok()) return s;
  return report;
}

absl::StatusOr<Report> MeasureRestart(const BenchContext& context, const BenchOptions& options) {
  const uint32_t tasks = options.tasks == 0 ? kMillion : static_cast<uint32_t>(options.tasks);
  Report report = NewReport("restart", options, 0);
  report.tasks = 0;  // Counted below: those that show that the master serves.
  v1::JobSpec slow = EchoSpec(false);
  slow.set_priority(0);  // Whoever asks whether tasks are assigned again does not wait behind it.
  slow.set_handler("sleep");
  slow.set_shared_input("0.05");
  absl::Status s = MeasureRestartWith(
      context, "restart_array", options,
      [&](JobClient& client) { return QueueArray(client, slow, tasks); }, &report);
  if (!s.ok()) return s;
  slow.clear_shared_input();
  (*slow.mutable_params())["seconds"] = "0.05";
  s = MeasureRestartWith(
      context, "restart_stream", options,
      [&](JobClient& client) { return QueueStream(client, slow, tasks, options.payload_bytes); },
      &report);
  if (!s.ok()) return s;
  s = MeasureRestartWith(
      context, "restart_jobs", options,
      [&](JobClient& client) { return QueueJobs(client, slow, tasks / 10); }, &report);
  if (!s.ok()) return s;
  return report;
}

absl::StatusOr<Report> MeasureWorkers(const BenchContext& context, const BenchOptions& options) {
  constexpr uint32_t kIdle = 1'000, kStreams = 16;
  Report report = NewReport("workers", options, kMillion);
  const ThroughputOptions one{.tasks = report.tasks,
                              .payload_bytes = options.payload_bytes,
                              .batch = options.batch,
                              .streams = kStreams};
  for (uint32_t i = 0; i < options.runs; ++i) {
    double best = 0, worst = 0;
    for (const uint32_t workers : {1, 2, 4, 8}) {
      auto bench = BenchCluster::Start(context, workers, options);
      if (!bench.ok()) return bench.status();
      double rate = 0;
      if (absl::Status s = AddRate(bench->get(), one, &rate, &report); !s.ok()) return s;
      report.Add(StrCat("rate_", workers, "_workers"), "tasks/s", rate);
      best = std::max(best, rate);
      worst = worst == 0 ? rate : std::min(worst, rate);
    }
    report.Add("width_ratio", "x", worst / best);
  }
  auto bench = BenchCluster::Start(context, 2, options);
  if (!bench.ok()) return bench.status();
  absl::Status status = (*bench)->AddWorker("idle", {"--idle-links", StrCat(kIdle)});
  if (status.ok()) status = (*bench)->WaitForWorkers(kIdle + 2);
  if (!status.ok()) return status;
  for (uint32_t i = 0; i < options.runs; ++i) {
    const auto cpu = IdleCpu(bench->get(), absl::Seconds(5));
    if (!cpu.ok()) return cpu.status();
    report.Add("idle_workers_cpu", "%", *cpu);
  }
  const auto bytes = (*bench)->MasterBytes();
  if (!bytes.ok()) return bytes.status();
  report.master_resident_bytes = *bytes;
  return report;
}

absl::StatusOr<Report> MeasureEncryption(const BenchContext& context, const BenchOptions& options) {
  Report report = NewReport("encryption", options, kMillion);
  auto plain = BenchCluster::Start(context, 2, options);
  if (!plain.ok()) return plain.status();
  BenchOptions with_keys = options;
  with_keys.encrypt = true;
  auto encrypted = BenchCluster::Start(context, 2, with_keys);
  if (!encrypted.ok()) return encrypted.status();
  const auto compare = [&](const std::string& figure, const ThroughputOptions& one) {
    double open = 0, closed = 0;
    absl::Status status = AddRate(plain->get(), one, &open, &report);
    if (status.ok()) status = AddRate(encrypted->get(), one, &closed, &report);
    if (status.ok()) report.Add(figure, "x", closed / open);
    return status;
  };
  const ThroughputOptions streamed{
      .tasks = report.tasks, .payload_bytes = options.payload_bytes, .batch = options.batch};
  // Where bytes, and not tasks, are what there is much of.
  ThroughputOptions large = streamed;
  large.tasks = report.tasks / 20;
  large.payload_bytes = 4096;
  large.batch = 200;
  ThroughputOptions array = streamed;
  array.array = true;
  // By itself: a report has one number of tasks, which every run must have brought back.
  const auto compare_large = [&]() -> absl::Status {
    double rates[2];
    for (BenchCluster* bench : {plain->get(), encrypted->get()}) {
      const auto run = RunThroughput(bench, large);
      if (!run.ok()) return run.status();
      if (run->verified != large.tasks)
        return absl::InternalError("results of 4 KiB were missing or wrong");
      rates[bench == encrypted->get()] = static_cast<double>(large.tasks) / run->seconds;
    }
    report.Add("encrypted_4k_ratio", "x", rates[1] / rates[0]);
    return absl::OkStatus();
  };
  for (uint32_t i = 0; i < options.runs; ++i) {
    absl::Status status = compare("encrypted_stream_ratio", streamed);
    if (status.ok()) status = compare("encrypted_array_ratio", array);
    if (status.ok()) status = compare_large();
    if (!status.ok()) return status;
  }
  if (absl::Status s = (*encrypted)->Describe(&report); !s.ok()) return s;
  return report;
}

}  // namespace reeve
