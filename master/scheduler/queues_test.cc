// Whose turn it is: queues, owners, priorities and age, limits and rates.

#include <deque>

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

JobOptions InQueue(const std::string& queue, int32_t priority = kDefaultPriority) {
  JobOptions options;
  options.handler = "echo";
  options.queue = queue;
  options.priority = priority;
  return options;
}

UpdateQueue Change(const std::string& name) {
  UpdateQueue change;
  change.call = CallId(9'000);
  change.name = name;
  return change;
}

// Finishes what is handed out, task by task on one slot, until `count` tasks have run. Returns: how
// many of each job.
std::map<uint64_t, int> RunTasks(Harness* h, int count, absl::Duration each = absl::Seconds(1)) {
  std::map<uint64_t, int> ran;
  while (count > 0) {
    const std::vector<AssignedSpan> spans = h->TakeAssigned(1);
    if (spans.empty()) break;
    for (const AssignedSpan& span : spans) {
      ran[span.job.value] += static_cast<int>(span.run.count);
      count -= static_cast<int>(span.run.count);
      h->clock_ += each;
      h->Beat(1);
      h->Finish(1, span, {}, each);
    }
  }
  return ran;
}

// Worker 1, whose slots take task after task in the order of their arrival.
class Slots {
 public:
  Slots(Harness* h, uint32_t slots) : h_(h), slots_(slots) {}

  // How long each task of a job runs.
  std::map<uint64_t, absl::Duration> takes;
  // Slot seconds that each job has had.
  std::map<uint64_t, double> had;

  void Run(absl::Duration time) {
    const absl::Duration end = h_->clock_ + time;
    while (h_->clock_ < end) {
      for (const AssignedSpan& span : h_->TakeAssigned(1)) {
        for (TaskIndex i = span.run.first; i < span.run.end(); ++i)
          waiting_.push_back({span.job, span.lease, i});
      }
      while (running_.size() < slots_ && !waiting_.empty()) {
        const Task task = waiting_.front();
        waiting_.pop_front();
        running_.insert({h_->clock_ + takes.at(task.job.value), task});
      }
      absl::Duration next = std::min(end, h_->clock_ + absl::Seconds(1));
      if (!running_.empty()) next = std::min(next, running_.begin()->first);
      for (const auto& [at, task] : running_)
        had[task.job.value] += absl::ToDoubleSeconds(next - h_->clock_);
      h_->clock_ = next;
      if (h_->clock_ - beat_ >= absl::Seconds(1)) {
        beat_ = h_->clock_;
        std::vector<RunningTask> said;
        for (const auto& [at, task] : running_) {
          const absl::Duration ran = h_->clock_ - (at - takes.at(task.job.value));
          if (ran > absl::Seconds(1)) said.push_back({task.job, task.index, {}, {}, {}, ran});
        }
        h_->Beat(1, std::move(said));
      }
      while (!running_.empty() && running_.begin()->first <= h_->clock_) {
        const Task task = running_.begin()->second;
        running_.erase(running_.begin());
        h_->FinishRun(1, task.job, task.lease, {task.index, 1}, {}, takes.at(task.job.value));
      }
    }
  }
  // Of all that the jobs had, what `job` had.
  double PartOf(uint64_t job) const {
    double all = 0;
    for (const auto& [id, seconds] : had) all += seconds;
    return had.at(job) / all;
  }

 private:
  struct Task {
    JobId job;
    LeaseSeq lease;
    TaskIndex index;
  };
  Harness* h_;
  uint32_t slots_;
  std::deque<Task> waiting_;
  std::multimap<absl::Duration, Task> running_;
  absl::Duration beat_;
};

TEST(QueuesTest, OwnersShareTheTimeOfSlotsHoweverLongTheirTasksAre) {
  Harness h;
  JobOptions of_a = InQueue(""), of_b = InQueue("");
  of_a.owner = "a";
  of_b.owner = "b";
  h.Create("long", 1'000, of_a);
  h.Create("short", 1'000'000, of_b);
  h.Join(1, 4);
  Slots slots(&h, 4);
  slots.takes = {{1, absl::Seconds(60)}, {2, absl::Milliseconds(200)}};
  slots.Run(absl::Seconds(50));
  // No long task has ended yet, so nothing is known of them but what heartbeats say; nobody gives a
  // slot back before.
  EXPECT_NEAR(slots.PartOf(1), 0.5, 0.26);
  slots.Run(absl::Minutes(20));
  EXPECT_NEAR(slots.PartOf(1), 0.5, 0.05);
}

TEST(QueuesTest, WeightsHoldBetweenHandlersAndCosts) {
  for (const bool is_dear_heavy : {false, true}) {
    Harness h;
    h.offers = {{"cheap", Lane::kThread}, {"dear", Lane::kThread}};
    UpdateQueue heavy = Change("heavy");
    heavy.weight = 3;
    h.Step(heavy);
    JobOptions cheap = InQueue(is_dear_heavy ? "light" : "heavy");
    JobOptions dear = InQueue(is_dear_heavy ? "heavy" : "light");
    cheap.handler = "cheap";
    dear.handler = "dear";
    h.Create("cheap", 1'000'000, cheap);
    h.Create("dear", 1'000'000, dear);
    h.Join(1, 2);
    Slots slots(&h, 2);
    slots.takes = {{1, absl::Milliseconds(5)}, {2, absl::Seconds(3)}};
    slots.Run(absl::Minutes(3));
    EXPECT_NEAR(slots.PartOf(1), is_dear_heavy ? 0.25 : 0.75, 0.05);
  }
}

TEST(QueuesTest, WhoTakesHalfOfAResourceTakesHalfOfTheWorker) {
  Harness h;
  h.resources = {{"gpu", 2'000}};
  h.Join(1, 8);
  JobExtras extras;
  extras.resources = {{"gpu", 1'000}};
  CreateJob with = h.CreateWith(extras, 10'000);
  with.options.owner = "a";
  h.CreateIt(std::move(with));
  JobOptions plain = InQueue("");
  plain.owner = "b";
  h.Create("plain", 100'000, plain);
  Slots slots(&h, 8);
  slots.takes = {{1, absl::Seconds(2)}, {2, absl::Seconds(2)}};
  slots.Run(absl::Minutes(10));
  // One of its tasks counts as four slots: beside it, four of the other's.
  EXPECT_NEAR(slots.PartOf(1), 0.2, 0.05);
}

TEST(QueuesTest, AQueueOfWeightThreeGetsThreeForEachOneOfTheOther) {
  Harness h;
  UpdateQueue heavy = Change("heavy");
  heavy.weight = 3;
  h.Step(heavy);
  h.Create("a", 1'000, InQueue("heavy"));
  h.Create("b", 1'000, InQueue("light"));
  h.Join(1, 1);
  const std::map<uint64_t, int> ran = RunTasks(&h, 400);
  EXPECT_NEAR(ran.at(1), 300, 3);
  EXPECT_NEAR(ran.at(2), 100, 3);
}

TEST(QueuesTest, OwnersOfAQueueTakeTurnsWhoeverCameFirst) {
  Harness h;
  JobOptions of_a = InQueue(""), of_b = InQueue("");
  of_a.owner = "a";
  of_b.owner = "b";
  h.Create("many", 1'000'000, of_a);
  h.Join(1, 1);
  RunTasks(&h, 10);
  h.Create("few", 100, of_b);
  const std::map<uint64_t, int> ran = RunTasks(&h, 202);
  EXPECT_EQ(ran.at(2), 100);
  EXPECT_EQ(h.StateOf(JobId(2)), JobState::kSucceeded);
}

TEST(QueuesTest, WhoComesLateDoesNotGetWhatOthersHadBefore) {
  Harness h;
  h.Create("a", 10'000, InQueue("first"));
  h.Join(1, 1);
  RunTasks(&h, 1'000);
  h.Create("b", 10'000, InQueue("second"));
  const std::map<uint64_t, int> ran = RunTasks(&h, 200);
  EXPECT_NEAR(ran.at(1), 100, 2);
  EXPECT_NEAR(ran.at(2), 100, 2);
}

TEST(QueuesTest, HigherPriorityGoesFirstWithinAQueue) {
  Harness h;
  h.Create("low", 10, InQueue("", 0));
  h.Create("high", 10, InQueue("", 9));
  h.Join(1, 1);
  EXPECT_EQ(RunTasks(&h, 10, absl::Milliseconds(10)), (std::map<uint64_t, int>{{2, 10}}));
}

TEST(QueuesTest, AJobThatGetsNothingGrowsOlderUntilItGetsATask) {
  SchedulerOptions options;
  options.ageing = absl::Seconds(10);
  Harness h(Harness::Fresh(), options);
  h.Create("low", 100, InQueue("", 7));
  h.Create("high", 100'000, InQueue("", 9));
  h.Join(1, 1);
  // Two steps of ten seconds until it stands beside the other; then its first task, and again.
  const std::map<uint64_t, int> ran = RunTasks(&h, 100);
  EXPECT_GE(ran.at(1), 3);
  EXPECT_LE(ran.at(1), 8);
}

// A worker holds cheap tasks far ahead; what is dear never found it with a free slot.
TEST(QueuesTest, HandlersAndCostsDoNotDecideWhoGetsAWorker) {
  Harness h;
  h.offers = {{"cheap", Lane::kThread}, {"dear", Lane::kThread}};
  h.Join(1, 2);
  JobOptions cheap = InQueue(""), dear = InQueue("");
  cheap.handler = "cheap";
  dear.handler = "dear";
  h.Create("cheap", 10'000'000, cheap);
  const auto step = [&h](int turns) {
    std::map<uint64_t, uint64_t> ran;
    for (int i = 0; i < turns; ++i) {
      for (const AssignedSpan& span : h.TakeAssigned(1)) {
        ran[span.job.value] += span.run.count;
        h.Finish(1, span, {}, span.job == JobId(1) ? absl::Microseconds(1) : absl::Seconds(1));
      }
      h.Live(absl::Milliseconds(10));
    }
    return ran;
  };
  step(30);
  h.Create("dear", 1'000, dear);
  std::map<uint64_t, uint64_t> ran = step(20);
  EXPECT_GE(ran[2], 20u);
  EXPECT_GE(ran[1], 1'000u);
  // At a lower priority it waits until nothing goes before it, or it has grown old.
  h.Step(UpdateJob{CallId(1), JobId(2), 0, {}});
  step(3);
  ran = step(20);
  EXPECT_EQ(ran[2], 0u);
  EXPECT_GE(ran[1], 1'000u);
}

// It stood behind an older job once it was as high as that, and for ever.
TEST(QueuesTest, AJobOfTheHighestPriorityWithoutEndDoesNotStarveOneThatCameLater) {
  SchedulerOptions options;
  options.ageing = absl::Seconds(10);
  Harness h(Harness::Fresh(), options);
  h.Create("high", 100'000, InQueue("", 9));
  h.Create("low", 100, InQueue("", 7));
  h.Join(1, 1);
  const std::map<uint64_t, int> ran = RunTasks(&h, 100);
  EXPECT_GE(ran.at(2), 2);
  EXPECT_LE(ran.at(2), 6);
}

// Between two tasks of it the better job got as old as may be, and went first again by its id.
TEST(QueuesTest, AJobWhoseTasksTakeLongerThanAgeingLetsOthersIn) {
  SchedulerOptions options;
  options.ageing = absl::Seconds(2);
  Harness h(Harness::Fresh(), options);
  h.Create("high", 100, InQueue("", 8));
  h.Create("low", 100, InQueue("", 7));
  h.Join(1, 1);
  std::map<uint64_t, int> ran;
  for (int i = 0; i < 12; ++i) {
    for (const AssignedSpan& span : h.TakeAssigned(1)) {
      h.Live(absl::Seconds(10));
      ++ran[span.job.value];
      h.Finish(1, span, {}, absl::Seconds(10));
    }
  }
  EXPECT_EQ(ran[1] + ran[2], 12);
  EXPECT_GE(ran[2], 4);
  EXPECT_LE(ran[2], 7);
}

TEST(QueuesTest, AQueuesLimitHoldsOverAllItsJobs) {
  Harness h;
  UpdateQueue limit = Change("q");
  limit.max_in_flight = 3;
  h.Step(limit);
  h.Create("a", 10, InQueue("q"));
  h.Create("b", 10, InQueue("q"));
  h.Create("c", 10, InQueue("other"));
  h.Join(1, 16);
  EXPECT_EQ(h.scheduler_.FindQueue("q")->in_flight, 3u);
  EXPECT_EQ(h.scheduler_.FindQueue("other")->in_flight, 10u);
  h.RunAll();
  EXPECT_EQ(h.StateOf(JobId(1)), JobState::kSucceeded);
  EXPECT_EQ(h.StateOf(JobId(2)), JobState::kSucceeded);
}

TEST(QueuesTest, APausedQueueGivesNothingOutAndGoesOnWhenResumed) {
  Harness h;
  UpdateQueue pause = Change("q");
  pause.paused = true;
  h.Step(pause);
  h.Create("a", 10, InQueue("q"));
  h.Join(1, 4);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  UpdateQueue resume = Change("q");
  resume.paused = false;
  h.Step(resume);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 4u);
}

TEST(QueuesTest, StartsOfAQueuePassAtItsRateAndAreNotSavedUp) {
  Harness h;
  UpdateQueue slow = Change("q");
  slow.rate = Rate{10, absl::Seconds(1), 1};
  h.Step(slow);
  h.Create("a", 1'000, InQueue("q"));
  h.Join(1, 64);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 1u);
  uint64_t started = 0;
  for (int i = 0; i < 100; ++i) {
    h.Live(absl::Milliseconds(20));
    for (const AssignedSpan& span : h.TakeAssigned(1)) {
      EXPECT_TRUE(span.front);
      started += span.run.count;
      h.Finish(1, span);
    }
  }
  EXPECT_EQ(started, 20u);
  // While nothing could be placed nothing was saved up.
  UpdateQueue pause = Change("q"), resume = Change("q");
  pause.paused = true;
  resume.paused = false;
  h.Step(pause);
  h.Live(absl::Seconds(4));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Step(resume);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 1u);
}

TEST(QueuesTest, ADeadlineIsNamedForTheNextStartOfARate) {
  Harness h;
  UpdateQueue slow = Change("q");
  slow.rate = Rate{2, absl::Seconds(1), 1};
  h.Step(slow);
  h.Create("a", 10, InQueue("q"));
  h.Join(1, 4);
  EXPECT_EQ(h.scheduler_.NextDeadline() - h.Now_().monotonic, absl::Milliseconds(500));
}

TEST(QueuesTest, ABoundOnTasksRefusesJobsBeyondIt) {
  Harness h;
  UpdateQueue bound = Change("q");
  bound.max_tasks = 10;
  h.Step(bound);
  EXPECT_TRUE(h.Create("a", 8, InQueue("q")).status.ok());
  EXPECT_EQ(h.Create("b", 3, InQueue("q")).status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(h.Create("c", 3, InQueue("other")).status.ok());
  h.Join(1, 4);
  h.RunAll();
  EXPECT_TRUE(h.Create("d", 10, InQueue("q")).status.ok());
}

TEST(QueuesTest, RetriesOfAQueueWaitForItsRate) {
  Harness h;
  UpdateQueue budget = Change("q");
  budget.retry_rate = Rate{1, absl::Minutes(1), 1};
  h.Step(budget);
  JobOptions options = InQueue("q");
  options.max_attempts = 2;
  h.Create("a", 4, options);
  h.Join(1, 4);
  for (const AssignedSpan& span : h.TakeAssigned(1)) {
    std::vector<FailedEntry> all;
    for (uint32_t i = 0; i < span.run.count; ++i)
      all.push_back({i, TaskState::kFailed, Reason::kHandlerError});
    h.Finish(1, span, all);
  }
  uint64_t again = 0;
  for (int second = 0; second < 100; ++second) {
    h.Live(absl::Seconds(1));
    again += Count(h.TakeAssigned(1));
  }
  EXPECT_EQ(again, 2u);  // Of four: one within its back-off, one a minute later.
}

TEST(QueuesTest, SettingsAreWrittenAndComeBack) {
  Harness h;
  UpdateQueue change = Change("q");
  change.weight = 7;
  change.rate = Rate{5, absl::Minutes(1), 2};
  h.Step(change);
  const auto* put = std::get_if<PutQueue>(&h.writes.back());
  ASSERT_NE(put, nullptr);
  EXPECT_EQ(put->settings, h.scheduler_.FindQueue("q")->settings);
  Image image = Harness::Fresh();
  image.queues.push_back(put->settings);
  Harness later(std::move(image));
  EXPECT_EQ(later.scheduler_.FindQueue("q")->settings, put->settings);
}

TEST(QueuesTest, BeyondSoManyQueuesNoneIsSetUpAndTheOthersMayChange) {
  SchedulerOptions options;
  options.max_queues = 1;
  Harness h(Harness::Fresh(), options);
  h.Step(Change("a"));
  h.Step(Change("b"));
  ASSERT_TRUE(std::holds_alternative<StatusReply>(h.replies.back().body));
  EXPECT_EQ(h.LastStatus().code(), absl::StatusCode::kResourceExhausted);
  h.Step(Change("a"));
  EXPECT_TRUE(h.LastStatus().ok());
}

TEST(QueuesTest, AQueueWithJobsIsNotDeleted) {
  Harness h;
  h.Create("a", 1, InQueue("q"));
  h.Step(DeleteQueue{CallId(5), "q"});
  EXPECT_EQ(h.LastStatus().code(), absl::StatusCode::kFailedPrecondition);
  h.Step(DeleteQueue{CallId(6), "nobody"});
  EXPECT_EQ(h.LastStatus().code(), absl::StatusCode::kNotFound);
  h.Join(1, 1);
  h.RunAll();
  EXPECT_FALSE(h.scheduler_.FindQueue("q").has_value());  // It went with its last job.
}

}  // namespace
}  // namespace reeve
