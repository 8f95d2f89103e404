// What tests of lanes that run handlers share.

#ifndef REEVE_WORKER_LANES_LANE_TEST_SINK_H_
#define REEVE_WORKER_LANES_LANE_TEST_SINK_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/input_batch.h"
#include "base/mutex.h"
#include "base/result_batch.h"
#include "gtest/gtest.h"
#include "worker/lanes/lane.h"

namespace reeve {

// Collects reports and lets the test wait for them.
class Sink final : public LaneSink {
 public:
  std::function<void()> on_told;  // Called before anything is taken. Set before the first span.

  void OnReport(LaneReport report) override {
    if (on_told) on_told();
    auto batch = ResultBatch::Parse(Buffer(report.body));
    ASSERT_TRUE(batch.ok());
    MutexLock lock(&mu_);
    uint32_t position = 0;
    for (const reeve::Run& run : report.runs) {
      for (uint32_t i = 0; i < run.count; ++i, ++position) {
        const ResultEntry entry = (*batch)->Entry(position, run.first + i);
        Outcome outcome{
            entry.state, entry.reason, std::string(entry.output), std::string(entry.message), {}};
        for (const LaneReport::Failed& failed : report.failed) {
          if (failed.position == position) outcome.words = failed.words;
        }
        ASSERT_TRUE(outcomes_.emplace(run.first + i, std::move(outcome)).second)
            << "reported twice: " << run.first + i;
      }
    }
    EXPECT_EQ(position, (*batch)->count());
    TakeInputs(report, **batch);
    size_t details = 0;
    for (const LaneReport::Failed& failed : report.failed) details += failed.words.details.size();
    EXPECT_EQ(report.details_bytes, details);
    most_details_ = std::max(most_details_, details);
    for (const CountedEntry& counted : report.counted) {
      EXPECT_EQ((*batch)->State(counted.position), TaskState::kSucceeded);
      counters_[counted.counter] += counted.by;
    }
    changed_.NotifyAll();
  }
  void OnOutput(LaneOutput output) override {
    MutexLock lock(&mu_);
    std::string& log = logs_[output.index];
    EXPECT_EQ(output.offset, log.size());
    EXPECT_EQ(output.stream, 2u);
    log += output.content;
  }
  // What tasks have logged.
  std::map<TaskIndex, std::string> logs() {
    MutexLock lock(&mu_);
    return logs_;
  }

  struct Outcome {
    TaskState state;
    Reason reason;
    std::string output, message;
    LastWords words;
  };
  // What was added, by the entry that added it.
  std::multimap<TaskIndex, std::pair<InputKey, std::string>> inputs() {
    MutexLock lock(&mu_);
    return inputs_;
  }
  // Sums of what was counted.
  std::map<std::string, int64_t> counters() {
    MutexLock lock(&mu_);
    return counters_;
  }
  // In one report.
  size_t most_details() {
    MutexLock lock(&mu_);
    return most_details_;
  }
  std::map<TaskIndex, Outcome> WaitFor(size_t count) {
    MutexLock lock(&mu_);
    while (outcomes_.size() < count) changed_.Wait(&mu_);
    return outcomes_;
  }

 private:
  void TakeInputs(const LaneReport& report, const ResultBatch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto inputs = InputBatch::Parse(Buffer(report.new_inputs));
    ASSERT_TRUE(inputs.ok());
    const std::vector<InputKey> keys = (*inputs)->Keys();
    uint32_t next = 0;
    for (const LaneReport::Added& added : report.added) {
      const PositionedRun* run = nullptr;
      for (const PositionedRun& r : batch.body_runs()) {
        if (r.position <= added.position && added.position < r.position + r.count) run = &r;
      }
      ASSERT_NE(run, nullptr);
      for (uint32_t i = 0; i < added.count; ++i, ++next) {
        inputs_.emplace(run->first + added.position - run->position,
                        std::pair(keys.at(next), std::string((*inputs)->Input(next))));
      }
    }
    EXPECT_EQ(next, (*inputs)->count());
  }

  Mutex mu_;
  CondVar changed_;
  std::map<TaskIndex, Outcome> outcomes_ ABSL_GUARDED_BY(mu_);
  std::multimap<TaskIndex, std::pair<InputKey, std::string>> inputs_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, int64_t> counters_ ABSL_GUARDED_BY(mu_);
  std::map<TaskIndex, std::string> logs_ ABSL_GUARDED_BY(mu_);
  size_t most_details_ ABSL_GUARDED_BY(mu_) = 0;
};

// Inputs 100, 98, 96, …
inline LaneSpan ArraySpan(const std::string& handler, uint32_t count, uint64_t key = 1,
                          absl::Duration limit = absl::InfiniteDuration()) {
  auto job = std::make_shared<JobContext>();
  job->job = JobId(key);
  job->handler = handler;
  job->is_array = true;
  job->array_start = 100;
  job->array_step = -2;
  job->time_limit = limit;
  LaneSpan span;
  span.key = SpanKey(key);
  span.job = job;
  span.run = {0, count};
  return span;
}

// The same span of a job that differs.
inline LaneSpan With(LaneSpan span, const std::function<void(JobContext&)>& change) {
  auto job = std::make_shared<JobContext>(*span.job);
  change(*job);
  span.job = job;
  return span;
}

// Inputs as a client sent them.
inline LaneSpan InputsSpan(const std::string& handler, const std::vector<std::string>& inputs,
                           std::map<std::string, std::string> params = {},
                           absl::Duration limit = absl::InfiniteDuration()) {
  auto job = std::make_shared<JobContext>();
  job->job = JobId(1);
  job->handler = handler;
  job->params = std::move(params);
  job->time_limit = limit;
  std::string blob;
  std::vector<uint32_t> ends;
  for (const std::string& input : inputs) {
    blob += input;
    ends.push_back(static_cast<uint32_t>(blob.size()));
  }
  LaneSpan span;
  span.key = SpanKey(1);
  span.job = job;
  span.run = {0, static_cast<uint32_t>(inputs.size())};
  span.inputs = SpanInputs(Buffer(std::move(blob)), std::move(ends));
  return span;
}

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_LANE_TEST_SINK_H_
