#include "worker/lanes/null_lane.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "base/result_batch.h"

namespace reeve {
namespace {

class Sink final : public LaneSink {
 public:
  void OnReport(LaneReport report) override { reports.push_back(std::move(report)); }
  void OnOutput(LaneOutput) override { ADD_FAILURE() << "output of a task that does not run"; }
  std::vector<LaneReport> reports;
};

LaneSpan SpanOf(Run run, uint32_t attempt = 1) {
  LaneSpan span;
  span.key = SpanKey(5);
  span.job = std::make_shared<JobContext>();
  span.run = run;
  span.attempt = attempt;
  return span;
}

TEST(NullLaneTest, EveryTaskOfASpanHasSucceededWithoutOutputWhenStartReturns) {
  Sink sink;
  NullLane lane(4, &sink);
  lane.SetWorkerName("w-3");
  lane.Start(SpanOf({100, 3}, 2));
  ASSERT_EQ(sink.reports.size(), 1u);
  const LaneReport& report = sink.reports[0];
  EXPECT_EQ(report.span, SpanKey(5));
  EXPECT_EQ(report.runs, (std::vector<reeve::Run>{{100, 3}}));
  EXPECT_TRUE(report.failed.empty());
  EXPECT_EQ(report.run_time, absl::ZeroDuration());
  const auto batch = ResultBatch::Parse(Buffer(report.body));
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->body_runs(), (std::vector<PositionedRun>{{100, 3, 0}}));
  EXPECT_TRUE((*batch)->head_runs().empty());
  EXPECT_EQ((*batch)->worker(), "w-3");
  EXPECT_TRUE((*batch)->all_succeeded());
  for (uint32_t i = 0; i < 3; ++i) {
    const ResultEntry entry = (*batch)->Entry(i, 100 + i);
    EXPECT_EQ(entry.output, "");
    EXPECT_EQ(entry.attempt, 2u);
    EXPECT_EQ(entry.run_us, 0u);
    EXPECT_GT(entry.start_us, 0);
  }
}

TEST(NullLaneTest, AMillionTasksTakeAReportOfAFewBytes) {
  Sink sink;
  NullLane lane(4, &sink);
  lane.SetWorkerName("w-3");
  lane.Start(SpanOf({0, 1'000'000}));
  ASSERT_EQ(sink.reports.size(), 1u);
  EXPECT_LT(sink.reports[0].body.size(), 40u);
  EXPECT_TRUE(ResultBatch::Parse(Buffer(sink.reports[0].body)).ok());
}

TEST(NullLaneTest, ASpanBeyondTheBoundOfABatchIsReportedInParts) {
  Sink sink;
  NullLane lane(4, &sink);
  lane.SetWorkerName("w-3");
  lane.Start(SpanOf({7, kMaxBatchEntries + 2}));
  ASSERT_EQ(sink.reports.size(), 2u);
  EXPECT_EQ(sink.reports[0].runs, (std::vector<reeve::Run>{{7, kMaxBatchEntries}}));
  EXPECT_EQ(sink.reports[1].runs, (std::vector<reeve::Run>{{7 + kMaxBatchEntries, 2}}));
  for (const LaneReport& report : sink.reports)
    EXPECT_TRUE(ResultBatch::Parse(Buffer(report.body)).ok());
}

TEST(NullLaneTest, NothingWaitsOrRuns) {
  Sink sink;
  NullLane lane(4, &sink);
  lane.SetWorkerName("w-3");
  lane.Start(SpanOf({0, 10}));
  EXPECT_TRUE(lane.Cut(SpanKey(5), 0).empty());
  EXPECT_TRUE(lane.Cancel(SpanKey(5), {0, 10}).empty());
  EXPECT_TRUE(lane.Running(absl::ZeroDuration(), 10).empty());
  EXPECT_EQ(lane.slots(), 4u);
  EXPECT_EQ(lane.stuck(), 0u);
}

}  // namespace
}  // namespace reeve
