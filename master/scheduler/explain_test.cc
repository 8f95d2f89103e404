// Why a task waits: the right word for each of the situations.

#include "gtest/gtest.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

std::vector<Wait> WaitsOf(const Harness& h, uint64_t job = 1, TaskIndex index = 0) {
  return h.scheduler_.FindTask(h.Now_(), JobId(job), index)->waits;
}
std::string FirstOf(const Harness& h, uint64_t job = 1, TaskIndex index = 0) {
  return h.scheduler_.FindTask(h.Now_(), JobId(job), index)->explanations.at(0);
}

TEST(ExplainTest, NoWorkerNoHandlerNoFittingWorker) {
  Harness h;
  h.Create("a", 1);
  EXPECT_EQ(WaitsOf(h), std::vector<Wait>{Wait::kNoWorker});
  JobOptions other;
  other.handler = "other";
  h.Create("b", 1, other);
  JobExtras extras;
  extras.selector = {{"zone", "eu"}};
  h.CreateIt(h.CreateWith(extras));
  h.Join(1, 1);
  EXPECT_EQ(WaitsOf(h, 2), std::vector<Wait>{Wait::kNoHandler});
  EXPECT_EQ(WaitsOf(h, 3), std::vector<Wait>{Wait::kNoFittingWorker});
  EXPECT_EQ(FirstOf(h, 3),
            "It can run on none of the connected workers: no connected worker with the handler "
            "`echo` has zone=eu.");
}

TEST(ExplainTest, PlaceNamesWhatGoesFirst) {
  Harness h;
  h.Join(1, 1);
  h.Create("a", 10);
  h.Create("b", 10);
  EXPECT_EQ(WaitsOf(h, 2, 3), std::vector<Wait>{Wait::kPlace});
  EXPECT_EQ(FirstOf(h, 2, 3), "9 tasks of jobs of higher priority or created earlier go first.");
}

TEST(ExplainTest, DependencyNamesTheJobAndHowFarItIs) {
  Harness h;
  h.Create("a", 10);
  JobExtras extras;
  extras.after = {{JobId(1)}};
  h.CreateIt(h.CreateWith(extras));
  EXPECT_EQ(WaitsOf(h, 2), std::vector<Wait>{Wait::kDependency});
  EXPECT_EQ(FirstOf(h, 2), "It waits for job 1 to succeed; 10 of 10 tasks of that are unfinished.");
}

TEST(ExplainTest, PausedJobAndPausedQueue) {
  Harness h;
  h.Join(1, 1);
  UpdateQueue pause;
  pause.name = "q";
  pause.paused = true;
  h.Step(pause);
  JobOptions options;
  options.queue = "q";
  h.Create("a", 1, options);
  h.Step(PauseJob{CallId(9), JobId(1)});
  EXPECT_EQ(WaitsOf(h), (std::vector<Wait>{Wait::kPaused, Wait::kQueuePaused}));
}

TEST(ExplainTest, LimitsOfJobQueueAndKey) {
  Harness h;
  h.Join(1, 8);
  UpdateQueue limit;
  limit.name = "q";
  limit.max_in_flight = 1;
  h.Step(limit);
  JobOptions options;
  options.queue = "q";
  options.max_in_flight = 1;
  h.Create("a", 2, options);
  EXPECT_EQ(WaitsOf(h, 1, 1), (std::vector<Wait>{Wait::kJobLimit, Wait::kQueueLimit}));
  JobExtras keyed;
  keyed.keyed = true;
  keyed.key_max_in_flight = 1;
  h.CreateKeyed({5, 5}, keyed);
  EXPECT_EQ(WaitsOf(h, 2, 1), std::vector<Wait>{Wait::kKeyLimit});
}

TEST(ExplainTest, RatesOfQueueAndKey) {
  Harness h;
  h.Join(1, 8);
  UpdateQueue slow;
  slow.name = "q";
  slow.rate = Rate{1, absl::Seconds(10), 1};
  h.Step(slow);
  JobOptions options;
  options.queue = "q";
  h.Create("a", 2, options);
  EXPECT_EQ(WaitsOf(h, 1, 1), std::vector<Wait>{Wait::kQueueRate});
  EXPECT_EQ(FirstOf(h, 1, 1), "The rate of the queue q lets the next task start in 10s.");
  JobExtras keyed;
  keyed.keyed = true;
  keyed.key_rate = Rate{1, absl::Seconds(5), 1};
  h.CreateKeyed({5, 5}, keyed);
  EXPECT_EQ(WaitsOf(h, 2, 1), std::vector<Wait>{Wait::kKeyRate});
}

TEST(ExplainTest, ResourcesNameWhatIsShortAndWhere) {
  Harness h;
  h.resources = {{"gpu", 1'500}};
  h.Join(1, 8);
  JobExtras extras;
  extras.resources = {{"gpu", 1'000}};
  h.CreateIt(h.CreateWith(extras, 2));
  EXPECT_EQ(WaitsOf(h, 1, 1), std::vector<Wait>{Wait::kResources});
  EXPECT_EQ(FirstOf(h, 1, 1), "It needs 1 gpu, of which w-1 has 0.5 left.");
}

TEST(ExplainTest, BackOffAndStartTimeSayUntilWhen) {
  Harness h;
  h.Join(1, 1);
  h.Create("a", 1);
  h.Finish(1, h.TakeAssigned(1).at(0), {{0, TaskState::kFailed, Reason::kHandlerError}});
  EXPECT_EQ(WaitsOf(h), std::vector<Wait>{Wait::kBackOff});
  JobExtras extras;
  extras.start_time = h.Now_().wall + absl::Hours(2);
  h.CreateIt(h.CreateWith(extras));
  EXPECT_EQ(WaitsOf(h, 2), std::vector<Wait>{Wait::kStartTime});
  EXPECT_EQ(FirstOf(h, 2), "The job's start time is 1970-01-12T15:48:20Z, in 2h.");
}

TEST(ExplainTest, WorkersThatTakeNothing) {
  Harness h;
  h.Join(1, 1);
  h.Create("a", 5);
  h.Step(SetDrained{CallId(3), WorkerNumber(1), true});
  EXPECT_EQ(WaitsOf(h, 1, 3), std::vector<Wait>{Wait::kWorkersBusy});
}

}  // namespace
}  // namespace reeve
