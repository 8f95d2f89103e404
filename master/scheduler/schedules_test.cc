// Jobs at times.

#include "base/error.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"
#include "master/schedules/cadence.h"

namespace reeve {
namespace {

CreateSchedule Every(Harness* h, absl::Duration interval, const std::string& name = "beat") {
  CreateSchedule event;
  event.call = CallId(500);
  event.request_id = "create " + name;
  event.settings.name = name;
  event.settings.cadence =
      std::make_shared<const Cadence>(*Cadence::Every(interval, h->Now_().wall));
  event.settings.job.options.handler = "echo";
  event.settings.job.array_count = 1;
  return event;
}

ScheduleProgress ProgressOf(const Harness& h, const std::string& name = "beat") {
  return h.scheduler_.FindSchedule("", name)->progress;
}

ScheduleImage ImageOf(const Harness& h, const std::string& name = "beat") {
  const ScheduleView view = *h.scheduler_.FindSchedule("", name);
  return {"", name, {}, view.progress, "", 0, view.settings};
}

TEST(SchedulesTest, EachFireTimeMakesOneJobStartToStartWithoutDrift) {
  Harness h;
  h.Join(1, 4);
  h.Step(Every(&h, absl::Seconds(2)));
  const absl::Time begin = h.Now_().wall;
  EXPECT_LE(h.scheduler_.NextDeadline() - h.Now_().monotonic, absl::Seconds(2));
  for (int i = 0; i < 1'000; ++i) {
    h.Live(absl::Milliseconds(37));
    h.RunAll();
  }
  EXPECT_EQ(ProgressOf(h).fired, 18u);  // In 37 s.
  EXPECT_EQ(ProgressOf(h).last_time, begin + absl::Seconds(36));
  EXPECT_EQ(h.StateOf(JobId(18)), JobState::kSucceeded);
  EXPECT_EQ(h.scheduler_.FindJob(JobId(19)), std::nullopt);
}

TEST(SchedulesTest, TheJobAndTheRecordThatItFiredAreOneTransaction) {
  Harness h;
  h.Step(Every(&h, absl::Seconds(2)));
  h.clock_ += absl::Seconds(2);
  h.scheduler_.Step(h.Now_(), Tick{});
  const Effects effects = h.scheduler_.TakeEffects(h.Now_());
  ASSERT_EQ(effects.writes.size(), 1u);
  bool job = false, fired = false;
  for (const Write& write : effects.writes[0].writes) {
    job = job || std::holds_alternative<PutJob>(write);
    const auto* put = std::get_if<PutSchedule>(&write);
    fired = fired || (put != nullptr && put->progress.fired == 1);
  }
  EXPECT_TRUE(job);
  EXPECT_TRUE(fired);
}

TEST(SchedulesTest, OverlapIsSkippedQueuedReplacedOrAllowed) {
  for (const Overlap overlap :
       {Overlap::kSkip, Overlap::kQueue, Overlap::kReplace, Overlap::kAllow}) {
    Harness h;
    CreateSchedule event = Every(&h, absl::Seconds(2));
    event.settings.overlap = overlap;
    h.Step(event);
    h.Advance(absl::Seconds(2));
    h.Advance(absl::Seconds(2));
    const uint64_t jobs = h.scheduler_.totals().active_jobs;
    switch (overlap) {
      case Overlap::kSkip:
        EXPECT_EQ(jobs, 1u);
        EXPECT_EQ(ProgressOf(h).skipped, 1u);
        EXPECT_EQ(ProgressOf(h).last_error, "job 1 was unfinished");
        break;
      case Overlap::kQueue:
        EXPECT_EQ(jobs, 2u);
        EXPECT_EQ(h.scheduler_.FindJob(JobId(2))->counts.blocked, 1u);
        break;
      case Overlap::kReplace:
        EXPECT_EQ(jobs, 1u);
        EXPECT_EQ(h.StateOf(JobId(1)), JobState::kCancelled);
        break;
      case Overlap::kAllow:
        EXPECT_EQ(jobs, 2u);
        EXPECT_EQ(h.scheduler_.FindJob(JobId(2))->counts.blocked, 0u);
        break;
    }
  }
}

TEST(SchedulesTest, WhatPassedWhileNoMasterWasThereIsCaughtUpAsAsked) {
  for (const auto& [catch_up, expected] :
       {std::pair(CatchUp::kNone, 0u), {CatchUp::kLast, 1u}, {CatchUp::kAll, 5u}}) {
    Harness h;
    CreateSchedule event = Every(&h, absl::Seconds(2));
    event.settings.catch_up = catch_up;
    event.settings.overlap = Overlap::kAllow;
    h.Step(event);
    Image image = Harness::Fresh();
    image.epoch = Epoch(2);
    image.schedules.push_back(ImageOf(h));
    const absl::Time begin = h.Now_().wall;
    // Eleven seconds later.
    image.schedules[0].progress.next_time = begin + absl::Seconds(2) - absl::Seconds(11);
    image.schedules[0].settings.cadence = std::make_shared<const Cadence>(
        *Cadence::Every(absl::Seconds(2), begin - absl::Seconds(11)));
    Harness later(std::move(image));
    EXPECT_EQ(later.scheduler_.totals().active_jobs, expected);
    later.Advance(absl::Seconds(1));
    EXPECT_EQ(later.scheduler_.totals().active_jobs, expected + 1);  // And goes on.
  }
}

TEST(SchedulesTest, AFailingScheduleStopsNoOther) {
  Harness h;
  h.Join(1, 4);
  CreateSchedule bad = Every(&h, absl::Seconds(2), "bad");
  bad.settings.job.options.handler = "nobody has it";
  h.Step(bad);
  h.Step(Every(&h, absl::Seconds(2), "good"));
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(ProgressOf(h, "bad").last_error,
            "no connected worker offers the handler `nobody has it`");
  EXPECT_EQ(ProgressOf(h, "bad").skipped, 1u);
  EXPECT_EQ(ProgressOf(h, "good").fired, 1u);
  h.RunAll();
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(ProgressOf(h, "bad").skipped, 2u);
  EXPECT_EQ(ProgressOf(h, "good").fired, 2u);
}

TEST(SchedulesTest, APausedScheduleMakesNothingAndItsTimesArePassedOver) {
  Harness h;
  h.Step(Every(&h, absl::Seconds(2)));
  h.Step(ChangeSchedule{CallId(1), "", "beat", ChangeSchedule::What::kPause, ""});
  h.Advance(absl::Seconds(9));
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
  h.Step(ChangeSchedule{CallId(2), "", "beat", ChangeSchedule::What::kResume, ""});
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 0u);
  h.Advance(absl::Seconds(1));
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 1u);
}

// A fire time came again, with the request id of the job it had made.
TEST(SchedulesTest, ATimeThatHasFiredDoesNotComeAgainAfterAPauseAndAClockSetBack) {
  Harness h;
  h.Step(Every(&h, absl::Seconds(2)));
  const absl::Time begin = h.Now_().wall;
  h.Advance(absl::Seconds(2));
  EXPECT_EQ(ProgressOf(h).fired, 1u);
  h.Step(ChangeSchedule{CallId(1), "", "beat", ChangeSchedule::What::kPause, ""});
  h.wall_offset -= absl::Seconds(10);
  h.Step(ChangeSchedule{CallId(2), "", "beat", ChangeSchedule::What::kResume, ""});
  EXPECT_EQ(ProgressOf(h).next_time, begin + absl::Seconds(4));
}

TEST(SchedulesTest, RunNowIsOneJobMoreForEachRequest) {
  Harness h;
  h.Step(Every(&h, absl::Hours(1)));
  ChangeSchedule run{CallId(1), "", "beat", ChangeSchedule::What::kRun, "r"};
  h.Step(run);
  const JobId first = std::get<JobReply>(h.replies.back().body).view.job;
  h.Step(run);
  EXPECT_EQ(std::get<JobReply>(h.replies.back().body).view.job, first);
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 1u);
  run.name = "nobody";
  run.request_id = "s";
  h.Step(run);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "SCHEDULE_NOT_FOUND");
}

TEST(SchedulesTest, AfterItsLastJobAScheduleIsGone) {
  Harness h;
  CreateSchedule event = Every(&h, absl::Seconds(2));
  event.remaining = 2;
  event.settings.overlap = Overlap::kAllow;
  h.Step(event);
  for (int i = 0; i < 5; ++i) h.Advance(absl::Seconds(2));
  EXPECT_EQ(h.scheduler_.totals().active_jobs, 2u);
  EXPECT_EQ(h.scheduler_.FindSchedule("", "beat"), std::nullopt);
}

TEST(SchedulesTest, JitterDelaysTheStartAndIsTheSameForTheSameFireTime) {
  absl::Time due[2];
  for (absl::Time& time : due) {
    Harness h;
    h.Join(1, 4);
    CreateSchedule event = Every(&h, absl::Seconds(60));
    event.settings.jitter = absl::Seconds(30);
    h.Step(event);
    h.Advance(absl::Seconds(60));
    const auto task = h.scheduler_.FindTask(h.Now_(), JobId(1), 0);
    ASSERT_TRUE(task.has_value());
    ASSERT_EQ(task->state, TaskState::kScheduled);
    time = *task->due;
    EXPECT_GT(time, h.Now_().wall);
    EXPECT_LE(time, h.Now_().wall + absl::Seconds(30));
  }
  EXPECT_EQ(due[0], due[1]);
}

TEST(SchedulesTest, ANameIsTakenOnceAndARepeatIsNoSecond) {
  Harness h;
  CreateSchedule event = Every(&h, absl::Seconds(2));
  h.Step(event);
  h.Step(event);
  EXPECT_TRUE(h.LastStatus().ok());
  event.request_id = "other";
  h.Step(event);
  EXPECT_EQ(ErrorReason(h.LastStatus()), "SCHEDULE_EXISTS");
  h.Step(ChangeSchedule{CallId(2), "", "beat", ChangeSchedule::What::kDelete, ""});
  h.Step(event);
  EXPECT_TRUE(h.LastStatus().ok());
}

}  // namespace
}  // namespace reeve
