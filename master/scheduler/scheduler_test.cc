#include "master/scheduler/scheduler.h"

#include <random>

#include "base/error.h"
#include "base/input_batch.h"
#include "base/interval_set.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

TEST(SchedulerTest, AJobRunsToItsEndAndEveryIndexIsRecordedOnce) {
  Harness h;
  h.Join(1, 4);
  h.Join(2, 4);
  const JobReply reply = h.Create("r", 100'000);
  ASSERT_TRUE(reply.status.ok());
  h.RunAll();
  IntervalSet seen;
  for (const ResultsNotice& notice : h.results) {
    for (const ResultRun& run : notice.runs) EXPECT_EQ(seen.Add(run.run.run()), run.run.count);
  }
  EXPECT_EQ(seen.Runs(), (std::vector<reeve::Run>{{0, 100'000}}));
  EXPECT_EQ(h.jobs.back().view.state, JobState::kSucceeded);
  EXPECT_EQ(h.jobs.back().view.counts.succeeded, 100'000u);
  EXPECT_FALSE(h.scheduler_.FindJob(reply.view.job).has_value());
}

TEST(SchedulerTest, TheSameRequestGivesTheSameJobAndOtherContentIsRefused) {
  Harness h;
  const JobId job = h.Create("r", 10).view.job;
  EXPECT_EQ(h.Create("r", 10).view.job, job);
  const JobReply other = h.Create("r", 11, {}, 2);
  EXPECT_EQ(ErrorReason(other.status), "REQUEST_ID_REUSED");
  EXPECT_NE(h.Create("s", 10).view.job, job);
}

TEST(SchedulerTest, AHandlerNobodyOffersIsRefusedOnceWorkersAreThere) {
  Harness h;
  JobOptions options;
  options.handler = "nothing";
  EXPECT_TRUE(h.Create("before", 1, options).status.ok());
  h.Join(1, 1);
  EXPECT_EQ(ErrorReason(h.Create("after", 1, options).status), "NO_SUCH_HANDLER");
}

TEST(SchedulerTest, NothingIsAssignedBeyondTheDurableFrontier) {
  Harness h;
  h.Join(1, 4);
  h.auto_commit = false;
  h.Create("r", 10'000'000);
  for (int i = 0; i < 200; ++i) {
    for (const AssignedSpan& span : h.TakeAssigned(1)) {
      EXPECT_LE(span.run.end(), 65'536u);
      h.Finish(1, span, {}, absl::Nanoseconds(10));
    }
  }
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->counts.succeeded, 65'536u);
  h.Commit();
  h.Take();
  EXPECT_GT(Count(h.TakeAssigned(1)), 0u);
}

TEST(SchedulerTest, RepliesNameTheCommitThatHoldsThem) {
  Harness h;
  h.auto_commit = false;
  h.Create("r", 1);
  EXPECT_EQ(h.replies.back().after.number, h.last_commit[0]);
  const uint64_t first = h.last_commit[0];
  h.Create("r", 1);
  EXPECT_EQ(h.replies.back().after.number, first);
}

TEST(SchedulerTest, AResultOfALostLeaseIsSuperseded) {
  Harness h;
  h.Join(1, 1);
  h.Create("r", 1);
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  h.Advance(absl::Seconds(16));  // Silent: the lease is lost.
  h.results.clear();             // It may have died of its task: a suspicion.
  h.Join(2, 1);
  const AssignedSpan again = h.TakeAssigned(2).at(0);
  EXPECT_EQ(again.run, span.run);
  EXPECT_NE(again.lease, span.lease);
  h.Finish(1, span);
  EXPECT_TRUE(h.results.empty());
  h.Finish(2, again);
  EXPECT_EQ(h.results.size(), 1u);
  h.Finish(2, again);
  EXPECT_EQ(h.results.size(), 1u);
  EXPECT_EQ(h.acks.back().superseded.size(), 1u);
}

TEST(SchedulerTest, ABatchSentTwiceIsRecordedOnceAndAcknowledgedTwice) {
  Harness h;
  h.Join(1, 1);
  h.Create("r", 2);
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  ResultsArrived arrived;
  arrived.session = SessionId(1);
  arrived.epoch = Epoch(1);
  ResultBatchArrived batch;
  batch.number = 77;
  batch.job = span.job;
  batch.runs = {{span.lease, span.run}};
  arrived.batches = {batch};
  h.Step(arrived);
  h.Step(arrived);
  EXPECT_EQ(h.results.size(), 1u);
  ASSERT_EQ(h.acks.size(), 2u);
  EXPECT_EQ(h.acks[1].recorded, (std::vector<uint64_t>{77}));
}

TEST(SchedulerTest, AFailedTaskIsTriedAgainAfterABackOffUntilItsAttemptsAreUsedUp) {
  Harness h;
  h.Join(1, 1);
  JobOptions options;
  options.max_attempts = 2;
  h.Create("r", 1, options);
  const AssignedSpan first = h.TakeAssigned(1).at(0);
  h.Finish(1, first, {{0, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_TRUE(h.TakeAssigned(1).empty());
  const auto task = h.scheduler_.FindTask(h.Now_(), JobId(1), 0);
  EXPECT_EQ(task->state, TaskState::kScheduled);
  h.Advance(absl::Seconds(1.2));
  const AssignedSpan second = h.TakeAssigned(1).at(0);
  EXPECT_EQ(second.attempt, 2u);
  h.Finish(1, second, {{0, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_EQ(h.jobs.back().view.state, JobState::kFailed);
  EXPECT_EQ(h.jobs.back().view.counts.failed, 1u);
  EXPECT_EQ(h.jobs.back().view.counts.retried, 1u);
}

TEST(SchedulerTest, BadInputIsNotTriedAgain) {
  Harness h;
  h.Join(1, 1);
  h.Create("r", 1);
  h.Finish(1, h.TakeAssigned(1).at(0), {{0, TaskState::kFailed, Reason::kBadInput}});
  EXPECT_EQ(h.jobs.back().view.state, JobState::kFailed);
}

TEST(SchedulerTest, CancelEndsTheJobOnceNoWorkerHoldsARun) {
  Harness h;
  h.Join(1, 2);
  h.Create("r", 100);
  const std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  h.Step(CancelJob{CallId(900), JobId(1)});
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->state, JobState::kCancelling);
  uint64_t told = 0;
  for (const LinkSend& send : h.sends) {
    if (const auto* cancel = std::get_if<SendCancel>(&send.message)) {
      for (const LeasedRun& run : cancel->runs) told += run.run.count;
    }
  }
  EXPECT_EQ(told, Count(spans));
  for (const AssignedSpan& span : spans) h.Finish(1, span);  // Too late: superseded.
  EXPECT_TRUE(h.results.empty());
  EXPECT_EQ(h.jobs.back().view.state, JobState::kCancelled);
  EXPECT_EQ(h.jobs.back().cancelled, (std::vector<reeve::Run>{{0, 100}}));
}

TEST(SchedulerTest, ACancelledRunThatItsWorkerNeverGivesUpIsGivenUpHere) {
  Harness h;
  h.Join(1, 1);
  h.Create("r", 1);
  h.Step(CancelJob{CallId(900), JobId(1)});
  for (int i = 0; i < 30; ++i) {
    Heartbeat beat;
    beat.session = SessionId(1);
    beat.lanes[1] = {1, 0};
    beat.seen_seq = LeaseSeq(1);
    h.Step(beat);
    h.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(h.jobs.back().view.state, JobState::kCancelled);
}

TEST(SchedulerTest, AppendedChunksKeepTheirOffsetsAndRepeatsAreAcknowledgedAgain) {
  Harness h;
  CreateJob create;
  create.call = CallId(1);
  create.request_id = "r";
  create.options.handler = "echo";
  create.open = true;
  h.Step(create);
  h.Step(OpenAppender{CallId(2), JobId(1), "a"});
  h.Step(AppendTasks{CallId(2), 0, nullptr, 10, 0});
  h.Step(AppendTasks{CallId(2), 10, nullptr, 5, 0});
  AppendReply last = std::get<AppendReply>(h.replies.back().body);
  EXPECT_EQ(last.committed_offset, 15u);
  EXPECT_EQ(last.run, (reeve::Run{10, 5}));
  h.Step(AppendTasks{CallId(2), 10, nullptr, 5, 0});
  last = std::get<AppendReply>(h.replies.back().body);
  EXPECT_EQ(last.committed_offset, 15u);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(1))->counts.total, 15u);
  h.Step(AppendTasks{CallId(2), 12, nullptr, 5, 0});
  EXPECT_EQ(std::get<AppendReply>(h.replies.back().body).status.code(),
            absl::StatusCode::kInvalidArgument);
  h.Step(AppendTasks{CallId(2), 20, nullptr, 5, 0});
  EXPECT_EQ(ErrorReason(std::get<AppendReply>(h.replies.back().body).status), "OFFSET_GAP");
  h.Step(OpenAppender{CallId(3), JobId(1), "a"});
  ASSERT_GE(h.replies.size(), 2u);
  EXPECT_EQ(ErrorReason(std::get<AppendReply>(h.replies[h.replies.size() - 2].body).status),
            "APPENDER_REPLACED");
  EXPECT_EQ(std::get<AppendReply>(h.replies.back().body).committed_offset, 15u);
}

TEST(SchedulerTest, AnOpenJobEndsOnlyAfterItIsClosed) {
  Harness h;
  h.Join(1, 4);
  CreateJob create;
  create.call = CallId(1);
  create.request_id = "r";
  create.options.handler = "echo";
  create.open = true;
  h.Step(create);
  h.Step(CloseJob{CallId(2), JobId(1)});
  EXPECT_EQ(h.jobs.back().view.state, JobState::kSucceeded);
}

TEST(SchedulerTest, ARepeatedBatchThatWasRefusedIsRefusedAgain) {
  // The second answer called it recorded, though nothing of it ever was.
  Harness h;
  h.Join(1, 1);
  ResultsArrived arrived;
  arrived.session = SessionId(1);
  arrived.epoch = Epoch(1);
  ResultBatchArrived batch;
  batch.number = 5;
  batch.job = JobId(77);
  batch.runs = {{LeaseSeq(3), {0, 1}}};
  arrived.batches = {batch};
  h.Step(arrived);
  h.Step(arrived);
  ASSERT_EQ(h.acks.size(), 2u);
  EXPECT_EQ(h.acks[1].superseded, (std::vector<uint64_t>{5}));
  EXPECT_TRUE(h.acks[1].recorded.empty());
}

TEST(SchedulerTest, WorkersAreToldOfACancelOnceItIsDurable) {
  // A crash before the commit undid the cancel, but what ran had been stopped.
  Harness h;
  h.Join(1, 1);
  const JobId job = h.Create("r", 1).view.job;
  h.sends.clear();
  h.auto_commit = false;
  h.Step(CancelJob{CallId(9), job});
  ASSERT_EQ(h.sends.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<SendCancel>(h.sends[0].message));
  EXPECT_EQ(h.sends[0].after.number, h.last_commit[0]);
}

TEST(SchedulerTest, TheFrontierNeverGoesDown) {
  // A step in the transaction of its inputs was written after a farther one, and undid it.
  SchedulerOptions options;
  options.frontier_step = 2;
  Harness h(Harness::Fresh(), options);
  h.Join(1, 16);
  h.auto_commit = false;
  h.Create("r", 40);
  uint32_t frontier = 0;
  for (const Write& write : h.writes) {
    const auto* put = std::get_if<PutFrontier>(&write);
    if (put == nullptr) continue;
    EXPECT_GE(put->frontier, frontier);
    frontier = put->frontier;
  }
  uint32_t assigned = 0;
  for (const AssignedSpan& span : h.TakeAssigned(1)) assigned = span.run.end();
  EXPECT_EQ(assigned, 16u);
  EXPECT_LE(assigned, frontier);
}

TEST(SchedulerTest, ARetryDoesNotBeginBeforeTheFailureIsDurable) {
  // A crash in between undid the record, and both attempts were reported for one.
  Harness h;
  h.Join(1, 1);
  h.Create("r", 1);
  const AssignedSpan span = h.TakeAssigned(1).at(0);
  h.auto_commit = false;
  h.Finish(1, span, {{0, TaskState::kFailed, Reason::kHandlerError}});
  const uint64_t failure = h.last_commit[0];
  h.Advance(absl::Seconds(2));
  EXPECT_TRUE(h.TakeAssigned(1).empty());
  EXPECT_GT(h.scheduler_.NextDeadline(), h.clock_);  // Not due: the commit wakes the loop.
  h.Step(Committed{StoreKind::kDurable, failure});
  EXPECT_EQ(h.TakeAssigned(1).size(), 1u);
}

TEST(SchedulerTest, AWallClockThatIsSetBackMakesNoRetryWait) {
  // Its due time was one of the wall clock, and it waited as much longer as the clock went back.
  Harness h;
  h.Join(1, 1);
  h.Create("r", 1);
  h.Finish(1, h.TakeAssigned(1).at(0), {{0, TaskState::kFailed, Reason::kHandlerError}});
  h.wall_offset = -absl::Hours(1);
  EXPECT_LE(h.scheduler_.NextDeadline(), h.clock_ + absl::Seconds(2));
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(h.TakeAssigned(1).size(), 1u);
}

TEST(SchedulerTest, NothingOfAJobIsAssignedBeforeItsIdIsReserved) {
  // Half a block of jobs in one commit outran the reservation; had the commit failed, workers knew
  // an id that then meant another job.
  SchedulerOptions options;
  options.job_id_block = 1;
  Harness h(Harness::Fresh(), options);
  h.Join(1, 4);
  h.auto_commit = false;
  h.Create("first", 1);
  h.Create("second", 1);
  for (const AssignedSpan& span : h.TakeAssigned(1)) EXPECT_EQ(span.job, JobId(1));
  h.auto_commit = true;
  h.Commit();
  h.Take();
  EXPECT_EQ(Count(h.TakeAssigned(1)), 1u);
}

TEST(SchedulerTest, AJobClosedWithNothingLeftIsNeverSeenActive) {
  // A watcher was told ACTIVE before anything of it was durable.
  Harness h;
  CreateJob create;
  create.call = CallId(100);
  create.request_id = "r";
  create.options.handler = "echo";
  create.open = true;
  h.Step(std::move(create));
  h.jobs.clear();
  h.Step(CloseJob{CallId(101), std::get<JobReply>(h.replies.back().body).view.job});
  ASSERT_EQ(h.jobs.size(), 1u);
  EXPECT_EQ(h.jobs[0].view.state, JobState::kSucceeded);
}

TEST(SchedulerTest, WhileTheDiskIsLowSubmissionsAreRefusedAndResultsAreNot) {
  Harness h;
  h.Join(1, 4);
  h.Create("before", 4);
  h.Step(DiskLow{true});
  const JobReply refused = h.Create("during", 4);
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(refused.status), "DISK_LOW");
  EXPECT_TRUE(ErrorRetryAfter(refused.status).has_value());
  h.RunAll();
  EXPECT_EQ(h.jobs.back().view.state, JobState::kSucceeded);
  h.Step(DiskLow{false});
  EXPECT_TRUE(h.Create("during", 4).status.ok());
}

TEST(SchedulerTest, TasksWhoseStoredInputIsDamagedFailAndTheJobGoesOn) {
  SchedulerOptions options;
  options.resident_bytes = 1;  // Everything must be loaded.
  Harness h(Harness::Fresh(), options);
  h.Join(1, 4);
  CreateJob create;
  create.call = CallId(77);
  create.request_id = "r";
  create.options.handler = "echo";
  InputBatchBuilder batch;
  batch.Add("first");
  batch.Add("second");
  create.inputs = *InputBatch::Parse(Buffer(batch.Finish()));
  create.input_count = 2;
  create.input_bytes = 11;
  h.Step(std::move(create));
  ASSERT_EQ(h.loads.size(), 1u);
  h.Step(InputsLoaded{h.loads[0].job, 0, nullptr});
  ASSERT_EQ(h.loads.size(), 2u);  // Not read now: asked for again.
  h.Step(InputsLoaded{h.loads[0].job, 0, nullptr, true});
  EXPECT_EQ(h.jobs.back().view.state, JobState::kFailed);
  EXPECT_EQ(h.jobs.back().view.counts.failed, 2u);
}

// Random events against the invariants: whatever happens, every task ends once.
TEST(SchedulerTest, RandomHistoriesKeepTheInvariantsAndLoseNothing) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    Harness h;
    std::map<uint64_t, std::vector<AssignedSpan>> at_worker;
    IntervalSet recorded[6];
    uint32_t totals[6] = {};
    uint32_t jobs = 0;
    uint64_t process = 0;
    size_t seen_results = 0;
    const auto collect = [&] {
      for (auto& [session, spans] : h.assigned) {
        for (AssignedSpan& span : std::exchange(spans, {}))
          at_worker[session.value].push_back(std::move(span));
      }
      for (; seen_results < h.results.size(); ++seen_results) {
        const ResultsNotice& notice = h.results[seen_results];
        for (const ResultRun& run : notice.runs) {
          ASSERT_EQ(recorded[notice.job.value].Add(run.run.run()), run.run.count)
              << "seed " << seed;
        }
      }
    };
    for (int step = 0; step < 300; ++step) {
      const uint64_t session = 1 + pick(3);
      switch (pick(9)) {
        case 0:
          if (jobs < 5) {
            ++jobs;
            totals[jobs] = 1 + pick(500);
            JobOptions options;
            options.max_attempts = 1 + pick(3);
            options.priority = static_cast<int32_t>(pick(3));
            options.max_in_flight = pick(4) == 0 ? 1 + pick(20) : 0;
            h.Create("r" + std::to_string(jobs), totals[jobs], options);
          }
          break;
        case 1:
          h.Join(session, 1 + pick(8), "p" + std::to_string(pick(2) == 0 ? ++process : process));
          break;
        case 2: h.Advance(absl::Milliseconds(pick(3000))); break;
        case 3: h.Step(ConnectionClosed{SessionId(session)}); break;
        case 4: {
          Heartbeat beat;
          beat.session = SessionId(session);
          beat.lanes[1] = {1 + pick(8), 0};
          beat.seen_seq = LeaseSeq(pick(50));
          h.Step(beat);
          break;
        }
        case 5: {
          auto& spans = at_worker[session];
          if (spans.empty()) break;
          const AssignedSpan span = spans[pick(static_cast<uint32_t>(spans.size()))];
          h.Step(Recalled{
              SessionId(session),
              {{span.lease,
                {span.run.first + span.run.count / 2, span.run.count - span.run.count / 2}}}});
          break;
        }
        default: {
          auto& spans = at_worker[session];
          if (spans.empty()) break;
          const size_t at = pick(static_cast<uint32_t>(spans.size()));
          const AssignedSpan span = spans[at];
          std::vector<FailedEntry> failed;
          if (pick(4) == 0)
            failed.push_back({pick(span.run.count), TaskState::kFailed, Reason::kHandlerError});
          h.Finish(session, span, failed, absl::Microseconds(1 + pick(2000)));
          if (pick(3) != 0) spans.erase(spans.begin() + static_cast<long>(at));
          break;
        }
      }
      collect();
    }
    // Everyone behaves from now on.
    for (uint64_t session = 1; session <= 3; ++session)
      h.Join(session, 4, "last" + std::to_string(++process));
    for (int i = 0; i < 3000 && h.scheduler_.totals().active_jobs > 0; ++i) {
      collect();
      for (auto& [session, spans] : at_worker) {
        for (const AssignedSpan& span : std::exchange(spans, {})) h.Finish(session, span);
      }
      for (uint64_t session = 1; session <= 3; ++session) {
        Heartbeat beat;
        beat.session = SessionId(session);
        beat.lanes[1] = {4, 0};
        beat.seen_seq = LeaseSeq(1'000'000);
        h.Step(beat);
      }
      h.Advance(absl::Milliseconds(500));
    }
    collect();
    for (uint32_t job = 1; job <= jobs; ++job) {
      EXPECT_EQ(recorded[job].size(), totals[job]) << "seed " << seed << " job " << job;
    }
    EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u) << "seed " << seed;
  }
}

TEST(SchedulerTest, AnOwnerHasBoundsOfItsOwnAndOthersDoNotNotice) {
  SchedulerOptions options;
  options.max_active_jobs_per_owner = 2;
  options.max_queued_payload_tasks_per_owner = 5;
  Harness h(Harness::Fresh(), options);
  int requests = 0;
  const auto create = [&](const std::string& owner, uint32_t inputs) {
    CreateJob event;
    event.call = CallId(++requests);
    event.request_id = std::to_string(requests);
    event.options.handler = "echo";
    event.options.owner = owner;
    event.input_count = inputs;
    event.input_bytes = inputs;
    if (inputs > 0) event.inputs = std::shared_ptr<const InputBatch>(nullptr);
    event.array_count = inputs > 0 ? 0 : 1;
    h.Step(std::move(event));
    return std::get<JobReply>(h.replies.back().body);
  };
  const JobId first = create("alice", 0).view.job;
  EXPECT_TRUE(create("alice", 0).status.ok());
  EXPECT_EQ(create("alice", 0).status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(create("bob", 0).status.ok());
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(create("", 0).status.ok());
  EXPECT_EQ(create("bob", 6).status.code(), absl::StatusCode::kResourceExhausted);
  h.Step(CancelJob{CallId(99), first});
  EXPECT_TRUE(create("alice", 0).status.ok());
}

}  // namespace
}  // namespace reeve
