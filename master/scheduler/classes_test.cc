// Which workers fit: labels, resources, and what no worker could ever run.

#include <deque>

#include "base/error.h"
#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

TEST(ClassesTest, OnlyWorkersWithTheLabelsGetTheJob) {
  Harness h;
  h.labels = {{"zone", "eu"}};
  h.Join(1, 4);
  h.labels = {{"zone", "us"}, {"gpu", ""}};
  h.Join(2, 4);
  JobExtras extras;
  extras.selector = {{"zone", "eu", LabelTerm::Kind::kDiffers},
                     {"gpu", "", LabelTerm::Kind::kExists}};
  h.CreateIt(h.CreateWith(extras, 10));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  EXPECT_EQ(Count(h.TakeAssigned(2)), 4u);
}

TEST(ClassesTest, ResourcesBoundWhatIsAtAWorker) {
  Harness h;
  h.resources = {{"gpu", 2'000}};
  h.Join(1, 16);
  JobExtras extras;
  extras.resources = {{"gpu", 500}};
  h.CreateIt(h.CreateWith(extras, 10));
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  EXPECT_EQ(Count(spans), 4u);
  EXPECT_EQ(h.scheduler_.ListWorkers()[0].used_resources, (Resources{{"gpu", 2'000}}));
  for (const AssignedSpan& span : spans) h.Finish(1, span, {}, absl::Microseconds(1));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 4u);  // However fast they are.
}

TEST(ClassesTest, ResourcesAreSharedBetweenJobs) {
  Harness h;
  h.resources = {{"licence", 3'000}};
  h.Join(1, 16);
  JobExtras two, one;
  two.resources = {{"licence", 2'000}};
  one.resources = {{"licence", 1'000}};
  h.CreateIt(h.CreateWith(two, 5));
  h.CreateIt(h.CreateWith(one, 5));
  std::map<uint64_t, uint64_t> held;
  for (const AssignedSpan& span : h.TakeAssigned(1)) held[span.job.value] += span.run.count;
  EXPECT_EQ(held, (std::map<uint64_t, uint64_t>{{1, 1}, {2, 1}}));
  h.RunAll();
}

struct OneTask {
  JobId job;
  LeaseSeq lease;
  TaskIndex index;
};

void TakeTasks(Harness* h, std::deque<OneTask>* tasks) {
  for (const AssignedSpan& span : h->TakeAssigned(1)) {
    for (TaskIndex i = span.run.first; i < span.run.end(); ++i)
      tasks->push_back({span.job, span.lease, i});
  }
}

void FinishFirst(Harness* h, std::deque<OneTask>* tasks) {
  const OneTask task = tasks->front();
  tasks->pop_front();
  h->FinishRun(1, task.job, task.lease, {task.index, 1}, {}, absl::Seconds(2));
}

TEST(ClassesTest, AWorkerIsKeptForWhatNeedsMoreThanOthersEverLeave) {
  Harness h;
  h.resources = {{"gpu", 4'000}};
  h.Join(1, 16);
  JobExtras little, much;
  little.resources = {{"gpu", 1'000}};
  much.resources = {{"gpu", 4'000}};
  const JobId small = h.CreateIt(h.CreateWith(little, 10'000));
  const JobId large = h.CreateIt(h.CreateWith(much, 1));
  std::deque<OneTask> there;
  absl::Duration waited;
  bool explained = false;
  for (; waited < absl::Minutes(1); waited += absl::Milliseconds(500)) {
    TakeTasks(&h, &there);
    ASSERT_FALSE(there.empty());
    if (there.front().job == large) break;
    // They end one by one, so that four are never free at once unless they are kept.
    h.Live(absl::Milliseconds(500));
    FinishFirst(&h, &there);
    const std::optional<TaskView> view = h.scheduler_.FindTask(h.Now_(), large, 0);
    for (const std::string& why : view->explanations)
      explained = explained || why.find("w-1 gives others nothing that it needs") != why.npos;
  }
  EXPECT_GE(waited, absl::Seconds(5));
  EXPECT_LE(waited, absl::Seconds(9));  // Four of them have to end.
  EXPECT_TRUE(explained);
  EXPECT_EQ(there.size(), 1u);
  // Others go on behind it.
  FinishFirst(&h, &there);
  const std::vector<AssignedSpan> next = h.TakeAssigned(1);
  ASSERT_EQ(Count(next), 4u);
  EXPECT_EQ(next[0].job, small);
}

TEST(ClassesTest, WhatWaitsForALowerPriorityIsKeptNothing) {
  Harness h;
  h.resources = {{"gpu", 2'000}};
  h.Join(1, 16);
  JobExtras little, much;
  little.resources = {{"gpu", 1'000}};
  much.resources = {{"gpu", 2'000}};
  h.CreateIt(h.CreateWith(little, 10'000));
  CreateJob low = h.CreateWith(much, 1);
  low.options.priority = 0;
  const JobId large = h.CreateIt(std::move(low));
  std::deque<OneTask> there;
  for (int i = 0; i < 40; ++i) {
    TakeTasks(&h, &there);
    ASSERT_EQ(there.size(), 2u);
    h.Live(absl::Milliseconds(500));
    EXPECT_NE(there.front().job, large);
    FinishFirst(&h, &there);
  }
}

TEST(ClassesTest, WhatNoWorkerCouldEverRunIsRefused) {
  Harness h;
  h.resources = {{"cpus", 4'000}};
  h.Join(1, 4);
  JobExtras extras;
  extras.resources = {{"cpus", 8'000}};
  h.Step(h.CreateWith(extras));
  EXPECT_EQ(ErrorReason(h.LastStatus()), "NO_FITTING_WORKER");
  EXPECT_EQ(h.LastStatus().message(), "no worker that could run it has 8 cpus; the most is 4");
  extras = {};
  extras.selector = {{"zone", "mars"}};
  h.Step(h.CreateWith(extras));
  EXPECT_EQ(ErrorReason(h.LastStatus()), "NO_FITTING_WORKER");
  EXPECT_EQ(h.LastStatus().message(), "no connected worker with the handler `echo` has zone=mars");
}

TEST(ClassesTest, PackFillsOneWorkerBeforeTheNext) {
  for (const bool pack : {false, true}) {
    Harness h;
    h.Join(1, 8);
    h.Join(2, 8);
    JobExtras extras;
    extras.pack = pack;
    h.CreateIt(h.CreateWith(extras, 8));
    const uint64_t first = Count(h.TakeAssigned(1)), second = Count(h.TakeAssigned(2));
    EXPECT_EQ(std::max(first, second), pack ? 8u : 4u);
    EXPECT_EQ(std::min(first, second), pack ? 0u : 4u);
  }
}

TEST(ClassesTest, ADrainedWorkerStaysAndGetsNothingUntilItIsUndrained) {
  Harness h;
  h.Join(1, 4);
  h.Step(SetDrained{CallId(3), WorkerNumber(1), true});
  EXPECT_TRUE(h.LastStatus().ok());
  h.Create("a", 4);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  EXPECT_EQ(h.scheduler_.ListWorkers()[0].state, WorkerView::State::kDrained);
  h.Join(1, 4, "another process");  // Whatever its process does.
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  h.Step(SetDrained{CallId(4), WorkerNumber(1), false});
  EXPECT_EQ(Count(h.TakeAssigned(1)), 4u);
  h.Step(SetDrained{CallId(5), WorkerNumber(77), true});
  EXPECT_EQ(h.LastStatus().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace reeve
