// Which worker is given how much, and when.

#include <deque>

#include "base/input_batch.h"
#include "gtest/gtest.h"
#include "master/scheduler/scheduler.h"
#include "master/scheduler/test_harness.h"

namespace reeve {
namespace {

TEST(PlacementTest, UnknownCostGivesOneTaskASlotAndKnownCostMore) {
  Harness h;
  h.Join(1, 4);
  h.Create("r", 100'000);
  std::vector<AssignedSpan> spans = h.TakeAssigned(1);
  EXPECT_EQ(Count(spans), 4u);
  for (const AssignedSpan& span : spans) h.Finish(1, span);
  EXPECT_GT(Count(h.TakeAssigned(1)), 4u);
}

// Two thousand commands took two thousand assignments, one for each result.
TEST(PlacementTest, AWorkerIsGivenMoreOnceAPartOfItsWindowIsFree) {
  Harness h;
  h.Join(1, 4);
  h.Create("a", 100'000);
  const auto finish = [&h](const AssignedSpan& span, reeve::Run run) {
    h.FinishRun(1, span.job, span.lease, run, {}, absl::Milliseconds(1));
  };
  for (int i = 0; i < 10; ++i) {
    for (const AssignedSpan& span : h.TakeAssigned(1)) finish(span, span.run);
  }
  // 4 slots and 25 ms ahead on each of them.
  const std::vector<AssignedSpan> held = h.TakeAssigned(1);
  ASSERT_EQ(Count(held), 104u);
  ASSERT_GE(held[0].run.count, 26u);
  for (uint32_t i = 0; i < 25; ++i) finish(held[0], {held[0].run.first + i, 1});
  EXPECT_EQ(Count(h.TakeAssigned(1)), 0u);
  finish(held[0], {held[0].run.first + 25, 1});
  EXPECT_EQ(Count(h.TakeAssigned(1)), 26u);
}

// Eight workers got an eighth each of every batch of tiny tasks, and woke up for it.
TEST(PlacementTest, WhatOneWorkerGetsThroughInAMomentIsNotDivided) {
  for (const auto& [cost, expected] :
       {std::pair(absl::Nanoseconds(100), 1), std::pair(absl::Milliseconds(10), 8)}) {
    Harness h;
    for (uint64_t worker = 1; worker <= 8; ++worker) h.Join(worker, 2);
    CreateJob create;
    create.call = CallId(1);
    create.request_id = "r";
    create.options.handler = "echo";
    create.open = true;
    h.Step(create);
    h.Step(OpenAppender{CallId(2), JobId(1), "a"});
    InputBatchBuilder inputs;
    for (int i = 0; i < 1'000; ++i) inputs.Add("");
    const InputsRef thousand = *InputBatch::Parse(Buffer(inputs.Finish()));
    int got = 0;
    for (uint64_t batch = 0; batch < 20; ++batch) {
      h.Step(AppendTasks{CallId(2), batch * 1'000, thousand, 1'000, 1});
      got = 0;  // Workers that the newest batch woke up.
      for (uint64_t worker = 1; worker <= 8; ++worker)
        got += !h.assigned[SessionId(worker)].empty();
      for (bool any = true; any;) {
        any = false;
        for (uint64_t worker = 1; worker <= 8; ++worker) {
          for (const AssignedSpan& span : h.TakeAssigned(worker)) {
            any = true;
            h.Finish(worker, span, {}, cost);
          }
        }
      }
    }
    EXPECT_EQ(got, expected) << absl::FormatDuration(cost);
  }
}

TEST(PlacementTest, ASlotDoesNotWaitForOthersToBeFree) {
  Harness h;
  h.Join(1, 4);
  h.Create("a", 1'000);
  std::deque<AssignedSpan> held;
  for (int i = 0; i < 100; ++i) {
    for (AssignedSpan& span : h.TakeAssigned(1)) held.push_back(std::move(span));
    const AssignedSpan span = std::exchange(held.front(), {});
    held.pop_front();
    h.Finish(1, span, {}, absl::Seconds(10));
    uint64_t running = Count(h.assigned[SessionId(1)]);
    for (const AssignedSpan& other : held) running += other.run.count;
    ASSERT_GE(running, 4u);
  }
}

TEST(PlacementTest, TheInFlightLimitHolds) {
  Harness h;
  h.Join(1, 16);
  JobOptions options;
  options.max_in_flight = 3;
  h.Create("r", 100, options);
  EXPECT_EQ(Count(h.TakeAssigned(1)), 3u);
  const auto task = h.scheduler_.FindTask(h.Now_(), JobId(1), 50);
  EXPECT_EQ(task->state, TaskState::kReady);
  EXPECT_NE(task->explanations.front().find("max_in_flight"), std::string::npos);
}

TEST(PlacementTest, HigherPriorityGoesFirst) {
  Harness h;
  JobOptions low, high;
  low.priority = -1;
  high.priority = 1;
  h.Create("low", 10, low);
  const JobId urgent = h.Create("high", 10, high).view.job;
  h.Join(1, 4);
  for (const AssignedSpan& span : h.TakeAssigned(1)) EXPECT_EQ(span.job, urgent);
}

TEST(PlacementTest, AnIdleWorkerGetsWhatAnotherHoldsAhead) {
  Harness h;
  h.Join(1, 1);
  h.Create("r", 200);
  // Cheap at first, so that the worker is given many.
  for (int i = 0; i < 12; ++i) {
    for (const AssignedSpan& span : h.TakeAssigned(1)) {
      if (Count({span}) < 40)
        h.Finish(1, span, {}, absl::Microseconds(300));
      else
        h.assigned[SessionId(1)].push_back(span);
    }
  }
  h.Join(2, 1);
  h.Advance(absl::Seconds(1));
  uint64_t recalls = 0;
  for (const LinkSend& send : h.sends) recalls += std::holds_alternative<SendRecall>(send.message);
  const uint64_t to_second = Count(h.TakeAssigned(2));
  EXPECT_TRUE(recalls > 0 || to_second > 0);
}

// A job of `count` inputs that are said to be of `each` bytes.
CreateJob WithInputs(uint32_t count, uint64_t each) {
  InputBatchBuilder batch;
  for (uint32_t i = 0; i < count; ++i) batch.Add("x");
  CreateJob create;
  create.call = CallId(77);
  create.request_id = "r";
  create.options.handler = "echo";
  create.inputs = *InputBatch::Parse(Buffer(batch.Finish()));
  create.input_count = count;
  create.input_bytes = count * each;
  return create;
}

// Windows count tasks: a million echoes of 1 KiB had a worker hold 250 MiB ahead of its slots.
TEST(PlacementTest, AWorkerHoldsNoMoreBytesOfInputsThanItsBound) {
  SchedulerOptions options;
  options.resident_bytes = 1u << 30;  // Nothing has to be loaded.
  Harness h(Harness::Fresh(), options);
  h.Join(1, 4);
  h.Step(WithInputs(200, 1u << 20));
  std::deque<AssignedSpan> held;
  uint64_t most = 0, holds = 0, ended = 0;
  for (;;) {
    for (AssignedSpan& span : h.TakeAssigned(1)) {
      holds += span.run.count;
      held.push_back(std::move(span));
    }
    most = std::max(most, holds);
    if (held.empty()) break;
    const AssignedSpan span = std::exchange(held.front(), {});
    held.pop_front();
    holds -= span.run.count;
    ended += span.run.count;
    h.Finish(1, span);
  }
  EXPECT_EQ(ended, 200u);
  EXPECT_EQ(most, options.max_held_bytes_per_worker >> 20) << "of 1 MiB each";
}

TEST(PlacementTest, ASlotIsGivenATaskHoweverLargeItsInput) {
  Harness h;
  h.Join(1, 4);
  h.Step(WithInputs(6, 10u << 20));
  EXPECT_EQ(Count(h.TakeAssigned(1)), 4u);
}

// 100,000 jobs of one small task asked for all their inputs at once after a restart.
TEST(PlacementTest, SmallInputsAreLoadedSoManyAtATimeToo) {
  SchedulerOptions options;
  options.resident_bytes = 0;  // Everything must be loaded.
  options.load_ahead_chunks = 2;
  Harness h(Harness::Fresh(), options);
  for (int i = 0; i < 5; ++i) {
    CreateJob create = WithInputs(1, 1);
    create.request_id += std::to_string(i);
    h.Step(std::move(create));
  }
  h.Join(1, 8);
  std::vector<LoadInputs> loads = std::exchange(h.loads, {});
  ASSERT_EQ(loads.size(), 2u);
  const InputsRef inputs = WithInputs(1, 1).inputs;
  h.Step(InputsLoaded{loads[0].job, 0, inputs});
  EXPECT_EQ(h.loads.size(), 1u) << "one has come, one goes";
  for (size_t i = 0; i < h.loads.size(); ++i) h.Step(InputsLoaded{h.loads[i].job, 0, inputs});
  h.Step(InputsLoaded{loads[1].job, 0, inputs});
  for (size_t i = 0; i < h.loads.size(); ++i) h.Step(InputsLoaded{h.loads[i].job, 0, inputs});
  EXPECT_EQ(Count(h.TakeAssigned(1)), 5u);
}

}  // namespace
}  // namespace reeve
