// Jobs that wait for other jobs.

#include "base/error.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

using Condition = JobDependency::Condition;

JobExtras After(std::vector<JobDependency> after) {
  JobExtras extras;
  extras.after = std::move(after);
  return extras;
}

void FinishAll(Harness* h, uint64_t job, bool well = true) {
  for (const AssignedSpan& span : h->TakeAssigned(1)) {
    ASSERT_EQ(span.job.value, job);
    std::vector<FailedEntry> failed;
    for (uint32_t i = 0; !well && i < span.run.count; ++i)
      failed.push_back({i, TaskState::kFailed, Reason::kBadInput});
    h->Finish(1, span, failed);
  }
}

TEST(DependenciesTest, AJobBeginsWhenTheEndOfTheOneBeforeIsDurable) {
  Harness h;
  h.Join(1, 4);
  h.Create("first", 2);
  const JobId second = h.CreateIt(h.CreateWith(After({{JobId(1)}}), 3));
  EXPECT_EQ(h.scheduler_.FindJob(second)->counts.blocked, 3u);
  EXPECT_EQ(h.scheduler_.FindTask(h.Now_(), second, 0)->state, TaskState::kBlocked);
  h.auto_commit = false;
  FinishAll(&h, 1);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);  // Its last result could still be undone.
  h.auto_commit = true;
  h.Commit();
  h.Take();
  EXPECT_EQ(Count(h.TakeAssigned(1)), 3u);
}

TEST(DependenciesTest, FanInWaitsForAll) {
  Harness h;
  h.Create("a", 1);
  h.Create("b", 1);
  const JobId joined = h.CreateIt(h.CreateWith(After({{JobId(1)}, {JobId(2)}})));
  h.Join(1, 1);
  FinishAll(&h, 1);
  EXPECT_EQ(h.scheduler_.FindJob(joined)->counts.blocked, 1u);
  FinishAll(&h, 2);
  FinishAll(&h, joined.value);
  EXPECT_EQ(h.StateOf(joined), JobState::kSucceeded);
}

TEST(DependenciesTest, AFailureCancelsWhatNeedsSuccessAllTheWayAndLetsTheRestRun) {
  Harness h;
  h.Join(1, 4);
  h.Create("first", 1);
  const JobId needs = h.CreateIt(h.CreateWith(After({{JobId(1), Condition::kSuccess}})));
  const JobId needs_that = h.CreateIt(h.CreateWith(After({{needs, Condition::kSuccess}})));
  const JobId on_failure = h.CreateIt(h.CreateWith(After({{JobId(1), Condition::kFailure}})));
  const JobId at_end = h.CreateIt(h.CreateWith(After({{needs_that, Condition::kEnd}})));
  FinishAll(&h, 1, false);
  EXPECT_EQ(h.StateOf(needs), JobState::kCancelled);
  EXPECT_EQ(h.CauseOf(needs), Cause::kDependency);
  EXPECT_EQ(h.StateOf(needs_that), JobState::kCancelled);
  std::map<uint64_t, uint64_t> held;
  for (const AssignedSpan& span : h.TakeAssigned(1)) held[span.job.value] += span.run.count;
  EXPECT_EQ(held, (std::map<uint64_t, uint64_t>{{on_failure.value, 1}, {at_end.value, 1}}));
}

TEST(DependenciesTest, ASkippedJobLetsThoseBehindItGoOn) {
  Harness h;
  h.Join(1, 4);
  h.Create("first", 1);
  JobExtras skip = After({{JobId(1), Condition::kFailure}});
  skip.skip_if_unmet = true;
  const JobId skipped = h.CreateIt(h.CreateWith(skip));
  const JobId behind = h.CreateIt(h.CreateWith(After({{skipped, Condition::kSuccess}})));
  FinishAll(&h, 1);
  EXPECT_EQ(h.StateOf(skipped), JobState::kCancelled);
  EXPECT_EQ(h.CauseOf(skipped), Cause::kSkipped);
  FinishAll(&h, behind.value);
  EXPECT_EQ(h.StateOf(behind), JobState::kSucceeded);
}

TEST(DependenciesTest, AChainOfAHundredThousandEndsWithoutRecursion) {
  Harness h;
  h.Create("first", 1);
  JobId last(1);
  for (int i = 0; i < 20'000; ++i) {
    CreateJob create = h.CreateWith(After({{last}}));
    h.scheduler_.Step(h.Now_(), std::move(create));
    last = JobId(last.value + 1);
  }
  h.Step(CancelJob{CallId(1), JobId(1)});
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
  EXPECT_EQ(h.CauseOf(last), Cause::kDependency);
}

TEST(DependenciesTest, AnEndedJobCountsAsItEndedAndAnUnknownOneIsRefused) {
  Harness h;
  h.Join(1, 4);
  CreateJob create = h.CreateWith(After({{JobId(900)}}));
  h.Step(create);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "JOB_NOT_FOUND");
  create.request_id = "again";
  create.ended = {{JobId(900), JobState::kSucceeded}};
  h.Step(create);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 1u);
  create.request_id = "and again";
  create.ended = {{JobId(900), JobState::kFailed}};
  h.Step(create);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  EXPECT_EQ(h.StateOf(JobId(2)), JobState::kCancelled);
}

TEST(DependenciesTest, ResultsOfTheJobBeforeComeWithTheTasks) {
  Harness h;
  h.Join(1, 4);
  h.Create("first", 1);
  JobDependency before{JobId(1), Condition::kSuccess, true, "input"};
  h.CreateIt(h.CreateWith(After({before})));
  EXPECT_TRUE(h.results_wanted.empty());
  FinishAll(&h, 1);
  ASSERT_EQ(h.results_wanted.size(), 1u);
  EXPECT_EQ(h.results_wanted[0].of, std::vector<JobDependency>{before});
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Step(ResultsLoaded{JobId(2), Buffer(std::string("brief")), Reason::kNone});
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].brief.view(), "brief");
}

TEST(DependenciesTest, ResultsThatCannotBeReadFailTheTasks) {
  Harness h;
  h.Join(1, 4);
  h.Create("first", 1);
  h.CreateIt(h.CreateWith(After({{JobId(1), Condition::kSuccess, true, ""}})));
  FinishAll(&h, 1);
  h.Step(ResultsLoaded{JobId(2), {}, Reason::kBadInput});
  EXPECT_EQ(h.StateOf(JobId(2)), JobState::kFailed);
}

// A job with a shared input of 3 MiB and results of 2 MiB made a frame that no worker takes.
TEST(DependenciesTest, ResultsThatDoNotFitAFrameWithTheJobFailTheTasks) {
  for (const uint32_t over : {0, 1}) {
    Harness h;
    h.Join(1, 4);
    h.Create("first", 1);
    CreateJob create = h.CreateWith(After({{JobId(1), Condition::kSuccess, true, ""}}));
    create.record = Buffer(std::string(3u << 20, 'r'));
    h.CreateIt(create);
    FinishAll(&h, 1);
    h.Step(ResultsLoaded{JobId(2), Buffer(std::string((768u << 10) + over, 'b')), Reason::kNone});
    EXPECT_EQ(Count(h.TakeAssigned(1)), 1u - over);
    EXPECT_EQ(h.StateOf(JobId(2)), over != 0 ? JobState::kFailed : JobState::kActive);
  }
}

TEST(DependenciesTest, SeveralJobsAreCreatedAllOrNone) {
  Harness h;
  h.Join(1, 4);
  CreateJobs graph;
  graph.call = CallId(50);
  graph.request_id = "graph";
  graph.content_hash = 5;
  graph.jobs.push_back(h.CreateWith({}, 2));
  graph.jobs.push_back(h.CreateWith(After({{JobId(CreateJobs::kPlaceBit | 1)}}), 1));
  CreateJobs bad = graph;
  bad.request_id = "bad";
  bad.jobs[1].options.handler = "nobody has it";
  h.Step(bad);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "NO_SUCH_HANDLER");
  EXPECT_EQ(h.LastStatus().message().substr(0, 9), "jobs[1]: ");
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
  h.Step(graph);
  ASSERT_TRUE(h.LastStatus().ok());
  const auto views = std::get<JobsReply>(h.replies.back().body).views;
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[1].counts.blocked, 1u);
  h.Step(graph);  // Once, however often it is asked for.
  EXPECT_EQ(std::get<JobsReply>(h.replies.back().body).views[1].job, views[1].job);
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 2u);
  FinishAll(&h, views[0].job.value);
  FinishAll(&h, views[1].job.value);
  EXPECT_EQ(h.StateOf(views[1].job), JobState::kSucceeded);
}

// Each was looked at alone: together they were more than there was room for.
TEST(DependenciesTest, JobsCreatedTogetherNeedRoomTogether) {
  SchedulerOptions options;
  options.max_active_jobs_per_owner = 2;
  Harness h(Harness::Fresh(), options);
  h.Join(1, 4);
  h.Step(UpdateQueue{CallId(60), "small", {}, {}, {}, {}, 5, {}});
  CreateJobs graph;
  graph.call = CallId(50);
  graph.request_id = "three of one owner";
  for (int i = 0; i < 3; ++i) {
    graph.jobs.push_back(h.CreateWith({}, 3));
    graph.jobs.back().options.owner = "ann";
  }
  h.Step(graph);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "QUEUE_FULL");
  EXPECT_EQ(h.LastStatus().message().substr(0, 9), "jobs[2]: ");
  graph.jobs.pop_back();
  graph.request_id = "six tasks for a queue";
  for (CreateJob& job : graph.jobs) job.options.queue = "small";
  h.Step(graph);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "QUEUE_FULL");
  EXPECT_EQ(h.LastStatus().message().substr(0, 9), "jobs[1]: ");
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
  graph.request_id = "five";
  graph.jobs[1].array_count = 2;
  h.Step(graph);
  EXPECT_TRUE(h.LastStatus().ok()) << h.LastStatus();
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 2u);
}

// It was taken as one that had ended, and cancelled after a restart.
TEST(DependenciesTest, AJobDeletedJustNowIsNoneToDependOn) {
  Harness h;
  h.Join(1, 4);
  h.Step(DeleteJob{CallId(90), JobId(77)});
  CreateJob create = h.CreateWith(After({{JobId(77)}}), 1);
  create.ended = {{JobId(77), JobState::kSucceeded}};
  h.Step(create);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "JOB_NOT_FOUND");
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
}

TEST(DependenciesTest, AfterARestartAJobWaitsForWhatHasNotEnded) {
  JobImage before = StoredArray(1, 0);
  JobImage waiting = StoredArray(2, 0);
  waiting.job.view.job = JobId(9);
  waiting.job.options.extras = std::make_shared<const JobExtras>(After({{JobId(7)}, {JobId(5)}}));
  waiting.ended = {{JobId(5), JobState::kSucceeded}};
  Image image = Restarted(std::move(before));
  image.roster.clear();
  image.jobs.push_back(std::move(waiting));
  Harness h(std::move(image));
  h.Join(1, 4);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(9))->counts.blocked, 2u);
  FinishAll(&h, 7);
  FinishAll(&h, 9);
  EXPECT_EQ(h.StateOf(JobId(9)), JobState::kSucceeded);
}

}  // namespace
}  // namespace reeve
