// What a master makes of the store that another one left behind.

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

TEST(RecoveryTest, AfterARestartUnfinishedTasksBelowTheFrontierWaitForTheirWorkers) {
  JobImage job = StoredArray(100, 50);
  job.results.push_back({{0, 10, 0}, TaskState::kSucceeded});
  Harness h(Restarted(job));
  h.Join(2, 100);
  // A stranger gets what lies beyond the frontier at once, and nothing below.
  const std::vector<AssignedSpan> beyond = h.TakeAssigned(2);
  ASSERT_FALSE(beyond.empty());
  for (const AssignedSpan& span : beyond) EXPECT_GE(span.run.first, 50u);
  h.Join(1, 4, "p", {{JobId(7), {Epoch(1), 3}, {Epoch(1), LeaseSeq(5)}, {10, 20}}});
  const auto& welcome = std::get<SendWelcome>(h.sends.back().message);
  ASSERT_EQ(welcome.runs.size(), 1u);
  EXPECT_EQ(welcome.runs[0].run, (reeve::Run{10, 20}));
  EXPECT_TRUE(bool(welcome.runs[0].lease));
  h.FinishRun(1, JobId(7), welcome.runs[0].lease, {10, 20});
  for (const AssignedSpan& span : beyond) h.Finish(2, span);
  h.RunAll();
  EXPECT_EQ(h.jobs.back().view.state, JobState::kSucceeded);
  EXPECT_EQ(h.jobs.back().view.counts.succeeded, 100u);
}

TEST(RecoveryTest, AnAttemptThatBeganBeforeARestartIsClaimedAlthoughTheWallClockWentBack) {
  // It was taken for a retry that still waits, dropped, and run again.
  JobImage stored = StoredArray(1, 1);
  const absl::Time due = absl::FromUnixSeconds(1'000'000) + absl::Seconds(160);
  stored.retries.push_back(
      {{0, 1}, Reason::kHandlerError, 1, 0, 0, due, {Epoch(1), LeaseSeq(3)}, 0});
  for (const bool due_passes : {false, true}) {
    Harness h(Restarted(stored));
    if (due_passes) h.clock_ = absl::Seconds(100) + absl::Seconds(29);
    HeldRun held{JobId(7), {Epoch(1), 3}, {Epoch(1), LeaseSeq(5)}, {0, 1}, HeldPhase::kQueued};
    h.Join(1, 1, "p", {held});
    const auto& welcome = std::get<SendWelcome>(h.sends.back().message);
    ASSERT_EQ(welcome.runs.size(), 1u);
    EXPECT_TRUE(welcome.runs[0].lease);
  }
}

// Any job that asks for something special waited as long as a handler may ask for.
TEST(RecoveryTest, ABackOffIsNotLongerThanItsRulesAlthoughTheWallClockWentBack) {
  JobImage stored = StoredArray(1, 0);
  stored.job.options.extras = std::make_shared<const JobExtras>();
  const absl::Time due = absl::FromUnixSeconds(1'000'000) + absl::Hours(10);
  stored.retries.push_back(
      {{0, 1}, Reason::kHandlerError, 1, 0, 0, due, {Epoch(1), LeaseSeq(3)}, 0});
  Harness h(Restarted(stored));
  h.Join(1, 1);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Live(absl::Minutes(6));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 1u);
}

TEST(RecoveryTest, TheNextAttemptHasWhatTheOneBeforeTheRestartLeft) {
  JobImage stored = StoredArray(4, 4);
  const auto left = [&stored](TaskIndex index, const std::string& details) {
    RetryOutcome& retry = stored.retries.emplace_back();
    retry.run = {index, 1};
    retry.reason = Reason::kHandlerError;
    retry.failed_attempts = 1;
    retry.due = absl::FromUnixSeconds(1'000'000) + absl::Seconds(110);
    retry.details = details;
  };
  left(0, "row 1");
  left(0, "row 2");
  left(1, "row 3");
  left(1, "");
  left(2, "row 4");
  left(3, "row 5");
  stored.results.push_back({{3, 1, 0}, TaskState::kSucceeded});
  Harness h(Restarted(stored));
  h.Join(1, 4);
  h.Live(absl::Seconds(12));
  std::map<TaskIndex, std::string> details;
  for (const AssignedSpan& span : h.TakeAssigned(1)) {
    EXPECT_TRUE(span.details.empty() || span.run.count == 1u);
    for (TaskIndex i = span.run.first; i < span.run.end(); ++i) details[i] = span.details;
  }
  EXPECT_EQ(details, (std::map<TaskIndex, std::string>{{0, "row 2"}, {1, ""}, {2, "row 4"}}));
}

TEST(RecoveryTest, AFailureWhoseAcknowledgementWasLostIsNotCountedAgainAfterARestart) {
  // Its worker still owed it, the new life of the master took it for the next attempt.
  JobImage stored = StoredArray(1, 1);
  stored.retries.push_back(
      {{0, 1}, Reason::kHandlerError, 1, 0, 0, absl::UnixEpoch(), {Epoch(1), LeaseSeq(4)}});
  Harness h(Restarted(stored));
  AssignedSpan span;
  span.job = JobId(7);
  span.birth = {Epoch(1), 3};
  span.lease = LeaseSeq(4);
  h.Join(1, 1, "p", {Held(span, {0, 1})});
  const auto welcome = std::get<SendWelcome>(h.sends.at(0).message);
  ASSERT_EQ(welcome.runs.size(), 1u);
  EXPECT_FALSE(bool(welcome.runs[0].lease));
  h.Step(Tick{});
  EXPECT_EQ(h.TakeAssigned(1).at(0).attempt, 2u);
}

TEST(RecoveryTest, WhatIsClaimedCountsAgainstTheInFlightLimit) {
  // After a restart a job at its limit was still listed, and placed without any limit.
  JobImage stored = StoredArray(10, 1);
  stored.job.options.max_in_flight = 1;
  Harness h(Restarted(stored));
  AssignedSpan span;
  span.job = JobId(7);
  span.birth = {Epoch(1), 3};
  span.lease = LeaseSeq(4);
  h.Join(1, 4, "p", {Held(span, {0, 1})});
  h.Step(Tick{});
  EXPECT_TRUE(h.TakeAssigned(1).empty());
}

TEST(RecoveryTest, AnExclusiveTaskThatIsGivenBackWhileWorkersAreAwaitedWaitsForThem) {
  // One worker still owed its interruption, another had got the task since and runs it.
  JobImage stored = StoredArray(1, 1);
  stored.job.options.exclusive = true;
  Image image = Restarted(stored);
  image.roster.push_back({"worker2", WorkerNumber(2)});
  Harness h(std::move(image));
  h.Join(1, 1, "p", {{JobId(7), {Epoch(1), 3}, {Epoch(1), LeaseSeq(3)}, {0, 1}}});
  const LeaseSeq lease = std::get<SendWelcome>(h.sends.back().message).runs.at(0).lease;
  ASSERT_TRUE(bool(lease));
  h.Step(Released{SessionId(1), {{lease, {0, 1}}}});
  h.Step(Tick{});
  EXPECT_TRUE(h.TakeAssigned(1).empty());
  h.Join(2, 1, "p", {{JobId(7), {Epoch(1), 3}, {Epoch(1), LeaseSeq(4)}, {0, 1}}});
  EXPECT_TRUE(bool(std::get<SendWelcome>(h.sends.back().message).runs.at(0).lease));
}

TEST(RecoveryTest, AnExclusiveTaskIsNotAssignedBeforeTheCommitThatHoldsIt) {
  Harness h;
  h.Join(1, 1);
  h.auto_commit = false;
  JobOptions options;
  options.exclusive = true;
  CreateJob event;
  event.call = CallId(1);
  event.request_id = "r";
  event.options = options;
  event.options.handler = "echo";
  event.array_count = 1;
  h.Step(std::move(event));
  EXPECT_TRUE(h.TakeAssigned(1).empty()) << "the client would send it again, beside a running one";
  h.auto_commit = true;
  h.Commit();
  h.Take();
  EXPECT_EQ(h.TakeAssigned(1).size(), 1u);
}

}  // namespace
}  // namespace reeve
