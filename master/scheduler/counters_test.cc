// Counters of a job: what its handlers counted, each task that succeeded once.

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

using Counters = std::map<std::string, int64_t>;

class CountersTest : public testing::Test {
 protected:
  void SetUp() override {
    h_.Join(1, 4);
    CreateJob event;
    event.call = CallId(1);
    event.request_id = "a";
    event.options.handler = "echo";
    event.options.max_attempts = 2;
    event.array_count = 4;  // One is never finished: the job stays.
    h_.Step(std::move(event));
    job_ = std::get<JobReply>(h_.replies.back().body).view.job;
    for (const AssignedSpan& span : h_.TakeAssigned(1)) spans_.push_back(span);
    ASSERT_EQ(spans_.size(), 1u);
  }
  void Finish(reeve::Run run, std::vector<CountedEntry> counted,
              std::vector<FailedEntry> failed = {}) {
    h_.counting = std::move(counted);
    h_.FinishRun(1, job_, spans_[0].lease, run, std::move(failed));
  }
  Counters Now() { return h_.scheduler_.FindJob(job_)->counts.counters; }

  Harness h_;
  JobId job_;
  std::vector<AssignedSpan> spans_;
};

TEST_F(CountersTest, CountsAreWrittenInTheTransactionOfTheirResults) {
  h_.writes.clear();
  h_.auto_commit = false;
  const uint64_t before = h_.last_commit[0];
  Finish({0, 2}, {{0, "a", 5}, {0, "b", -1}, {1, "a", 2}});
  EXPECT_EQ(h_.last_commit[0], before + 1);
  const PutJobState* state = nullptr;
  bool has_results = false;
  for (const Write& write : h_.writes) {
    if (const auto* put = std::get_if<PutJobState>(&write)) state = put;
    has_results = has_results || std::holds_alternative<PutResults>(write);
  }
  EXPECT_TRUE(has_results);
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->counts.counters, (Counters{{"a", 7}, {"b", -1}}));
  EXPECT_EQ(Now(), state->counts.counters);
}

TEST_F(CountersTest, OnlyAdmittedResultsCountAndEachOnce) {
  Finish({1, 1}, {{0, "a", 1}});
  Finish({0, 3}, {{0, "a", 10}, {1, "a", 100}, {2, "a", 1000}});
  EXPECT_EQ(Now(), (Counters{{"a", 1011}}));
}

TEST_F(CountersTest, AFailedAttemptCountsNothing) {
  Finish({0, 3}, {{0, "a", 1}, {2, "a", 1}}, {{1, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_EQ(Now(), (Counters{{"a", 2}}));
}

TEST_F(CountersTest, CountersStayAtTheEndsOfTheirRange) {
  Finish({0, 2}, {{0, "a", INT64_MAX}, {0, "b", INT64_MIN}, {1, "a", 1}, {1, "b", -1}});
  EXPECT_EQ(Now(), (Counters{{"a", INT64_MAX}, {"b", INT64_MIN}}));
}

TEST_F(CountersTest, FurtherNamesAreDroppedAndThatIsCounted) {
  std::vector<CountedEntry> many;
  for (size_t i = 0; i < kMaxCounters; ++i) many.push_back({0, "n" + std::to_string(i), 1});
  many.push_back({1, "n0", 1});
  many.push_back({1, "late", 7});
  many.push_back({2, "later", 7});
  Finish({0, 3}, many);
  const Counters now = Now();
  EXPECT_EQ(now.size(), kMaxCounters + 1);
  EXPECT_EQ(now.at("n0"), 2);
  EXPECT_EQ(now.at(std::string(kCountersDropped)), 2);
}

}  // namespace
}  // namespace reeve
