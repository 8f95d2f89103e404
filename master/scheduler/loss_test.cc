// Who is to blame when a worker is gone, and what becomes of its tasks.

#include "base/result_batch.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

class LossTest : public testing::Test {
 protected:
  // One worker of `slots` with a job of as many tasks, all of them there.
  void Begin(uint32_t slots, JobOptions options = {}) {
    h.Join(1, slots);
    job = h.Create("r", slots, std::move(options)).view.job;
    spans = h.TakeAssigned(1);
    ASSERT_EQ(Count(spans), slots);
  }
  HeldRun Suspect(TaskIndex index) const {
    HeldRun suspect;
    suspect.job = job;
    suspect.birth = spans.front().birth;
    suspect.run = {index, 1};
    return suspect;
  }
  // The worker process dies and its parent starts another, which says what ran.
  void Die(std::vector<TaskIndex> running, bool named = false) {
    std::vector<HeldRun> suspects;
    for (const TaskIndex index : running) suspects.push_back(Suspect(index));
    // The same worker id under another session.
    session += 100;
    h.Join(session, slots_, "p" + std::to_string(session), {}, std::move(suspects), named);
  }
  void Beat() {
    Heartbeat beat;
    beat.session = SessionId(session);
    beat.lanes[static_cast<int>(Lane::kThread)] = {slots_, 0};
    h.Step(std::move(beat));
  }
  TaskView Task(TaskIndex index) { return *h.scheduler_.FindTask(h.Now_(), job, index); }
  const RetryOutcome& LastOutcome() const {
    for (auto write = h.writes.rbegin(); write != h.writes.rend(); ++write) {
      if (const auto* put = std::get_if<PutResults>(&*write)) return put->retries.back();
    }
    ADD_FAILURE() << "no outcome was written";
    static const RetryOutcome none;
    return none;
  }

  Harness h;
  JobId job;
  std::vector<AssignedSpan> spans;
  uint64_t session = 1;
  uint32_t slots_ = 4;
};

TEST_F(LossTest, ADeathWithoutANoteIsADurableSuspicionForEachTaskThatRanAndFreeForTheOthers) {
  Begin(4);
  Die({1, 2});
  EXPECT_EQ(h.scheduler_.totals().suspicions, 2u);
  EXPECT_EQ(h.scheduler_.totals().crashes, 0u);
  EXPECT_EQ(LastOutcome().suspicions, 1u);
  EXPECT_EQ(LastOutcome().failed_attempts, 0u);
  const auto again = h.TakeAssigned(session);
  EXPECT_EQ(Count(again), 4u);
  for (const AssignedSpan& span : again) {
    EXPECT_EQ(span.attempt, 1u);
    EXPECT_FALSE(span.solo);
  }
}

TEST_F(LossTest, ANamedCulpritIsChargedWithACrashAndItsNeighboursGoOnFree) {
  Begin(4);
  Die({2}, true);
  EXPECT_EQ(h.scheduler_.totals().crashes, 1u);
  EXPECT_EQ(h.scheduler_.totals().suspicions, 0u);
  EXPECT_EQ(Task(2).state, TaskState::kScheduled);
  EXPECT_EQ(Count(h.TakeAssigned(session)), 3u);
  h.Advance(absl::Seconds(2));
  const auto again = h.TakeAssigned(session);
  ASSERT_EQ(Count(again), 1u);
  EXPECT_EQ(again[0].attempt, 2u);
}

TEST_F(LossTest, ThreeCrashesPoisonATaskAndTheMasterRecordsIt) {
  Begin(1);
  for (int i = 0; i < 3; ++i) {
    Die({0}, true);
    h.Advance(absl::Seconds(10));
    Beat();
  }
  EXPECT_EQ(h.jobs.back().view.state, JobState::kFailed);
  const ResultsNotice& last = h.results.back();
  ASSERT_EQ(last.runs.size(), 1u);
  EXPECT_EQ(last.runs[0].state, TaskState::kFailed);
  const auto batch = ResultBatch::Parse(last.body);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ((*batch)->Entry(0, 0).reason, Reason::kPoisoned);
  EXPECT_EQ((*batch)->Entry(0, 0).attempt, 3u);
}

TEST_F(LossTest, ThreeSuspicionsMakeATaskRunAloneAndThenADeathIsACrash) {
  slots_ = 2;
  h.Join(1, 2);
  job = h.Create("r", 6).view.job;
  spans = h.TakeAssigned(1);
  for (int i = 0; i < 3; ++i) Die({0});
  // The worker that came back got what is not suspected; the suspect waits until it is empty.
  for (int round = 0; round < 10; ++round) {
    const auto assigned = h.TakeAssigned(session);
    if (assigned.empty()) break;
    for (const AssignedSpan& span : assigned) {
      if (span.solo) {
        EXPECT_EQ(span.run, (reeve::Run{0, 1}));
        EXPECT_EQ(assigned.size(), 1u);
        EXPECT_EQ(Task(0).state, TaskState::kAssigned);
        Die({0});  // Alone: nobody else can have done it.
        EXPECT_EQ(h.scheduler_.totals().crashes, 1u);
        return;
      }
      h.Finish(session, span);
    }
  }
  FAIL() << "the suspect never ran alone";
}

TEST_F(LossTest, WhileASuspectRunsAloneNothingElseGoesToItsWorker) {
  Begin(1);
  slots_ = 1;
  for (int i = 0; i < 3; ++i) Die({0});
  const auto solo = h.TakeAssigned(session);
  ASSERT_EQ(solo.size(), 1u);
  ASSERT_TRUE(solo[0].solo);
  h.Create("other", 5);
  EXPECT_TRUE(h.TakeAssigned(session).empty());
  h.Finish(session, solo[0]);
  EXPECT_GT(Count(h.TakeAssigned(session)), 0u);
}

TEST_F(LossTest, ASilentWorkersLastHeartbeatSaysWhoIsSuspected) {
  Begin(4);
  Heartbeat beat;
  beat.session = SessionId(1);
  beat.seen_seq = spans.back().lease;
  beat.running = {{job, 3}};
  h.Step(std::move(beat));
  for (int i = 0; i < 20; ++i) h.Advance(absl::Seconds(1));
  EXPECT_EQ(h.scheduler_.totals().suspicions, 1u);
  EXPECT_EQ(LastOutcome().run, (reeve::Run{3, 1}));
}

TEST_F(LossTest, AWorkerThatSaysGoodbyeBlamesNobody) {
  Begin(4);
  Heartbeat beat;
  beat.session = SessionId(1);
  beat.running = {{job, 3}};
  h.Step(std::move(beat));
  h.Step(Goodbye{SessionId(1), "drained"});
  EXPECT_EQ(h.scheduler_.totals().suspicions, 0u);
  EXPECT_EQ(Task(3).state, TaskState::kReady);
}

TEST_F(LossTest, SuspicionsAndBackOffsSurviveARestart) {
  JobImage stored = StoredArray(3, 3);
  job = stored.job.view.job;
  const absl::Time wall = h.Now_().wall;
  stored.retries.push_back({{0, 1}, Reason::kNone, 0, 2, 0, wall - absl::Seconds(1)});
  stored.retries.push_back({{1, 1}, Reason::kHandlerError, 1, 0, 0, wall + absl::Hours(1)});
  Harness restarted(Restarted(stored));
  EXPECT_EQ(restarted.scheduler_.FindTask(restarted.Now_(), job, 1)->state, TaskState::kScheduled);
  HeldRun suspect;
  suspect.job = job;
  suspect.birth = {Epoch(1), 3};
  suspect.run = {0, 1};
  // Its worker died while there was no master; the third suspicion.
  restarted.Join(1, 4, "q", {}, {suspect});
  EXPECT_EQ(restarted.scheduler_.totals().suspicions, 1u);
  restarted.Step(Tick{});
  const auto assigned = restarted.TakeAssigned(1);
  ASSERT_FALSE(assigned.empty());
  for (const AssignedSpan& span : assigned) EXPECT_EQ(span.solo, span.run.first == 0);
}

Image OneJob(JobId job, absl::Time wall) {
  JobImage stored = StoredArray(4, 4);
  stored.job.view.job = job;
  stored.retries.push_back({{0, 1}, Reason::kNone, 0, 1, 0, wall, {}, DeathOf("p")});
  return Restarted(std::move(stored));
}

HeldRun SuspectOf(JobId job, TaskIndex index) {
  HeldRun suspect;
  suspect.job = job;
  suspect.birth = {Epoch(1), 3};
  suspect.run = {index, 1};
  return suspect;
}

TEST_F(LossTest, ADeathThatTheLifeBeforeRecordedIsNotCountedAgain) {
  // The master committed the suspicion and ended before its Welcome; the worker told it again.
  job = JobId(7);
  Harness restarted(OneJob(job, h.Now_().wall - absl::Seconds(1)));
  restarted.Join(1, 4, "q", {}, {SuspectOf(job, 0)}, false, "p");
  EXPECT_EQ(restarted.scheduler_.totals().suspicions, 0u);
  // Another death is another matter.
  restarted.Join(2, 4, "s", {}, {SuspectOf(job, 0)}, false, "r");
  EXPECT_EQ(restarted.scheduler_.totals().suspicions, 1u);
  restarted.Join(2, 4, "s", {}, {SuspectOf(job, 0)}, false, "r");
  EXPECT_EQ(restarted.scheduler_.totals().suspicions, 1u);
}

TEST_F(LossTest, ATaskThatTakesWorkerAndParentDownWithinASecondIsSuspected) {
  // It was in no note and in no heartbeat, and so it did this for ever.
  slots_ = 2;
  h.Join(1, 2);
  job = h.Create("r", 6).view.job;
  spans = h.TakeAssigned(1);
  for (int death = 1; death <= 3; ++death) {
    session += 100;
    h.Join(session, 2, "p" + std::to_string(session));  // Nobody is left to say what ran.
    EXPECT_EQ(h.scheduler_.totals().suspicions, 2u * death);
  }
  h.RunAll();
  EXPECT_EQ(h.jobs.back().view.state, JobState::kSucceeded);
}

TEST_F(LossTest, AParentThatSaysThatNothingRanBlamesNobody) {
  Begin(4);
  h.Join(101, 4, "q", {}, {}, false, "p");
  EXPECT_EQ(h.scheduler_.totals().suspicions, 0u);
  EXPECT_EQ(Count(h.TakeAssigned(101)), 4u);
}

TEST_F(LossTest, ATaskGoesOnOnlyOnceTheDeathUnderItIsDurable) {
  // A new life that did not know of it let others run beside the suspect.
  Begin(2);
  h.Join(2, 2);
  h.auto_commit = false;
  h.Join(101, 2, "q", {}, {Suspect(0)}, false, "p");
  const auto neighbour = h.TakeAssigned(2);
  ASSERT_EQ(Count(neighbour), 1u);
  EXPECT_EQ(neighbour[0].run.first, 1u);
  h.Commit();
  h.Take();
  EXPECT_EQ(Count(h.TakeAssigned(2)) + Count(h.TakeAssigned(101)), 1u);
}

TEST_F(LossTest, ASuspectThatRunsAloneStillDoesWhenItsMasterRestarts) {
  // Its claim was an ordinary lease, and others came to run beside it.
  job = JobId(7);
  Image image = OneJob(job, h.Now_().wall - absl::Seconds(1));
  image.jobs[0].retries[0].suspicions = 3;
  Harness restarted(std::move(image));
  HeldRun held = SuspectOf(job, 0);
  held.lease = {Epoch(1), LeaseSeq(9)};
  held.phase = HeldPhase::kQueued;
  restarted.Join(1, 4, "q", {held});
  EXPECT_TRUE(restarted.TakeAssigned(1).empty()) << "nothing beside a suspect";
  restarted.Join(1, 4, "r", {}, {SuspectOf(job, 0)}, false, "q");
  EXPECT_EQ(restarted.scheduler_.totals().crashes, 1u);
}

// ---- At most once ----

JobOptions Once() {
  JobOptions options;
  options.handler = "echo";
  options.max_attempts = 1;
  options.at_most_once = true;
  return options;
}

TEST_F(LossTest, AnAtMostOnceTaskIsSentOnlyAfterItsFrontierIsDurableAndNeverAheadOfASlot) {
  h.Join(1, 4);
  h.auto_commit = false;
  job = h.Create("r", 100, Once()).view.job;
  EXPECT_TRUE(h.TakeAssigned(1).empty());
  h.Take();
  EXPECT_TRUE(h.TakeAssigned(1).empty());  // The frontier is written, not yet durable.
  uint32_t frontier = 0;
  for (const Write& write : h.writes) {
    if (const auto* put = std::get_if<PutFrontier>(&write)) frontier = put->frontier;
  }
  EXPECT_EQ(frontier, 4u);
  h.Commit();
  h.Take();
  EXPECT_EQ(Count(h.TakeAssigned(1)), 4u);
}

TEST_F(LossTest, WhatALostWorkerHeldOfAnAtMostOnceJobFails) {
  Begin(4, Once());
  Die({1});
  EXPECT_TRUE(h.TakeAssigned(session).empty());
  EXPECT_EQ(h.jobs.back().view.state, JobState::kFailed);
  EXPECT_EQ(h.jobs.back().view.counts.failed, 4u);
  const auto batch = ResultBatch::Parse(h.results.back().body);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ((*batch)->Entry(0, 0).reason, Reason::kWorkerLost);
}

TEST_F(LossTest, AnAtMostOnceTaskThatNeverBeganIsGivenToAnother) {
  Begin(4, Once());
  h.Join(2, 4);
  h.Step(Released{SessionId(1), {{spans[0].lease, spans[0].run}}});
  EXPECT_EQ(Count(h.TakeAssigned(1)) + Count(h.TakeAssigned(2)), spans[0].run.count);
}

TEST_F(LossTest, AnAtMostOnceAssignmentIsNotSentAgain) {
  Begin(4, Once());
  for (int i = 0; i < 14; ++i) {
    Beat();  // It has seen nothing.
    h.Advance(absl::Seconds(1));
    EXPECT_TRUE(h.TakeAssigned(1).empty());
  }
  Beat();
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(h.jobs.back().view.state, JobState::kFailed);
}

TEST_F(LossTest, AfterARestartWhatNobodyClaimsOfAnAtMostOnceJobFailsAndTheRestGoesOn) {
  Image image = Harness::Fresh();
  image.epoch = Epoch(2);
  image.next_job = JobId(1000);
  JobImage stored;
  stored.job.view.job = job = JobId(7);
  stored.job.options = Once();
  stored.job.array_count = 10;
  stored.state = JobState::kActive;
  stored.frontier = 4;
  stored.chunks.push_back({{0, 10}, {Epoch(1), 3}, 0});
  stored.results.push_back({{0, 1, 0}, TaskState::kSucceeded});
  image.jobs.push_back(stored);
  Harness restarted(std::move(image));
  restarted.Join(1, 10);
  restarted.RunAll();
  EXPECT_EQ(restarted.jobs.back().view.state, JobState::kFailed);
  EXPECT_EQ(restarted.jobs.back().view.counts.failed, 3u);
  EXPECT_EQ(restarted.jobs.back().view.counts.succeeded, 7u);
}

TEST_F(LossTest, AnExclusiveTaskIsNotGivenAwayBeforeItsLeaseHasEnded) {
  JobOptions options;
  options.exclusive = true;
  Begin(1, options);
  h.Join(2, 4);
  h.Step(ConnectionClosed{SessionId(1)});
  for (int i = 0; i < 14; ++i) {
    h.Advance(absl::Seconds(1));
    Heartbeat beat;
    beat.session = SessionId(2);
    beat.lanes[static_cast<int>(Lane::kThread)] = {4, 0};
    h.Step(std::move(beat));
  }
  EXPECT_TRUE(h.TakeAssigned(2).empty());
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(Count(h.TakeAssigned(2)), 1u);
}

}  // namespace
}  // namespace reeve
