// What became of the calls of handlers.

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

class StatisticsTest : public testing::Test {
 protected:
  void SetUp() override { h_.Join(1, 4); }
  AssignedSpan Create(const std::string& handler, uint32_t count, uint32_t attempts = 2) {
    CreateJob event;
    event.call = CallId(++created_);
    event.request_id = std::to_string(created_);
    event.options.handler = handler;
    event.options.max_attempts = attempts;
    event.array_count = count;
    h_.Step(std::move(event));
    const std::vector<AssignedSpan> spans = h_.TakeAssigned(1);
    EXPECT_EQ(spans.size(), 1u);
    return spans.at(0);
  }
  HandlerStats Of(const std::string& handler) { return h_.scheduler_.Statistics()[handler]; }

  Harness h_;
  uint64_t created_ = 0;
};

TEST_F(StatisticsTest, CallsAreCountedByOutcomeAlsoThoseThatAreTriedAgain) {
  h_.Finish(1, Create("echo", 4),
            {{1, TaskState::kFailed, Reason::kHandlerError},
             {2, TaskState::kFailed, Reason::kBadInput},
             {3, TaskState::kCancelled, Reason::kNone}},
            absl::Milliseconds(3));
  const HandlerStats stats = Of("echo");
  EXPECT_EQ(stats.succeeded, 1u);
  EXPECT_EQ(stats.failed,
            (std::map<Reason, uint64_t>{{Reason::kHandlerError, 1}, {Reason::kBadInput, 1}}));
  EXPECT_EQ(stats.times.count(), 4u);
  EXPECT_EQ(stats.run_time, absl::Milliseconds(12));
  EXPECT_GE(stats.times.Percentile(0.5), 3'000u);
  EXPECT_LE(stats.times.Percentile(0.5), 3'375u);
}

TEST_F(StatisticsTest, ACallCountsOnceAndSupersededOnesDoNot) {
  const AssignedSpan span = Create("echo", 4);
  h_.FinishRun(1, span.job, span.lease, {0, 2});
  h_.FinishRun(1, span.job, span.lease, {0, 3});
  const HandlerStats stats = Of("echo");
  EXPECT_EQ(stats.succeeded, 3u);
  EXPECT_TRUE(stats.failed.empty());
  EXPECT_EQ(stats.times.count(), 2u) << "of batches that are recorded whole";
}

TEST_F(StatisticsTest, AResetBeginsAnewForJobsThatRunToo) {
  const AssignedSpan span = Create("echo", 4);
  h_.FinishRun(1, span.job, span.lease, {0, 2});
  h_.scheduler_.ResetStatistics();
  EXPECT_TRUE(h_.scheduler_.Statistics().empty());
  h_.FinishRun(1, span.job, span.lease, {2, 1});
  EXPECT_EQ(Of("echo").succeeded, 1u);
}

}  // namespace
}  // namespace reeve
