// Which workers fit: labels, resources, and what no worker could ever run.

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
