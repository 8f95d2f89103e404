#include "client/bench/calls.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/uuid.h"
#include "client/bench/bench.h"
#include "client/bench/bench_cluster.h"
#include "client/bench/throughput.h"

namespace reeve {
namespace {

void Take(const v1::RunJobResponse& event, RanJob* ran) {
  if (event.has_results()) ran->output = event.results().output();
  if (event.has_job()) ran->counts = event.job().counts();
}

v1::CreateJobRequest OneTask(uint64_t number, uint32_t payload_bytes, bool ephemeral) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = EchoSpec(ephemeral);
  request.set_request_id(MakeUuid());
  std::string payload(payload_bytes, '.');
  WriteNumber(number, payload.data());
  request.mutable_batch()->set_task_count(1);
  request.mutable_batch()->add_input_bytes(payload_bytes);
  request.mutable_batch()->set_inputs(std::move(payload));
  return request;
}

// What the calls share: who is next, and what came of those before.
struct Calls {
  Calls(JobClient* given_client, Canceller* given_canceller, uint64_t given_count)
      : client(*given_client), canceller(*given_canceller), count(given_count) {}

  JobClient& client;
  Canceller& canceller;
  const uint64_t count;
  uint32_t payload_bytes = 0;
  bool ephemeral = false;
  Mutex mu;
  CondVar changed;
  uint64_t next ABSL_GUARDED_BY(mu) = 0;
  uint32_t running ABSL_GUARDED_BY(mu) = 0;
  absl::Status error ABSL_GUARDED_BY(mu);
  CallsResult result ABSL_GUARDED_BY(mu);
};

// One call after the other, as long as there are any: a chain of `in_flight`.
class Chain final : public grpc::ClientReadReactor<v1::RunJobResponse> {
 public:
  // Deletes itself when nothing is left to call.
  static void Begin(Calls* calls) {
    auto* chain = new Chain(calls);
    chain->CallNext();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    Take(event_, &ran_);
    StartRead(&event_);
  }

  void OnDone(const grpc::Status& status) override {
    Finish(calls_.client.Note(status));
    // A reactor serves one call.
    Begin(&calls_);
    delete this;
  }

 private:
  explicit Chain(Calls* calls) : calls_(*calls) {}

  void CallNext() {
    uint64_t number;
    {
      MutexLock lock(&calls_.mu);
      if (calls_.next == calls_.count || !calls_.error.ok()) {
        --calls_.running;
        calls_.changed.NotifyAll();
        delete this;
        return;
      }
      number = calls_.next++;
    }
    request_ = OneTask(number, calls_.payload_bytes, calls_.ephemeral);
    calls_.client.Prepare(&context_);
    call_.emplace(&calls_.canceller, &context_);
    began_ = SteadySeconds();
    calls_.client.jobs().async()->RunJob(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }

  void Finish(const absl::Status& status) {
    const bool is_right = ran_.output == request_.batch().inputs() && ran_.counts.succeeded() == 1;
    MutexLock lock(&calls_.mu);
    if (!status.ok()) calls_.error = status;
    calls_.result.verified += is_right;
    calls_.result.latencies_us.push_back((SteadySeconds() - began_) * 1e6);
  }

  Calls& calls_;
  grpc::ClientContext context_;
  std::optional<Canceller::Call> call_;
  v1::CreateJobRequest request_;
  v1::RunJobResponse event_;
  RanJob ran_;
  double began_ = 0;
};

// One at a time without gRPC's callback threads, whose wake-ups are not the master's.
absl::StatusOr<CallsResult> RunInTurn(JobClient& client, Canceller& canceller, uint64_t count,
                                      uint32_t payload_bytes, bool ephemeral) {
  CallsResult result;
  for (uint64_t i = 0; i < count; ++i) {
    v1::CreateJobRequest request = OneTask(i, payload_bytes, ephemeral);
    const std::string payload = request.batch().inputs();
    const double sent = SteadySeconds();
    const auto ran = RunToEnd(client, canceller, std::move(request));
    if (!ran.ok()) return ran.status();
    result.latencies_us.push_back((SteadySeconds() - sent) * 1e6);
    result.verified += ran->output == payload && ran->counts.succeeded() == 1;
  }
  return result;
}

absl::StatusOr<CallsResult> RunAtOnce(JobClient& client, Canceller& canceller, uint64_t count,
                                      uint32_t in_flight, uint32_t payload_bytes, bool ephemeral) {
  Calls calls(&client, &canceller, count);
  calls.payload_bytes = payload_bytes;
  calls.ephemeral = ephemeral;
  {
    MutexLock lock(&calls.mu);
    calls.running = in_flight;
  }
  for (uint32_t i = 0; i < in_flight; ++i) Chain::Begin(&calls);
  MutexLock lock(&calls.mu);
  while (calls.running > 0) calls.changed.Wait(&calls.mu);
  if (!calls.error.ok()) return calls.error;
  return std::move(calls.result);
}

}  // namespace

absl::StatusOr<RanJob> RunToEnd(JobClient& client, Canceller& canceller,
                                v1::CreateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  grpc::ClientContext context;
  client.Prepare(&context);
  const Canceller::Call call(&canceller, &context);
  const auto reader = client.jobs().RunJob(&context, request);
  v1::RunJobResponse event;
  RanJob ran;
  while (reader->Read(&event)) Take(event, &ran);
  if (const absl::Status status = client.Note(reader->Finish()); !status.ok()) return status;
  return ran;
}

absl::StatusOr<CallsResult> RunCalls(JobClient& client, Canceller& canceller, uint64_t count,
                                     uint32_t in_flight, uint32_t payload_bytes, bool ephemeral) {
  const double began = SteadySeconds();
  auto result = in_flight <= 1
                    ? RunInTurn(client, canceller, count, payload_bytes, ephemeral)
                    : RunAtOnce(client, canceller, count, in_flight, payload_bytes, ephemeral);
  if (result.ok()) result->seconds = SteadySeconds() - began;
  return result;
}

absl::StatusOr<Report> MeasureLatency(const BenchContext& context, const BenchOptions& options) {
  auto bench = BenchCluster::Begin(context, options);
  if (!bench.ok()) return bench.status();
  const bool is_ephemeral = options.durability == "ephemeral";
  Report report = NewReport("latency", options, options.in_flight > 1 ? 20'000 : 1'000);
  report.batch = 1;
  for (uint32_t i = 0; i < options.runs; ++i) {
    auto run = RunCalls((*bench)->client(), (*bench)->canceller(), report.tasks, options.in_flight,
                        options.payload_bytes, is_ephemeral);
    if (!run.ok()) return run.status();
    report.AddRun(run->seconds, run->verified);
    if (options.in_flight == 1) {
      report.Add(options.durability + "_p50", "ms", Percentile(run->latencies_us, 0.5) / 1e3);
      report.Add(options.durability + "_p99", "ms", Percentile(run->latencies_us, 0.99) / 1e3);
    } else if (options.in_flight == 100 && !is_ephemeral) {
      report.Add("call_rate", "tasks/s", static_cast<double>(report.tasks) / run->seconds);
    }
    report.latencies_us.insert(report.latencies_us.end(), run->latencies_us.begin(),
                               run->latencies_us.end());
  }
  if (absl::Status s = (*bench)->Describe(&report); !s.ok()) return s;
  return report;
}

}  // namespace reeve
