// EPHEMERAL jobs: what they hold in memory, and when it is given back.

#include <utility>

#include "base/input_batch.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

class EphemeralTest : public testing::Test {
 protected:
  static SchedulerOptions Small() {
    SchedulerOptions options;
    options.ephemeral_job_bytes = 200;  // Half of it for inputs, half for results.
    return options;
  }
  EphemeralTest() : h(Harness::Fresh(), Small()) {
    h.Join(1, 1);
    JobOptions options;
    options.handler = "echo";
    options.ephemeral = true;
    CreateJob create;
    create.call = CallId(1'000);
    create.request_id = "r";
    create.options = options;
    create.open = true;
    h.Step(std::move(create));
    job = std::get<JobReply>(h.replies.back().body).view.job;
    h.Step(OpenAppender{CallId(7), job, "a"});
    h.replies.clear();
  }
  void Append(uint64_t offset, uint64_t bytes) {
    InputBatchBuilder batch;
    batch.Add(std::string(bytes, 'i'));
    h.Step(AppendTasks{CallId(7), offset, *InputBatch::Parse(Buffer(batch.Finish())), 1, bytes});
  }
  std::vector<uint64_t> Offsets() const {
    std::vector<uint64_t> offsets;
    for (const Reply& reply : h.replies) {
      if (const auto* append = std::get_if<AppendReply>(&reply.body)) {
        EXPECT_TRUE(append->status.ok()) << append->status;
        offsets.push_back(append->committed_offset);
      }
    }
    return offsets;
  }
  void Cursor(uint64_t id, uint64_t passed, bool closed = false) {
    h.Step(CursorMoved{job, CallId(id), passed, closed});
  }
  uint64_t DroppedThrough() const {
    uint64_t through = 0;
    for (const Write& write : h.writes) {
      if (const auto* drop = std::get_if<DropResults>(&write)) through = drop->through;
    }
    return through;
  }

  Harness h;
  JobId job;
};

TEST_F(EphemeralTest, AnAppendWithoutRoomWaitsAndWhatFollowsItStaysBehindIt) {
  h.result_bytes = 1;
  Append(0, 60);
  Append(1, 60);  // 120 of 100.
  Append(2, 10);  // Would fit, and must not overtake.
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{1}));
  h.RunAll();  // Each that ends makes room for the next.
  EXPECT_EQ(Offsets(), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(h.scheduler_.FindJob(job)->counts.succeeded, 3u);
  EXPECT_EQ(h.scheduler_.totals().queued_bytes, 0u);
}

TEST_F(EphemeralTest, InputsGoWhenTheirTasksHaveEnded) {
  Append(0, 60);
  h.RunAll();
  std::vector<TaskIndex> dropped;
  for (const Write& write : h.writes) {
    if (const auto* drop = std::get_if<DropInputs>(&write)) dropped.push_back(drop->first);
  }
  EXPECT_EQ(dropped, (std::vector<TaskIndex>{0}));
}

TEST_F(EphemeralTest, UnreadResultsStopAssignmentUntilEveryCursorHasPassedThem) {
  h.result_bytes = 50;
  Cursor(1, 0);
  Cursor(2, 0);
  for (uint64_t i = 0; i < 6; ++i) Append(i, 1);
  h.RunAll();
  // The third was with the worker when the second filled the room: what is in flight is admitted.
  EXPECT_EQ(h.scheduler_.FindJob(job)->counts.succeeded, 3u);
  EXPECT_EQ(h.scheduler_.FindJob(job)->counts.ready, 3u);
  Cursor(1, 3);
  EXPECT_EQ(h.TakeAssigned(1).size(), 0u);
  Cursor(2, 2);
  EXPECT_EQ(DroppedThrough(), 2u);
  EXPECT_GT(h.assigned[SessionId(1)].size(), 0u);
  h.RunAll();
  EXPECT_GT(h.scheduler_.FindJob(job)->counts.succeeded, 3u);
}

TEST_F(EphemeralTest, AClosedCursorIsWaitedForUntilAnotherGoesOnFromIt) {
  h.result_bytes = 10;
  Cursor(1, 0);
  for (uint64_t i = 0; i < 3; ++i) Append(i, 1);
  h.RunAll();
  Cursor(1, 1, true);
  EXPECT_EQ(DroppedThrough(), 1u);
  Cursor(2, 1);  // The same reader, connected again.
  Cursor(2, 3);
  EXPECT_EQ(DroppedThrough(), 3u);
}

TEST_F(EphemeralTest, AJobWithoutCursorForTenMinutesIsCancelled) {
  Append(0, 1);
  Cursor(1, 0);
  const auto wait = [this](absl::Duration time) {
    for (; time > absl::ZeroDuration(); time -= absl::Seconds(2)) {
      Heartbeat beat;
      beat.session = SessionId(1);
      h.Step(std::move(beat));
      h.Advance(absl::Seconds(2));
    }
  };
  wait(absl::Minutes(11));
  EXPECT_TRUE(h.scheduler_.FindJob(job).has_value());
  Cursor(1, 0, true);
  wait(absl::Minutes(9));
  EXPECT_EQ(h.scheduler_.FindJob(job)->state, JobState::kOpen);
  wait(absl::Minutes(2));
  EXPECT_FALSE(h.scheduler_.FindJob(job).has_value());
  EXPECT_EQ(h.jobs.back().view.state, JobState::kCancelled);
}

TEST(EphemeralReplyTest, WaitsForTheReservationOfTheIdAndForNothingElseOfTheDurableStore) {
  // The reply named the newest durable commit, whose fsync every ephemeral call then waited for.
  SchedulerOptions scheduling;
  scheduling.job_id_block = 2;
  Harness h(Harness::Fresh(), scheduling);
  JobOptions options;
  options.handler = "echo";
  options.ephemeral = true;
  h.auto_commit = false;
  h.Create("durable", 1);
  h.Create("reserved before", 1, options);  // And reserves the next block.
  const uint64_t reservation = h.last_commit[static_cast<int>(StoreKind::kDurable)];
  EXPECT_EQ(h.replies.back().after.store, StoreKind::kMemory);
  h.Create("being reserved", 1, options);
  EXPECT_EQ(h.replies.back().after.store, StoreKind::kDurable);
  EXPECT_EQ(h.replies.back().after.number, reservation);
  h.Commit();
  h.Take();
  h.Create("reserved since", 1, options);  // While the next block waits.
  EXPECT_EQ(h.replies.back().after.store, StoreKind::kMemory);
}

}  // namespace
}  // namespace reeve
