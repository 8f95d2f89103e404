#include "client/bench/bench_cluster.h"

#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "client/exit_code.h"

namespace reeve {
namespace {

constexpr absl::Duration kWorkersWithin = absl::Seconds(60);

absl::Status CheckOptions(const BenchOptions& options) {
  if (options.durability != "durable" && options.durability != "ephemeral") {
    return UsageError("--durability: `durable` or `ephemeral`");
  }
  if (options.payload_bytes < 16 || options.payload_bytes > (1u << 20)) {
    return UsageError("--payload-bytes: 16 to 1,048,576");
  }
  if (options.batch < 1 || uint64_t{options.batch} * options.payload_bytes > (3u << 20)) {
    return UsageError("--batch: at least 1, and at most 3 MiB of payload");
  }
  if (options.acknowledge_only && options.local == 0) {
    return UsageError("--acknowledge-only: needs --local, for workers of that kind");
  }
  return absl::OkStatus();
}

// Of a process of this machine; zeroes if there is none.
ProcessUse UseOf(const std::string& name, uint32_t pid) {
  ProcessUse use{name, 0, 0};
  std::ifstream file(StrCat("/proc/", pid, "/stat"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string line = text.str();
  const size_t end = line.rfind(')');
  if (end == std::string::npos) return use;
  // Fields 3 to 24, as proc(5) numbers them: 14 and 15 are CPU time, 24 resident pages.
  std::istringstream fields(line.substr(end + 1));
  std::string field;
  for (int number = 3; number <= 24 && fields >> field; ++number) {
    const double value = std::strtod(field.c_str(), nullptr);
    if (number == 14 || number == 15) use.cpu_seconds += value / sysconf(_SC_CLK_TCK);
    if (number == 24) use.resident_bytes = static_cast<uint64_t>(value * sysconf(_SC_PAGESIZE));
  }
  return use;
}

}  // namespace

Report NewReport(const std::string& benchmark, const BenchOptions& options, uint64_t tasks) {
  Report report;
  report.benchmark = benchmark;
  report.tasks = options.tasks == 0 ? tasks : options.tasks;
  report.payload_bytes = options.payload_bytes;
  report.durability = options.durability;
  report.batch = options.batch;
  return report;
}

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

absl::StatusOr<std::unique_ptr<BenchCluster>> BenchCluster::Begin(const BenchContext& context,
                                                                  const BenchOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  if (options.local > 0) return Start(context, options.local, options);
  auto bench = std::make_unique<BenchCluster>(context);
  const auto client = context.session.Connect();
  if (!client.ok()) return client.status();
  bench->connected_ = *client;
  auto use = bench->Use();
  if (!use.ok()) return use.status();
  bench->at_begin_ = std::move(*use);
  return bench;
}

absl::StatusOr<std::unique_ptr<BenchCluster>> BenchCluster::Start(const BenchContext& context,
                                                                  uint32_t workers,
                                                                  const BenchOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  auto bench = std::make_unique<BenchCluster>(context);
  const char* parent = std::getenv("TMPDIR");
  std::string folder = StrCat(parent == nullptr ? "/tmp" : parent, "/reeve-bench.XXXXXX");
  if (mkdtemp(folder.data()) == nullptr)
    return absl::FailedPreconditionError(StrCat("cannot make the folder ", folder));
  bench->folder_ = folder;
  const auto port = FindFreePorts();
  if (!port.ok()) return port.status();
  LocalClusterOptions cluster;
  cluster.state_folder = bench->folder_;
  cluster.port = *port;
  cluster.workers = workers;
  cluster.slots = options.slots;
  if (options.encrypt) cluster.listen = {cluster.host};
  cluster.worker_flags = options.worker_flags;
  if (options.acknowledge_only) cluster.worker_flags.push_back("--acknowledge-only");
  auto started = LocalCluster::Start(cluster, bench->canceller_);
  if (!started.ok()) return started.status();
  bench->cluster_ = std::move(*started);
  bench->client_ =
      std::make_unique<JobClient>(bench->cluster_->address().ToString(), bench->cluster_->access());
  bench->connected_ = bench->client_.get();
  auto use = bench->Use();
  if (!use.ok()) return use.status();
  bench->at_begin_ = std::move(*use);
  return bench;
}

BenchCluster::~BenchCluster() {
  client_.reset();
  if (cluster_ != nullptr) cluster_->Stop(absl::Seconds(5));
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

absl::StatusOr<std::vector<ProcessUse>> BenchCluster::Use() {
  const auto cluster = client().GetCluster();
  if (!cluster.ok()) return cluster.status();
  v1::ListWorkersRequest request;
  request.set_page_size(1000);
  const auto workers = client().ListWorkers(request);
  if (!workers.ok()) return workers.status();
  std::vector<ProcessUse> use{UseOf("client", static_cast<uint32_t>(getpid())),
                              UseOf("master", cluster->pid())};
  char here[256] = "";
  gethostname(here, sizeof here - 1);
  for (const v1::Worker& worker : workers->workers()) {
    // Process ids of other machines mean nothing here.
    if (worker.state() == v1::Worker::ONLINE && worker.hostname() == here)
      use.push_back(UseOf(worker.worker(), worker.pid()));
  }
  return use;
}

absl::Status BenchCluster::Describe(Report* report) {
  v1::ListWorkersRequest request;
  request.set_page_size(1000);
  const auto workers = client().ListWorkers(request);
  if (!workers.ok()) return workers.status();
  for (const v1::Worker& worker : workers->workers()) {
    if (worker.state() != v1::Worker::ONLINE) continue;
    ++report->workers;
    for (const v1::LaneStatus& lane : worker.lanes()) {
      if (lane.lane() == v1::THREAD) report->slots += lane.slots();
    }
  }
  const auto bytes = MasterBytes();
  if (!bytes.ok()) return bytes.status();
  report->master_resident_bytes = *bytes;
  auto use = Use();
  if (!use.ok()) return use.status();
  for (ProcessUse& process : *use) {
    for (const ProcessUse& before : at_begin_) {
      if (before.name == process.name) process.cpu_seconds -= before.cpu_seconds;
    }
    // Those of other machines have nothing to show.
    if (process.resident_bytes > 0) report->processes.push_back(std::move(process));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> BenchCluster::MasterBytes() {
  const auto cluster = client().GetCluster();
  if (!cluster.ok()) return cluster.status();
  return cluster->resident_bytes();
}

absl::StatusOr<double> BenchCluster::MasterCpuSeconds() {
  const auto cluster = client().GetCluster();
  if (!cluster.ok()) return cluster.status();
  return UseOf("master", cluster->pid()).cpu_seconds;
}

absl::Status BenchCluster::KillAndStartMaster() { return cluster_->KillAndStart("master"); }

absl::Status BenchCluster::AddWorker(const std::string& name,
                                     const std::vector<std::string>& flags) {
  return cluster_->AddWorker(name, flags);
}

absl::Status BenchCluster::AddWorkers(uint32_t count) {
  for (uint32_t i = 1; i <= count; ++i) {
    const std::string name = StrCat("worker-", i);
    if (absl::Status s = AddWorker(name, {"--state-dir", StrCat(folder_, "/", name)}); !s.ok())
      return s;
  }
  return WaitForWorkers(count);
}

absl::Status BenchCluster::WaitForWorkers(uint64_t count) {
  const double deadline = SteadySeconds() + absl::ToDoubleSeconds(kWorkersWithin);
  for (;;) {
    const auto cluster = client().GetCluster();
    if (!cluster.ok()) return cluster.status();
    if (cluster->worker_count() >= count) return absl::OkStatus();
    if (SteadySeconds() > deadline) {
      return MakeError(
          absl::StatusCode::kDeadlineExceeded, "LOCAL",
          StrCat(cluster->worker_count(), " of ", count, " workers are there after a minute"));
    }
    if (!canceller_.SleepFor(absl::Milliseconds(20))) return absl::CancelledError("interrupted");
  }
}

}  // namespace reeve
