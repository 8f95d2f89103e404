// `reeve bench http`: tasks that wait for a server, all at once.

#include <string>
#include <utility>
#include <vector>

#include "base/descriptor_limit.h"
#include "base/strings.h"
#include "client/bench/bench.h"
#include "client/bench/bench_cluster.h"
#include "client/bench/checked_tasks.h"
#include "client/bench/slow_server.h"
#include "client/bench/throughput.h"

namespace reeve {
namespace {

constexpr absl::Duration kAnswersAfter = absl::Seconds(1);

// What the result of task `index` must hold: the answer to its own request.
bool IsRight(const ResultEntry& entry, uint64_t index) {
  return entry.state == TaskState::kSucceeded &&
         entry.output.find("\"status\":200") != std::string_view::npos &&
         entry.output.find(StrCat("\"body\":\"/", index, "\"")) != std::string_view::npos;
}

absl::StatusOr<uint64_t> RunRequests(BenchCluster* bench, uint16_t port, uint64_t count) {
  v1::JobSpec spec = EchoSpec(false);
  spec.set_handler("http");
  std::vector<std::string> urls;
  for (uint64_t i = 0; i < count; ++i) urls.push_back(StrCat("http://127.0.0.1:", port, "/", i));
  return RunChecked(bench, std::move(spec), urls, IsRight);
}

}  // namespace

absl::StatusOr<Report> MeasureHttp(const BenchContext& context, const BenchOptions& options) {
  Report report = NewReport("http", options, 10'000);
  report.payload_bytes = report.batch = 0;
  RaiseDescriptorLimit();
  const auto server = SlowServer::Start(kAnswersAfter);
  if (!server.ok()) return server.status();
  BenchOptions one = options;
  one.local = 1;
  const std::string places = StrCat(report.tasks);
  one.worker_flags = {
      "--async-slots", places, "--http-connections", places, "--http-connections-per-host", places};
  auto bench = BenchCluster::Begin(context, one);
  if (!bench.ok()) return bench.status();
  for (uint32_t i = 0; i < options.runs; ++i) {
    const double began = SteadySeconds();
    const auto right = RunRequests(bench->get(), (*server)->port(), report.tasks);
    if (!right.ok()) return right.status();
    report.AddRun(SteadySeconds() - began, *right);
    if (report.tasks == 10'000) report.Add("http_seconds", "s", report.seconds.back());
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  for (const ProcessUse& process : report.processes) {
    if (process.name == "w-1" && report.tasks == 10'000)
      report.Add("http_mib", "MiB", static_cast<double>(process.resident_bytes) / (1 << 20));
  }
  return report;
}

}  // namespace reeve
