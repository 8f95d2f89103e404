// What became of the calls of handlers.

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

class StatisticsTest : public testing::Test {
 protected:
  static constexpr size_t kNames = Scheduler::kMostHandlers + 2;

  void SetUp() override {
    for (size_t i = 0; i < kNames; ++i)
      h_.offers.push_back({"h" + std::to_string(i), Lane::kThread});
    h_.Join(1, 4);
  }
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
  h_.Finish(
      1, Create("echo", 4),
      {{1, TaskState::kFailed, Reason::kHandlerError}, {2, TaskState::kFailed, Reason::kBadInput}},
      absl::Milliseconds(3));
  const HandlerStats stats = Of("echo");
  EXPECT_EQ(stats.succeeded, 2u);
  EXPECT_EQ(stats.failed,
            (std::map<Reason, uint64_t>{{Reason::kHandlerError, 1}, {Reason::kBadInput, 1}}));
  EXPECT_EQ(stats.times.count(), 4u);
  EXPECT_EQ(stats.run_time, absl::Milliseconds(12));
  EXPECT_GE(stats.times.Percentile(0.5), 3'000u);
  EXPECT_LE(stats.times.Percentile(0.5), 3'375u);
}

// Its time was in the sums, though it is no call.
TEST_F(StatisticsTest, AnAttemptThatIsGivenBackIsNoCall) {
  const AssignedSpan span = Create("echo", 4);
  h_.FinishRun(1, span.job, span.lease, {0, 2}, {{1, TaskState::kCancelled, Reason::kNone}},
               absl::Milliseconds(900));
  h_.FinishRun(1, span.job, span.lease, {2, 2}, {}, absl::Milliseconds(3));
  const HandlerStats stats = Of("echo");
  EXPECT_EQ(stats.succeeded, 3u);
  EXPECT_TRUE(stats.failed.empty());
  EXPECT_EQ(stats.times.count(), 2u);
  EXPECT_EQ(stats.run_time, absl::Milliseconds(6));
}

TEST_F(StatisticsTest, AfterSoManyNamesAllOthersAreOne) {
  const auto name = [](size_t i) { return "h" + std::to_string(i); };
  for (size_t i = 0; i < kNames; ++i) h_.Finish(1, Create(name(i), 1));
  h_.Finish(1, Create(name(0), 1));
  const std::map<std::string, HandlerStats> all = h_.scheduler_.Statistics();
  EXPECT_EQ(all.size(), Scheduler::kMostHandlers + 1);
  EXPECT_EQ(all.at(name(0)).succeeded, 2u);
  EXPECT_EQ(all.at(name(Scheduler::kMostHandlers - 1)).succeeded, 1u);
  EXPECT_FALSE(all.contains(name(Scheduler::kMostHandlers)));
  EXPECT_EQ(all.at(Scheduler::kOtherHandlers).succeeded, 2u);
  EXPECT_EQ(all.at(Scheduler::kOtherHandlers).times.count(), 2u);
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
