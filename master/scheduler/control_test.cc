// Pausing, changing, stopping rules, times, unique keys, retries by rule, retry jobs.

#include "base/error.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

void Fail(Harness* h, const AssignedSpan& span,
          FailedEntry how = {0, TaskState::kFailed, Reason::kHandlerError}) {
  std::vector<FailedEntry> all;
  for (uint32_t i = 0; i < span.run.count; ++i) {
    all.push_back(how);
    all.back().position = i;
  }
  h->Finish(1, span, all, absl::Seconds(1));
}

JobOptions Attempts(uint32_t attempts) {
  JobOptions options;
  options.max_attempts = attempts;
  return options;
}

TEST(ControlTest, APausedJobKeepsWhatRunsAndGetsNothingMoreUntilResumed) {
  Harness h;
  h.Join(1, 2);
  h.Create("a", 10);
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  h.Step(PauseJob{CallId(9), JobId(1)});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kPaused);
  for (const AssignedSpan& span : spans) h.Finish(1, span);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Step(ResumeJob{CallId(10), JobId(1)});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kActive);
  h.RunAll();
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kSucceeded);
}

TEST(ControlTest, AJobHeldAtItsCreationIsPausedAndSoAfterARestart) {
  Harness h;
  h.Join(1, 2);
  CreateJob create = h.CreateWith({}, 2);
  create.hold = true;
  h.CreateIt(create);
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kPaused);
  bool written = false;
  for (const Write& write : h.writes) {
    const auto* put = std::get_if<PutJobState>(&write);
    written = written || (put != nullptr && put->paused);
  }
  EXPECT_TRUE(written);
  JobImage stored = StoredArray(2, 0);
  stored.paused = true;
  Image image = Restarted(std::move(stored));
  image.roster.clear();
  Harness later(std::move(image));
  later.Join(1, 2);
  EXPECT_EQ(Count(later.TakeAssigned(1)), 0u);
  later.Step(ResumeJob{CallId(10), JobId(7)});
  EXPECT_EQ(Count(later.TakeAssigned(1)), 2u);
}

TEST(ControlTest, PriorityAndLimitMayChangeWhileAJobIsQueued) {
  Harness h;
  h.Create("a", 10);
  h.Create("b", 10);
  UpdateJob change{CallId(1), JobId(2), 9, 3};
  h.Step(change);
  h.Join(1, 8);
  std::map<uint64_t, uint64_t> held;
  for (const AssignedSpan& span : h.TakeAssigned(1)) held[span.job.value] += span.run.count;
  EXPECT_EQ(held, (std::map<uint64_t, uint64_t>{{1, 5}, {2, 3}}));
  const auto* put = std::get_if<PutJobOptions>(&h.writes.back());
  (void)put;
  EXPECT_EQ(h.scheduler_.FindJob(JobId(2))->priority, 9);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(2))->max_in_flight, 3u);
}

TEST(ControlTest, OnlyAnEndedJobIsDeleted) {
  Harness h;
  h.Create("a", 1);
  h.Step(DeleteJob{CallId(4), JobId(1)});
  EXPECT_EQ(ErrorReason(h.LastStatus()), "JOB_NOT_ENDED");
  h.Join(1, 1);
  h.RunAll();
  h.writes.clear();
  h.Step(DeleteJob{CallId(5), JobId(1)});
  EXPECT_TRUE(h.LastStatus().ok());
  ASSERT_EQ(h.writes.size(), 2u);  // In both stores.
  EXPECT_EQ(std::get<DropJob>(h.writes[0]).job, JobId(1));
}

// ---- Stop rules ----

TEST(StopRuleTest, SoManyFailuresEndTheJobAndCancelWhatRuns) {
  Harness h;
  h.Join(1, 4);
  JobExtras extras;
  extras.stop.max_failures = 2;
  CreateJob create = h.CreateWith(extras, 100);
  create.options.max_attempts = 1;
  h.CreateIt(create);
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  ASSERT_EQ(Count(spans), 4u);
  h.FinishRun(1, JobId(1), spans[0].lease, {spans[0].run.first, 2},
              {{0, TaskState::kFailed, Reason::kHandlerError},
               {1, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kCancelling);
  EXPECT_EQ(std::get<SendCancel>(h.sends.back().message).runs.size(), 1u);
  h.Step(Released{SessionId(1), {{spans[0].lease, {spans[0].run.first + 2, 2}}}});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kFailed);
  EXPECT_EQ(h.CauseOf(JobId(1)), Cause::kStopRule);
  EXPECT_EQ(h.jobs.back().view.counts.cancelled, 98u);
}

TEST(StopRuleTest, WhatRunsMayEndIfTheJobSaysSo) {
  Harness h;
  h.Join(1, 4);
  JobExtras extras;
  extras.stop.max_failure_percent = 10;
  extras.stop.let_running_end = true;
  CreateJob create = h.CreateWith(extras, 10);
  create.options.max_attempts = 3;
  h.CreateIt(create);
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  ASSERT_EQ(spans.size(), 1u);
  FailedEntry permanent{0, TaskState::kFailed, Reason::kHandlerError, 0, true};
  FailedEntry second = permanent;
  second.position = 1;
  h.FinishRun(1, JobId(1), spans[0].lease, {0, 2}, {permanent, second});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kActive);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->counts.cancelled, 6u);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.FinishRun(1, JobId(1), spans[0].lease, {2, 2},
              {{1, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kFailed);
  const TaskCounts& counts = h.jobs.back().view.counts;
  EXPECT_EQ(counts.succeeded, 1u);
  EXPECT_EQ(counts.failed, 3u);  // Nothing is tried again.
  EXPECT_EQ(counts.cancelled, 6u);
}

TEST(StopRuleTest, TheFirstSuccessEndsTheJobWell) {
  Harness h;
  h.Join(1, 1);
  JobExtras extras;
  extras.stop.first_success = true;
  CreateJob create = h.CreateWith(extras, 10);
  create.options.max_attempts = 1;
  h.CreateIt(create);
  Fail(&h, h.TakeAssigned(1).at(0));
  h.Finish(1, h.TakeAssigned(1).at(0), {}, absl::Seconds(1));
  for (const AssignedSpan& span : h.TakeAssigned(1))
    h.Step(Released{SessionId(1), {{span.lease, span.run}}});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kSucceeded);
  EXPECT_EQ(h.jobs.back().view.counts.cancelled, 8u);
}

// The task went to be tried once the death was recorded, was cancelled then, and the job never
// ended.
TEST(StopRuleTest, AHaltedJobEndsWithTheWorkerThatHadTheLastOfIt) {
  Harness h;
  h.Join(1, 2);
  JobExtras extras;
  extras.stop.first_success = true;
  extras.stop.let_running_end = true;
  h.CreateIt(h.CreateWith(extras, 2));
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  h.FinishRun(1, JobId(1), spans.at(0).lease, {0, 1});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kActive);
  h.Join(2, 2);
  HeldRun suspect{JobId(1), spans.back().birth, {}, {1, 1}, HeldPhase::kRunning};
  h.Join(101, 2, "q", {}, {suspect}, false, "p");
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kSucceeded);
  EXPECT_EQ(h.jobs.back().view.counts.cancelled, 1u);
}

TEST(StopRuleTest, AHaltedJobStaysSoAfterARestart) {
  JobImage stored = StoredArray(10, 4);
  stored.job.options.extras = std::make_shared<const JobExtras>();
  stored.ending = {JobState::kFailed, Cause::kStopRule, true};
  stored.results = {{{0, 1, 0}, TaskState::kFailed}};
  stored.last_seq = 1;
  Harness h(Restarted(std::move(stored)));
  EXPECT_EQ(h.scheduler_.FindJob(JobId(7))->counts.cancelled, 6u);
  h.Join(1, 4);  // It has nothing of it.
  EXPECT_EQ(h.StateOf(JobId(7)), JobState::kFailed);
  EXPECT_EQ(h.jobs.back().view.counts.cancelled, 9u);
}

// ---- Times ----

TEST(TimesTest, NothingStartsBeforeItsTimeAndOneDeadlineIsNamedForIt) {
  Harness h;
  h.Join(1, 4);
  JobExtras extras;
  extras.start_time = h.Now_().wall + absl::Seconds(30);
  h.CreateIt(h.CreateWith(extras, 4));
  EXPECT_EQ(h.scheduler_.FindTask(h.Now_(), JobId(1), 0)->state, TaskState::kScheduled);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->counts.scheduled, 4u);
  h.wall_offset = absl::Hours(5);  // Whatever somebody does to the clock.
  h.Live(absl::Seconds(29));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Live(absl::Seconds(1));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 4u);
}

TEST(TimesTest, AtItsDeadlineAJobIsExpiredAndWhatRunsIsStopped) {
  Harness h;
  h.Join(1, 1);
  JobExtras extras;
  extras.expire_time = h.Now_().wall + absl::Seconds(3);
  h.CreateIt(h.CreateWith(extras, 4));
  const AssignedSpan running = h.TakeAssigned(1).at(0);
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kActive);
  h.Advance(absl::Seconds(1));
  EXPECT_EQ(std::get<SendCancel>(h.sends.back().message).runs.size(), 1u);
  h.Step(Released{SessionId(1), {{running.lease, running.run}}});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kExpired);
  EXPECT_EQ(h.CauseOf(JobId(1)), Cause::kDeadline);
  EXPECT_EQ(h.jobs.back().view.counts.expired, 4u);
  EXPECT_EQ(h.jobs.back().view.counts.cancelled, 0u);
}

TEST(TimesTest, AnOpenJobClosesWhenNothingComesAnyMore) {
  Harness h;
  h.Join(1, 1);
  JobExtras extras;
  extras.close_when_idle = absl::Seconds(10);
  CreateJob create = h.CreateWith(extras, 0);
  create.open = true;
  h.CreateIt(create);
  h.Live(absl::Seconds(9));
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kOpen);
  h.Step(OpenAppender{CallId(70), JobId(1), "a"});
  InputBatchBuilder inputs;
  inputs.Add("x");
  h.Step(AppendTasks{CallId(70), 0, *InputBatch::Parse(Buffer(inputs.Finish())), 1, 1});
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  h.Live(absl::Seconds(12));
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kOpen);  // Something of it runs.
  h.Finish(1, spans.at(0));
  h.Live(absl::Seconds(9));
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kOpen);
  h.Advance(absl::Seconds(1));
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kSucceeded);
}

// ---- Retries by rule ----

TEST(RetryRulesTest, OnlyTheNamedFailuresAreTriedAgain) {
  Harness h;
  h.Join(1, 1);
  JobExtras extras;
  extras.retry.exit_codes = {75};
  extras.retry.reasons = {Reason::kTimeout};
  CreateJob create = h.CreateWith(extras, 3);
  create.options.max_attempts = 5;
  h.CreateIt(create);
  Fail(&h, h.TakeAssigned(1).at(0), {0, TaskState::kFailed, Reason::kExitNonzero, 75});
  Fail(&h, h.TakeAssigned(1).at(0), {0, TaskState::kFailed, Reason::kExitNonzero, 1});
  Fail(&h, h.TakeAssigned(1).at(0), {0, TaskState::kFailed, Reason::kTimeout});
  const TaskCounts counts = h.scheduler_.FindJob(JobId(1))->counts;
  EXPECT_EQ(counts.scheduled, 2u);
  EXPECT_EQ(counts.failed, 1u);
}

TEST(RetryRulesTest, APermanentFailureIsTheLastAndAgainIsNotCounted) {
  Harness h;
  h.Join(1, 1);
  h.Create("a", 1, Attempts(2));
  FailedEntry again{0, TaskState::kFailed, Reason::kHandlerError};
  again.again = absl::Seconds(3);
  for (int i = 0; i < 5; ++i) {
    const AssignedSpan span = h.TakeAssigned(1).at(0);
    EXPECT_EQ(span.attempt, 1u);
    Fail(&h, span, again);
    h.Live(absl::Milliseconds(2'900));
    EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
    h.Live(absl::Milliseconds(200));
  }
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->counts.retried, 0u);
  Fail(&h, h.TakeAssigned(1).at(0), {0, TaskState::kFailed, Reason::kHandlerError, 0, true});
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kFailed);
}

TEST(RetryRulesTest, BackOffStaysBelowItsCap) {
  Harness h;
  h.Join(1, 1);
  JobExtras extras;
  extras.retry.first_backoff = absl::Seconds(20);
  extras.retry.max_backoff = absl::Seconds(30);
  CreateJob create = h.CreateWith(extras, 50);
  create.options.max_attempts = 10;
  h.CreateIt(create);
  absl::Duration longest;
  for (int i = 0; i < 200; ++i) {
    for (const AssignedSpan& span : h.TakeAssigned(1)) {
      Fail(&h, span);
      const auto& put = std::get<PutResults>(h.writes.back());
      for (const RetryOutcome& retry : put.retries)
        longest = std::max(longest, retry.due - h.Now_().wall);
    }
    h.Live(absl::Seconds(1));
  }
  EXPECT_LE(longest, absl::Seconds(30.2));
  EXPECT_GT(longest, absl::Seconds(20));
}

TEST(DetailsTest, WhatAnAttemptLeavesComesWithTheNext) {
  Harness h;
  h.Join(1, 4);
  h.Create("a", 4, Attempts(3));
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  RunningTask running{JobId(1), 2, {}, ""};
  running.details = "row 17";
  h.Beat(1, {running});
  FailedEntry left{1, TaskState::kFailed, Reason::kHandlerError};
  left.details = "row 99";
  h.FinishRun(1, JobId(1), span.lease, {0, 2}, {left});
  // The other one is lost with its worker.
  h.Join(1, 4, "another process");
  h.Live(absl::Seconds(2));
  std::map<TaskIndex, std::string> details;
  for (const AssignedSpan& again : h.TakeAssigned(1)) {
    if (again.details.empty()) continue;
    ASSERT_EQ(again.run.count, 1u);
    details[again.run.first] = again.details;
  }
  EXPECT_EQ(details, (std::map<TaskIndex, std::string>{{1, "row 99"}, {2, "row 17"}}));
}

TEST(DetailsTest, TheRecordOfAnAttemptThatEndedHasWhatItLeft) {
  Harness h;
  h.Join(1, 4);
  h.Create("a", 4, Attempts(3));
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  std::vector<RunningTask> running = {{JobId(1), 2, {}, "", "row 17"},
                                      {JobId(1), 3, {}, "", "row 5"}};
  h.Beat(1, running);
  FailedEntry left{1, TaskState::kFailed, Reason::kHandlerError};
  left.details = "row 99";
  h.FinishRun(1, JobId(1), span.lease, {0, 2}, {left});
  h.FinishRun(1, JobId(1), span.lease, {3, 1}, {{0, TaskState::kFailed, Reason::kHandlerError}});
  // Its worker process ends, and the note of it names the other one.
  HeldRun culprit = Held(span, {2, 1});
  h.Join(101, 4, "another process", {}, {culprit}, true);
  std::map<TaskIndex, std::string> recorded;
  for (const Write& write : h.writes) {
    const auto* put = std::get_if<PutResults>(&write);
    if (put == nullptr) continue;
    for (const RetryOutcome& retry : put->retries) recorded[retry.run.first] = retry.details;
  }
  EXPECT_EQ(recorded, (std::map<TaskIndex, std::string>{{1, "row 99"}, {2, "row 17"}, {3, ""}}));
}

TEST(DetailsTest, AJobShowsWhatATaskOfItThatRunsSays) {
  Harness h;
  h.Join(1, 1);
  h.Create("a", 1);
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  h.Beat(1, {{JobId(1), 0, 420, "page 7", ""}});
  ASSERT_TRUE(h.scheduler_.FindJob(JobId(1))->said.has_value());
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->said->permille, 420u);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->said->note, "page 7");
  h.Finish(1, span, {{0, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_FALSE(h.scheduler_.FindJob(JobId(1))->said.has_value());
}

// ---- Unique keys ----

TEST(UniqueTest, ASecondJobIsRefusedAttachedOrReplaces) {
  Harness h;
  JobExtras extras;
  extras.unique_key = "nightly";
  h.CreateIt(h.CreateWith(extras));
  h.Step(h.CreateWith(extras));
  EXPECT_EQ(ErrorReason(h.LastStatus()), "UNIQUE_KEY_TAKEN");
  extras.unique_policy = UniquePolicy::kAttach;
  EXPECT_EQ(h.CreateIt(h.CreateWith(extras)), JobId(1));
  CreateJob of_another = h.CreateWith(extras);
  of_another.options.owner = "bob";
  EXPECT_EQ(h.CreateIt(of_another), JobId(2));
  extras.unique_policy = UniquePolicy::kReplace;
  EXPECT_EQ(h.CreateIt(h.CreateWith(extras)), JobId(3));
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kCancelled);
  EXPECT_EQ(h.CauseOf(JobId(1)), Cause::kReplaced);
  h.Join(1, 4);
  h.RunAll();
  extras.unique_policy = UniquePolicy::kReject;
  EXPECT_EQ(h.CreateIt(h.CreateWith(extras)), JobId(4));  // Free again.
}

// ---- Retry jobs ----

TEST(RetryJobTest, ItHasTheIndexesOfTheOtherAndOnlyTheSelectedTasks) {
  Harness h;
  h.Join(1, 8);
  JobExtras extras;
  extras.retry_of = JobId(77);
  CreateJob create = h.CreateWith(extras, 10);
  create.selected = {{2, 1}, {5, 2}};
  const JobId id = h.CreateIt(create);
  EXPECT_EQ(h.scheduler_.FindJob(id)->counts.total, 3u);
  EXPECT_FALSE(h.scheduler_.FindTask(h.Now_(), id, 0).has_value());
  std::vector<TaskIndex> indexes;
  for (const AssignedSpan& span : h.TakeAssigned(1)) {
    for (TaskIndex i = span.run.first; i < span.run.end(); ++i) indexes.push_back(i);
    h.Finish(1, span);
  }
  EXPECT_EQ(indexes, (std::vector<TaskIndex>{2, 5, 6}));
  EXPECT_EQ(h.StateOf(id), JobState::kSucceeded);
}

TEST(RetryJobTest, ItsInputsAreThoseOfTheOther) {
  Harness h;
  h.Join(1, 8);
  JobExtras extras;
  extras.retry_of = JobId(77);
  CreateJob create = h.CreateWith(extras, 0);
  create.chunks = {{{0, 3}, 30, nullptr, {}}, {{3, 3}, 30, nullptr, {}}};
  create.selected = {{4, 1}};
  const JobId id = h.CreateIt(create);
  ASSERT_EQ(h.loads.size(), 1u);
  EXPECT_EQ(h.loads[0].job, id);
  EXPECT_EQ(h.loads[0].first, 3u);
  int shared = 0;
  for (const Write& write : h.writes) {
    const auto* put = std::get_if<PutInputs>(&write);
    if (put == nullptr) continue;
    EXPECT_EQ(put->source, JobId(77));
    ++shared;
  }
  EXPECT_EQ(shared, 2);
  InputBatchBuilder inputs;
  for (int i = 0; i < 3; ++i) inputs.Add("0123456789");
  h.Step(InputsLoaded{id, 3, *InputBatch::Parse(Buffer(inputs.Finish()))});
  h.RunAll();
  EXPECT_EQ(h.StateOf(id), JobState::kSucceeded);
}

// It was taken, and what it was to run could not be read: whoever asks looks at the store first,
// and the deletion came in between.
TEST(RetryJobTest, AJobDeletedJustNowIsNotTriedAgain) {
  Harness h;
  h.Join(1, 8);
  h.Step(DeleteJob{CallId(90), JobId(77)});
  ASSERT_TRUE(h.LastStatus().ok());
  h.writes.clear();
  JobExtras extras;
  extras.retry_of = JobId(77);
  CreateJob create = h.CreateWith(extras, 0);
  create.chunks = {{{0, 3}, 30, nullptr, {}}};
  create.selected = {{1, 1}};
  h.Step(create);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "JOB_NOT_FOUND");
  EXPECT_TRUE(h.writes.empty());
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
}

// They were counted as none at all.
TEST(RetryJobTest, SharedInputsNeedRoomLikeAnyOther) {
  SchedulerOptions options;
  options.max_queued_payload_tasks = 5;
  Harness h(Harness::Fresh(), options);
  JobExtras extras;
  extras.retry_of = JobId(77);
  CreateJob create = h.CreateWith(extras, 0);
  create.chunks = {{{0, 3}, 30, nullptr, {}}, {{3, 3}, 30, nullptr, {}}};
  create.selected = {{2, 2}};
  h.Step(create);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "QUEUE_FULL");
  create.selected = {{3, 3}};  // Nothing of the first chunk.
  h.Step(create);
  EXPECT_TRUE(h.LastStatus().ok()) << h.LastStatus();
  EXPECT_EQ(h.scheduler_.totals().queued_bytes, 30u);
}

}  // namespace
}  // namespace reeve
