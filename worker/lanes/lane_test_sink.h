// What tests of lanes that run handlers share.

#ifndef REEVE_WORKER_LANES_LANE_TEST_SINK_H_
#define REEVE_WORKER_LANES_LANE_TEST_SINK_H_

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result_batch.h"
#include "gtest/gtest.h"
#include "worker/lanes/lane.h"

namespace reeve {

// Collects reports and lets the test wait for them.
class Sink final : public LaneSink {
 public:
  void OnReport(LaneReport report) override {
    auto batch = ResultBatch::Parse(Buffer(report.body));
    ASSERT_TRUE(batch.ok());
    MutexLock lock(&mu_);
    uint32_t position = 0;
    for (const reeve::Run& run : report.runs) {
      for (uint32_t i = 0; i < run.count; ++i, ++position) {
        const ResultEntry entry = (*batch)->Entry(position, run.first + i);
        Outcome outcome{entry.state, entry.reason, std::string(entry.output),
                        std::string(entry.message)};
        ASSERT_TRUE(outcomes_.emplace(run.first + i, std::move(outcome)).second)
            << "reported twice: " << run.first + i;
      }
    }
    EXPECT_EQ(position, (*batch)->count());
    changed_.NotifyAll();
  }
  void OnOutput(LaneOutput) override {}

  struct Outcome {
    TaskState state;
    Reason reason;
    std::string output, message;
  };
  std::map<TaskIndex, Outcome> WaitFor(size_t count) {
    MutexLock lock(&mu_);
    while (outcomes_.size() < count) changed_.Wait(&mu_);
    return outcomes_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::map<TaskIndex, Outcome> outcomes_ ABSL_GUARDED_BY(mu_);
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

}  // namespace reeve

#endif  // REEVE_WORKER_LANES_LANE_TEST_SINK_H_
