#include "client/bench/throughput.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <memory>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/result_batch.h"
#include "client/result_stream.h"
#include "client/task_appender.h"

namespace reeve {
namespace {

bool IsNumber(std::string_view output, uint64_t number, uint32_t bytes) {
  char expected[kNumberDigits];
  WriteNumber(number, expected);
  return output.size() == bytes &&
         output.substr(0, kNumberDigits) == std::string_view(expected, kNumberDigits);
}

// One job: fed by a thread, read by another.
class Stream {
 public:
  Stream(BenchCluster* bench, const ThroughputOptions& options, uint64_t tasks)
      : bench_(*bench),
        options_(options),
        tasks_(tasks),
        seen_(tasks, false),
        sent_(tasks / options.batch + 1) {}

  absl::Status Run();
  uint64_t verified() const { return verified_; }
  std::vector<double>& latencies_us() { return latencies_us_; }

 private:
  absl::Status Feed(uint64_t job);
  absl::Status Read(uint64_t job);
  void Take(const ResultBatch& batch);
  bool IsRight(const ResultEntry& entry) const;
  // Waits until `at` tasks may have been sent. Returns: false once the reader has ended.
  bool WaitForWindow(uint64_t at) ABSL_LOCKS_EXCLUDED(mu_);

  BenchCluster& bench_;
  const ThroughputOptions& options_;
  const uint64_t tasks_;
  std::vector<bool> seen_;
  std::vector<std::atomic<double>> sent_;  // When each batch was.
  double began_ = 0;
  uint64_t verified_ = 0;
  std::vector<double> latencies_us_;

  Mutex mu_;
  CondVar changed_;
  uint64_t back_ ABSL_GUARDED_BY(mu_) = 0;
  bool has_ended_ ABSL_GUARDED_BY(mu_) = false;
};

bool Stream::WaitForWindow(uint64_t at) {
  if (options_.window == 0) return true;
  MutexLock lock(&mu_);
  while (!has_ended_ && at >= back_ + options_.window) changed_.Wait(&mu_);
  return !has_ended_;
}

absl::Status Stream::Feed(uint64_t job) {
  TaskAppender appender(&bench_.client(), job);
  for (uint64_t at = 0; at < tasks_ && WaitForWindow(at + options_.batch); at += options_.batch) {
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(options_.batch, tasks_ - at));
    v1::AppendTasksRequest batch;
    batch.set_task_count(count);
    batch.add_input_bytes(options_.payload_bytes);
    std::string* inputs = batch.mutable_inputs();
    inputs->assign(size_t{count} * options_.payload_bytes, '.');
    for (uint32_t i = 0; i < count; ++i)
      WriteNumber(at + i, inputs->data() + size_t{i} * options_.payload_bytes);
    sent_[at / options_.batch].store(SteadySeconds());
    if (absl::Status s = appender.Append(std::move(batch)); !s.ok()) return s;
  }
  if (absl::Status s = appender.Finish(); !s.ok()) return s;
  return bench_.client().CloseJob(job).status();
}

bool Stream::IsRight(const ResultEntry& entry) const {
  if (entry.state != TaskState::kSucceeded || entry.index >= tasks_ || seen_[entry.index])
    return false;
  if (options_.expect_empty) return entry.output.empty();
  if (!options_.array) return IsNumber(entry.output, entry.index, options_.payload_bytes);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, entry.index).ptr;
  return entry.output == std::string_view(digits, static_cast<size_t>(end - digits));
}

void Stream::Take(const ResultBatch& batch) {
  const double now = SteadySeconds();
  uint64_t count = 0;
  batch.ForEach(batch.head_runs(), [&](const ResultEntry& entry) {
    ++count;
    if (!IsRight(entry)) return;
    seen_[entry.index] = true;
    ++verified_;
  });
  for (const PositionedRun& run : batch.head_runs()) {
    if (run.first >= tasks_) continue;
    const double sent = options_.array ? began_ : sent_[run.first / options_.batch].load();
    latencies_us_.push_back((now - sent) * 1e6);
  }
  if (options_.window == 0) return;
  MutexLock lock(&mu_);
  back_ += count;
  changed_.NotifyAll();
}

absl::Status Stream::Read(uint64_t job) {
  v1::StreamResultsRequest request;
  request.set_job_id(job);
  request.set_follow(true);
  ResultStream stream(&bench_.client(), &bench_.canceller(), request);
  absl::Status status;
  for (;;) {
    const auto batch = stream.Next();
    if (!batch.ok()) status = batch.status();
    if (!batch.ok() || *batch == nullptr) break;
    Take(**batch);
  }
  MutexLock lock(&mu_);
  has_ended_ = true;
  changed_.NotifyAll();
  return status;
}

absl::Status Stream::Run() {
  v1::CreateJobRequest request;
  if (options_.array) {
    request = ArrayRequest(EchoSpec(options_.ephemeral), tasks_);
  } else {
    *request.mutable_spec() = EchoSpec(options_.ephemeral);
    request.set_open(true);
  }
  began_ = SteadySeconds();
  const auto job = bench_.client().CreateJob(request);
  if (!job.ok()) return job.status();
  absl::Status fed;
  std::thread feeder;
  if (!options_.array) feeder = std::thread([&] { fed = Feed(job->job_id()); });
  const absl::Status read = Read(job->job_id());
  if (feeder.joinable()) feeder.join();
  return fed.ok() ? read : fed;
}

}  // namespace

v1::JobSpec EchoSpec(bool ephemeral) {
  v1::JobSpec spec;
  spec.set_name("bench");
  spec.set_handler("echo");
  spec.set_durability(ephemeral ? v1::JobSpec::EPHEMERAL : v1::JobSpec::DURABLE);
  return spec;
}

v1::CreateJobRequest ArrayRequest(v1::JobSpec spec, uint64_t count) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = std::move(spec);
  request.mutable_array()->set_step(1);
  request.mutable_array()->set_count(static_cast<uint32_t>(count));
  return request;
}

void WriteNumber(uint64_t number, char* to) {
  for (uint32_t i = kNumberDigits; i-- > 0; number /= 10)
    to[i] = static_cast<char>('0' + number % 10);
}

absl::StatusOr<ThroughputResult> RunThroughput(BenchCluster* bench,
                                               const ThroughputOptions& options) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (uint32_t i = 0; i < options.streams; ++i) {
    const uint64_t tasks =
        options.tasks * (i + 1) / options.streams - options.tasks * i / options.streams;
    streams.push_back(std::make_unique<Stream>(bench, options, tasks));
  }
  std::vector<absl::Status> ended(streams.size());
  std::vector<std::thread> others;
  const double began = SteadySeconds();
  for (size_t i = 1; i < streams.size(); ++i)
    others.emplace_back([&, i] { ended[i] = streams[i]->Run(); });
  ended[0] = streams[0]->Run();
  for (std::thread& other : others) other.join();
  ThroughputResult result;
  result.seconds = SteadySeconds() - began;
  for (size_t i = 0; i < streams.size(); ++i) {
    if (!ended[i].ok()) return ended[i];
    result.verified += streams[i]->verified();
    std::vector<double>& samples = streams[i]->latencies_us();
    result.latencies_us.insert(result.latencies_us.end(), samples.begin(), samples.end());
  }
  return result;
}

}  // namespace reeve
