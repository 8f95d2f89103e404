// Sessions of workers: what they say they hold, and what becomes of it.

#include "gtest/gtest.h"
#include "master/scheduler/scheduler.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

TEST(WorkersTest, WhatAWorkerDoesNotHoldThoughItSawItIsGivenOutAgain) {
  Harness h;
  h.Join(1, 2);
  h.Create("r", 2);
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  ASSERT_EQ(Count(spans), 2u);
  Heartbeat beat;
  beat.session = SessionId(1);
  beat.seen_seq = spans.back().lease;
  beat.lanes[1] = {2, 0};
  h.Step(beat);
  EXPECT_TRUE(std::get<SendHeartbeatAck>(h.sends.back().message).send_held);
  beat.held.emplace();
  h.Step(beat);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 2u);
}

// A heartbeat with the full set was overtaken by the Assign that followed it, or by a later
// heartbeat: what it did not name was taken for lost and ran twice.
TEST(WorkersTest, AHeartbeatKnowsNothingOfWhatItsWorkerSawLater) {
  Harness h;
  h.Join(1, 2);
  h.Create("r", 2);
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  Heartbeat beat;
  beat.session = SessionId(1);
  beat.lanes[1] = {2, 0};
  beat.number = 2;
  beat.seen_seq = spans.back().lease;
  beat.held.emplace();
  for (const AssignedSpan& span : spans)
    beat.held->push_back({span.job, span.birth, {Epoch(1), span.lease}, span.run});
  h.Step(beat);
  Heartbeat before = beat;
  before.seen_seq = {};
  before.held.emplace();
  h.Step(before);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  before.number = 1;
  before.seen_seq = beat.seen_seq;
  h.Step(before);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
}

TEST(WorkersTest, AHelloThatALaterOneHasOvertakenChangesNothing) {
  Harness h;
  h.Join(1, 2);
  Hello late;
  late.session = SessionId(1);
  late.number = 0;
  late.worker_id = "worker1";
  late.process_id = "p";
  late.handlers = {{"echo", Lane::kThread}};
  late.lanes[1] = {2, 0};
  h.Create("r", 2);
  ASSERT_EQ(Count(h.TakeAssigned(1)), 2u);
  h.sends.clear();
  h.Step(late);
  EXPECT_TRUE(h.sends.empty());
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u) << "what it holds is not lost";
}

// An Assign that came before the Welcome was dropped, and its tasks stood still until the resend.
TEST(WorkersTest, NothingIsAssignedBeforeTheWelcomeIsOut) {
  Harness h;
  h.Join(1, 2);
  h.auto_commit = false;
  h.Create("r", 2);  // Its commit is under way when the worker says Hello again.
  h.TakeAssigned(1);
  h.Join(1, 2);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Commit();
  h.Take();
  EXPECT_EQ(Count(h.TakeAssigned(1)), 2u);
}

TEST(WorkersTest, AnAssignmentTheWorkerNeverSawIsSentAgainUnderTheSameLease) {
  Harness h;
  h.Join(1, 1);
  h.Create("r", 1);
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  for (int i = 0; i < 6; ++i) {
    Heartbeat beat;
    beat.session = SessionId(1);
    beat.lanes[1] = {1, 0};
    h.Step(beat);
    h.Advance(absl::Seconds(1));
  }
  const std::vector<AssignedSpan> again = h.TakeAssigned(1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].lease, span.lease);
}

TEST(WorkersTest, AWorkerThatComesBackKeepsWhatItHolds) {
  Harness h;
  h.Join(1, 2);
  h.Create("r", 2);
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  std::vector<HeldRun> held;
  for (const AssignedSpan& span : spans)
    held.push_back({span.job, span.birth, {Epoch(1), span.lease}, span.run});
  h.Join(101, 2, "p", held);  // Same worker, same process, new session.
  const auto& welcome = std::get<SendWelcome>(h.sends.back().message);
  ASSERT_EQ(welcome.runs.size(), spans.size());
  EXPECT_TRUE(h.TakeAssigned(101).empty());
  for (const WelcomeRun& run : welcome.runs) h.FinishRun(101, run.job, run.lease, run.run);
  EXPECT_EQ(h.jobs.back().view.state, JobState::kSucceeded);
}

TEST(WorkersTest, ANewProcessOfAWorkerLosesWhatTheOldOneHeld) {
  Harness h;
  h.Join(1, 2);
  h.Create("r", 2);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 2u);
  h.Join(101, 2, "q");
  EXPECT_EQ(Count(h.TakeAssigned(101)), 2u);
}

TEST(WorkersTest, AHelloThatNamesWhatIsAlreadyRecordedOfALeaseIsAnswered) {
  // A worker whose acknowledgement was on its way named its lease twice, and the master died of it.
  Harness h;
  h.Join(1, 1);
  h.Create("r", 3);
  AssignedSpan span = h.TakeAssigned(1).at(0);
  h.Finish(1, span);
  span = h.TakeAssigned(1).at(0);
  ASSERT_EQ(span.run, (reeve::Run{1, 2}));
  h.FinishRun(1, span.job, span.lease, {1, 1});
  h.sends.clear();
  h.Join(1, 1, "p", {Held(span, {2, 1}), Held(span, {1, 1})});
  const auto welcome = std::get<SendWelcome>(h.sends.at(0).message);
  ASSERT_EQ(welcome.runs.size(), 2u);
  EXPECT_TRUE(bool(welcome.runs[0].lease));
  EXPECT_FALSE(bool(welcome.runs[1].lease));
}

TEST(WorkersTest, ACancelThatWaitsForAWorkerEndsWhenItsHelloGivesTheLastRunUp) {
  // The job stayed CANCELLING for ever, and the loop did not sleep any more.
  Harness h;
  h.Join(1, 1);
  const JobId job = h.Create("r", 1).view.job;
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  h.Step(CancelJob{CallId(9), job});
  ASSERT_TRUE(h.scheduler_.FindJob(job).has_value());
  h.Join(1, 1, "p", {Held(span, {0, 1})});
  EXPECT_FALSE(h.scheduler_.FindJob(job).has_value());
  EXPECT_EQ(h.jobs.back().view.state, JobState::kCancelled);
}

TEST(WorkersTest, ALaterProcessWaitsForTheRosterTooWhenItsEntryIsNotYetDurable) {
  // A worker that died at once was assigned to before anything said that it existed.
  Harness h;
  h.auto_commit = false;
  h.Join(1, 1, "p");
  h.Join(101, 1, "q");  // The same worker.
  h.Create("r", 1);
  EXPECT_TRUE(h.TakeAssigned(101).empty());
  for (int i = 0; i < 2; ++i) {  // The roster, then the frontier.
    h.Commit();
    h.Take();
  }
  EXPECT_EQ(h.TakeAssigned(101).size(), 1u);
}

TEST(WorkersTest, ARunOfAnotherBirthIsDropped) {
  Harness h;
  h.Create("r", 10);
  h.Join(1, 4, "p", {{JobId(1), {Epoch(9), 9}, {Epoch(9), LeaseSeq(5)}, {0, 10}}});
  for (const LinkSend& send : h.sends) {
    if (const auto* welcome = std::get_if<SendWelcome>(&send.message)) {
      ASSERT_EQ(welcome->runs.size(), 1u);
      EXPECT_FALSE(bool(welcome->runs[0].lease));
    }
  }
}

TEST(WorkersTest, ATaskIsHeldByTheSessionThatItWasGivenToUntilItsOutcomeIsAdmitted) {
  Harness h;
  h.Join(1, 1);
  h.Join(2, 1);
  const JobId job = h.Create("r", 2).view.job;
  const AssignedSpan mine = h.TakeAssigned(1).at(0), other = h.TakeAssigned(2).at(0);
  EXPECT_TRUE(h.scheduler_.IsHeldBy(SessionId(1), job, mine.run.first));
  EXPECT_FALSE(h.scheduler_.IsHeldBy(SessionId(1), job, other.run.first));
  EXPECT_FALSE(h.scheduler_.IsHeldBy(SessionId(3), job, mine.run.first));
  EXPECT_FALSE(h.scheduler_.IsHeldBy(SessionId(1), JobId(99), mine.run.first));
  EXPECT_FALSE(h.scheduler_.IsHeldBy(SessionId(1), job, 7));
  h.Finish(1, mine);
  EXPECT_FALSE(h.scheduler_.IsHeldBy(SessionId(1), job, mine.run.first));
}

}  // namespace
}  // namespace reeve
