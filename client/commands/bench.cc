#include "client/commands/bench.h"

#include <stdlib.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/result_batch.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "client/canceller.h"
#include "client/exit_code.h"
#include "client/local_cluster.h"
#include "client/output/json.h"
#include "client/output/table.h"
#include "client/result_stream.h"
#include "client/task_appender.h"

namespace reeve {
namespace {

constexpr uint32_t kNumberDigits = 16;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What a benchmark found out; printed as ux.md says.
struct Report {
  std::string benchmark;
  uint64_t tasks = 0;
  uint32_t payload_bytes = 0;
  std::string durability;
  uint32_t batch = 0;
  std::vector<double> seconds;       // Of each run.
  std::vector<double> latencies_us;  // Samples of all runs.
  uint64_t verified = 0;             // Of the worst run.
  uint64_t workers = 0, slots = 0, master_resident_bytes = 0;
  std::vector<std::pair<std::string, double>> more;
};

// NaN if there are none.
double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

// A cluster for the run, if one is asked for, and the connection.
class Bench {
 public:
  static absl::StatusOr<std::unique_ptr<Bench>> Begin(Session& session,
                                                      const BenchOptions& options);
  ~Bench() {
    client_.reset();
    if (cluster_ != nullptr) cluster_->Stop(absl::Seconds(5));
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  JobClient& client() { return *connected_; }
  Canceller& canceller() { return canceller_; }
  absl::Status Describe(Report* report);

 private:
  Canceller canceller_;
  std::string folder_;
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<JobClient> client_;
  JobClient* connected_ = nullptr;
};

absl::StatusOr<std::unique_ptr<Bench>> Bench::Begin(Session& session, const BenchOptions& options) {
  if (options.durability != "durable" && options.durability != "ephemeral") {
    return UsageError("--durability: `durable` or `ephemeral`");
  }
  if (options.payload_bytes < kNumberDigits || options.payload_bytes > (1u << 20)) {
    return UsageError("--payload-bytes: 16 to 1,048,576");
  }
  if (options.batch < 1 || uint64_t{options.batch} * options.payload_bytes > (3u << 20)) {
    return UsageError("--batch: at least 1, and at most 3 MiB of payload");
  }
  auto bench = std::make_unique<Bench>();
  if (options.local == 0) {
    const auto client = session.Connect();
    if (!client.ok()) return client.status();
    bench->connected_ = *client;
    return bench;
  }
  char folder[] = "/tmp/reeve-bench.XXXXXX";
  if (mkdtemp(folder) == nullptr) return absl::InternalError("cannot make a temporary folder");
  bench->folder_ = folder;
  const auto port = FindFreePorts();
  if (!port.ok()) return port.status();
  LocalClusterOptions cluster;
  cluster.state_folder = bench->folder_;
  cluster.port = *port;
  cluster.workers = options.local;
  cluster.slots = options.slots;
  auto started = LocalCluster::Start(cluster, bench->canceller_);
  if (!started.ok()) return started.status();
  bench->cluster_ = std::move(*started);
  bench->client_ =
      std::make_unique<JobClient>(bench->cluster_->address().ToString(), bench->cluster_->token());
  bench->connected_ = bench->client_.get();
  return bench;
}

absl::Status Bench::Describe(Report* report) {
  const auto workers = client().ListWorkers({});
  if (!workers.ok()) return workers.status();
  for (const v1::Worker& worker : workers->workers()) {
    if (worker.state() != v1::Worker::ONLINE) continue;
    ++report->workers;
    for (const v1::LaneStatus& lane : worker.lanes()) {
      if (lane.lane() == v1::THREAD) report->slots += lane.slots();
    }
  }
  const auto cluster = client().GetCluster();
  if (!cluster.ok()) return cluster.status();
  report->master_resident_bytes = cluster->resident_bytes();
  return absl::OkStatus();
}

void Print(Session& session, const Report& report) {
  std::vector<double> rates;
  for (const double seconds : report.seconds)
    rates.push_back(static_cast<double>(report.tasks) / seconds);
  const double median = Percentile(rates, 0.5);
  if (session.console().is_json()) {
    JsonWriter json;
    json.BeginObject().Key("benchmark").String(report.benchmark).Key("tasks").Number(report.tasks);
    json.Key("payload_bytes")
        .Number(uint64_t{report.payload_bytes})
        .Key("workers")
        .Number(report.workers);
    json.Key("slots").Number(report.slots).Key("durability").String(report.durability);
    json.Key("batch").Number(uint64_t{report.batch}).Key("runs").BeginArray();
    for (size_t i = 0; i < rates.size(); ++i) {
      json.BeginObject()
          .Key("seconds")
          .Number(report.seconds[i])
          .Key("tasks_per_second")
          .Number(rates[i])
          .EndObject();
    }
    json.EndArray().Key("median_tasks_per_second").Number(median);
    // Without samples (spawn): null.
    json.Key("p50_us").Number(Percentile(report.latencies_us, 0.5));
    json.Key("p99_us").Number(Percentile(report.latencies_us, 0.99));
    json.Key("results_verified").Number(report.verified);
    json.Key("master_resident_bytes").Number(report.master_resident_bytes);
    for (const auto& [name, value] : report.more) json.Key(name).Number(value);
    session.console().Out(json.EndObject().text() + "\n");
    return;
  }
  std::string text =
      StrCat(report.benchmark, ": ", report.tasks, " tasks, ", report.durability, ", ",
             report.workers, " workers with ", report.slots, " threads in all\n");
  StrAppend(&text, "rate       ", HumanCount(median), " tasks/s (",
            HumanCount(Percentile(rates, 0)), " to ", HumanCount(Percentile(rates, 1)), ", ",
            rates.size(), " runs)\n");
  if (report.batch > 1) StrAppend(&text, "batch      ", report.batch, " tasks a message\n");
  if (!report.latencies_us.empty()) {
    StrAppend(&text, "latency    p50 ", static_cast<int64_t>(Percentile(report.latencies_us, 0.5)),
              " us, p99 ", static_cast<int64_t>(Percentile(report.latencies_us, 0.99)), " us\n");
  }
  StrAppend(&text, "verified   ", report.verified, " of ", report.tasks, " results\n");
  StrAppend(&text, "memory     ", HumanBytes(report.master_resident_bytes), " at the master\n");
  for (const auto& [name, value] : report.more) StrAppend(&text, name, "  ", value, "\n");
  session.console().Out(text);
}

// The task's number in decimal, at the beginning of a payload that is dots otherwise.
void WriteNumber(uint64_t number, char* to) {
  for (uint32_t i = kNumberDigits; i-- > 0; number /= 10)
    to[i] = static_cast<char>('0' + number % 10);
}

bool IsNumber(std::string_view output, uint64_t number, uint32_t bytes) {
  char expected[kNumberDigits];
  WriteNumber(number, expected);
  return output.size() == bytes &&
         output.substr(0, kNumberDigits) == std::string_view(expected, kNumberDigits);
}

v1::JobSpec EchoSpec(const BenchOptions& options) {
  v1::JobSpec spec;
  spec.set_name("bench");
  spec.set_handler("echo");
  spec.set_durability(options.durability == "ephemeral" ? v1::JobSpec::EPHEMERAL
                                                        : v1::JobSpec::DURABLE);
  return spec;
}

// One run of the throughput benchmark.
class ThroughputRun {
 public:
  ThroughputRun(Bench* bench, const BenchOptions& options, uint64_t tasks)
      : bench_(*bench),
        options_(options),
        tasks_(tasks),
        seen_(tasks, false),
        sent_(tasks / options.batch + 1) {}

  absl::Status Run(Report* report);

 private:
  absl::Status Feed(uint64_t job);
  absl::Status Read(uint64_t job, Report* report);

  Bench& bench_;
  const BenchOptions& options_;
  const uint64_t tasks_;
  std::vector<bool> seen_;
  std::vector<std::atomic<double>> sent_;
  double began_ = 0;
  uint64_t verified_ = 0;
};

absl::Status ThroughputRun::Feed(uint64_t job) {
  TaskAppender appender(&bench_.client(), job);
  for (uint64_t at = 0; at < tasks_; at += options_.batch) {
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(options_.batch, tasks_ - at));
    v1::AppendTasksRequest batch;
    batch.set_task_count(count);
    batch.add_input_bytes(options_.payload_bytes);
    std::string* inputs = batch.mutable_inputs();
    inputs->assign(size_t{count} * options_.payload_bytes, '.');
    for (uint32_t i = 0; i < count; ++i)
      WriteNumber(at + i, inputs->data() + size_t{i} * options_.payload_bytes);
    sent_[at / options_.batch].store(Seconds());
    if (absl::Status s = appender.Append(std::move(batch)); !s.ok()) return s;
  }
  if (absl::Status s = appender.Finish(); !s.ok()) return s;
  return bench_.client().CloseJob(job).status();
}

absl::Status ThroughputRun::Read(uint64_t job, Report* report) {
  v1::StreamResultsRequest request;
  request.set_job_id(job);
  request.set_follow(true);
  ResultStream stream(&bench_.client(), &bench_.canceller(), request);
  for (;;) {
    const auto batch = stream.Next();
    if (!batch.ok()) return batch.status();
    if (*batch == nullptr) return absl::OkStatus();
    const double now = Seconds();
    char digits[24];
    (*batch)->ForEach((*batch)->head_runs(), [&](const ResultEntry& entry) {
      bool right;
      if (options_.array) {
        const auto end = std::to_chars(digits, digits + sizeof digits, entry.index).ptr;
        right = entry.output == std::string_view(digits, static_cast<size_t>(end - digits));
      } else {
        right = IsNumber(entry.output, entry.index, options_.payload_bytes);
      }
      if (!right || entry.state != TaskState::kSucceeded || entry.index >= tasks_ ||
          seen_[entry.index])
        return;
      seen_[entry.index] = true;
      ++verified_;
    });
    for (const PositionedRun& run : (*batch)->head_runs()) {
      const double sent = options_.array ? began_ : sent_[run.first / options_.batch].load();
      report->latencies_us.push_back((now - sent) * 1e6);
    }
  }
}

absl::Status ThroughputRun::Run(Report* report) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = EchoSpec(options_);
  if (options_.array) {
    request.mutable_array()->set_step(1);
    request.mutable_array()->set_count(static_cast<uint32_t>(tasks_));
  } else {
    request.set_open(true);
  }
  began_ = Seconds();
  const auto job = bench_.client().CreateJob(request);
  if (!job.ok()) return job.status();
  absl::Status fed;
  std::thread feeder;
  if (!options_.array) feeder = std::thread([&] { fed = Feed(job->job_id()); });
  const absl::Status read = Read(job->job_id(), report);
  report->seconds.push_back(Seconds() - began_);
  if (feeder.joinable()) feeder.join();
  report->verified =
      report->seconds.size() == 1 ? verified_ : std::min(report->verified, verified_);
  return fed.ok() ? read : fed;
}

// A job of one call, from request to end. Returns: the one result's output.
absl::StatusOr<std::string> RunToEnd(JobClient& client, v1::CreateJobRequest request,
                                     v1::TaskCounts* counts) {
  request.set_request_id(MakeUuid());
  grpc::ClientContext context;
  client.Prepare(&context);
  const auto reader = client.jobs().RunJob(&context, request);
  v1::RunJobResponse event;
  std::string output;
  while (reader->Read(&event)) {
    if (event.has_results()) output = event.results().output();
    if (event.has_job()) *counts = event.job().counts();
  }
  if (const absl::Status status = client.Note(reader->Finish()); !status.ok()) return status;
  return output;
}

int ExitFor(const Report& report) {
  return report.verified == report.tasks ? kExitOk : kExitTaskFailed;
}

}  // namespace

absl::StatusOr<int> RunBenchThroughput(Session& session, const BenchOptions& options) {
  auto bench = Bench::Begin(session, options);
  if (!bench.ok()) return bench.status();
  Report report;
  report.benchmark = "throughput";
  report.tasks = options.tasks == 0 ? 1'000'000 : options.tasks;
  report.payload_bytes = options.array ? 0 : options.payload_bytes;
  report.durability = options.durability;
  report.batch = options.array ? 0 : options.batch;
  for (uint32_t i = 0; i < std::max(1u, options.runs); ++i) {
    if (absl::Status s = ThroughputRun(bench->get(), options, report.tasks).Run(&report); !s.ok())
      return s;
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  Print(session, report);
  return ExitFor(report);
}

absl::StatusOr<int> RunBenchLatency(Session& session, const BenchOptions& options) {
  auto bench = Bench::Begin(session, options);
  if (!bench.ok()) return bench.status();
  Report report;
  report.benchmark = "latency";
  report.tasks = options.tasks == 0 ? 1'000 : options.tasks;
  report.payload_bytes = options.payload_bytes;
  report.durability = options.durability;
  report.batch = 1;
  for (uint32_t run = 0; run < std::max(1u, options.runs); ++run) {
    uint64_t verified = 0;
    const double began = Seconds();
    for (uint64_t i = 0; i < report.tasks; ++i) {
      v1::CreateJobRequest request;
      *request.mutable_spec() = EchoSpec(options);
      std::string payload(options.payload_bytes, '.');
      WriteNumber(i, payload.data());
      request.mutable_batch()->set_task_count(1);
      request.mutable_batch()->add_input_bytes(options.payload_bytes);
      request.mutable_batch()->set_inputs(payload);
      v1::TaskCounts counts;
      const double sent = Seconds();
      const auto output = RunToEnd((*bench)->client(), std::move(request), &counts);
      if (!output.ok()) return output.status();
      report.latencies_us.push_back((Seconds() - sent) * 1e6);
      if (*output == payload && counts.succeeded() == 1) ++verified;
    }
    report.seconds.push_back(Seconds() - began);
    report.verified = run == 0 ? verified : std::min(report.verified, verified);
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  Print(session, report);
  return ExitFor(report);
}

absl::StatusOr<int> RunBenchSpawn(Session& session, const BenchOptions& options) {
  auto bench = Bench::Begin(session, options);
  if (!bench.ok()) return bench.status();
  Report report;
  report.benchmark = "spawn";
  report.tasks = options.tasks == 0 ? 2'000 : options.tasks;
  report.durability = options.durability;
  std::vector<double> ratios;
  for (uint32_t run = 0; run < std::max(1u, options.runs); ++run) {
    v1::CreateJobRequest request;
    v1::JobSpec* spec = request.mutable_spec();
    *spec = EchoSpec(options);
    spec->set_handler("exec");
    spec->mutable_command()->add_argv("/bin/true");
    request.mutable_array()->set_step(1);
    request.mutable_array()->set_count(static_cast<uint32_t>(report.tasks));
    v1::TaskCounts counts;
    double began = Seconds();
    const auto ran = RunToEnd((*bench)->client(), std::move(request), &counts);
    if (!ran.ok()) return ran.status();
    report.seconds.push_back(Seconds() - began);
    report.verified =
        run == 0 ? counts.succeeded() : std::min<uint64_t>(report.verified, counts.succeeded());
    began = Seconds();
    const std::string peer = StrCat("seq ", report.tasks, " | xargs -P2 -n1 /bin/true");
    if (system(peer.c_str()) == 0) ratios.push_back((Seconds() - began) / report.seconds.back());
  }
  if (!ratios.empty()) report.more.emplace_back("rate_against_xargs_p2", Percentile(ratios, 0.5));
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  Print(session, report);
  return ExitFor(report);
}

}  // namespace reeve
