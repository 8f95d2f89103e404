#include "worker/lanes/thread_lane.h"

#include <atomic>
#include <barrier>
#include <latch>
#include <stdexcept>

#include "base/input_batch.h"
#include "gtest/gtest.h"
#include "worker/lanes/lane_test_sink.h"

namespace reeve {
namespace {

TEST(ThreadLaneTest, EveryTaskOfASpanIsReportedOnceWithItsOwnInput) {
  HandlerRegistry registry;
  registry.Add("echo", [](TaskContext&, std::string_view input) { return std::string(input); });
  Sink sink;
  ThreadLane lane(4, &registry, &sink);
  lane.Start(ArraySpan("echo", 100'000));
  const auto outcomes = sink.WaitFor(100'000);
  for (const auto& [index, outcome] : outcomes) {
    ASSERT_EQ(outcome.state, TaskState::kSucceeded);
    ASSERT_EQ(outcome.output, std::to_string(100 - 2 * int64_t{index}));
  }
}

LaneSpan AcceptingSpan(uint32_t count) {
  LaneSpan span = ArraySpan("add", count);
  auto job = std::make_shared<JobContext>(*span.job);
  job->array_start = 0;
  job->array_step = 1;
  job->accepts_inputs = true;
  span.job = job;
  return span;
}

TEST(ThreadLaneTest, WhatSuccessfulAttemptsAddTravelsWithTheirResults) {
  HandlerRegistry registry;
  registry.Add("add", [](TaskContext& task, std::string_view input) -> absl::StatusOr<std::string> {
    for (uint32_t i = 0; i < task.index() % 3; ++i) {
      const absl::Status added = task.AddInput({{task.index(), i}}, std::string(input) + "!");
      if (!added.ok()) return added;
    }
    if (task.index() % 5 == 0) return absl::InternalError("adds nothing");
    return std::string("done");
  });
  Sink sink;
  ThreadLane lane(4, &registry, &sink);
  lane.Start(AcceptingSpan(10'000));
  sink.WaitFor(10'000);
  std::multimap<TaskIndex, std::pair<InputKey, std::string>> expected;
  for (uint32_t index = 0; index < 10'000; ++index) {
    for (uint32_t i = 0; i < index % 3 && index % 5 != 0; ++i)
      expected.emplace(index, std::pair(InputKey{{index, i}}, std::to_string(index) + "!"));
  }
  EXPECT_EQ(sink.inputs(), expected);
}

TEST(ThreadLaneTest, WhatTasksThatSucceedCountIsReportedOnce) {
  HandlerRegistry registry;
  registry.Add("count", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    for (int64_t i = 0; i < 3; ++i) {
      if (absl::Status s = task.Count("sum", task.index()); !s.ok()) return s;
    }
    if (absl::Status s = task.Count("tasks"); !s.ok()) return s;
    if (task.index() % 5 == 0) return absl::InternalError("counts nothing");
    return std::string();
  });
  Sink sink;
  ThreadLane lane(4, &registry, &sink);
  lane.Start(ArraySpan("count", 10'000));
  sink.WaitFor(10'000);
  int64_t sum = 0;
  for (int64_t index = 0; index < 10'000; ++index) sum += index % 5 == 0 ? 0 : 3 * index;
  EXPECT_EQ(sink.counters(), (std::map<std::string, int64_t>{{"sum", sum}, {"tasks", 8'000}}));
}

TEST(ThreadLaneTest, AnAttemptLogsLinesOfABoundedLength) {
  HandlerRegistry registry;
  registry.Add("log", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    task.Log("first");
    task.Log(std::string(100'000, 'x'));
    return std::string();
  });
  Sink sink;
  ThreadLane lane(2, &registry, &sink);
  lane.Start(ArraySpan("log", 2));
  sink.WaitFor(2);
  const std::string log = "first\n" + std::string(65'536, 'x') + "\n";
  EXPECT_EQ(sink.logs(), (std::map<TaskIndex, std::string>{{0, log}, {1, log}}));
}

TEST(ThreadLaneTest, ProgressIsThatOfTheAttemptThatRuns) {
  HandlerRegistry registry;
  std::atomic<int> step{0};
  registry.Add("go", [&](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    if (task.index() == 0) task.Progress(0.1234, std::string(300, 'n'));
    step.store(static_cast<int>(task.index()) * 2 + 1);
    while (step.load() == static_cast<int>(task.index()) * 2 + 1) task.Sleep(absl::Milliseconds(1));
    return std::string();
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("go", 2));
  const auto running = [&](int until) {
    while (step.load() != until) absl::SleepFor(absl::Milliseconds(1));
    return lane.Running(absl::ZeroDuration(), 10).at(0);
  };
  const RunningAttempt first = running(1);
  EXPECT_EQ(first.index, 0u);
  EXPECT_EQ(first.progress.permille, 123u);
  EXPECT_EQ(first.progress.note, std::string(200, 'n'));
  step.store(2);
  const RunningAttempt second = running(3);
  EXPECT_EQ(second.index, 1u);
  EXPECT_EQ(second.progress.permille, AttemptProgress::kUntold);
  EXPECT_EQ(second.progress.note, "");
  step.store(4);
  sink.WaitFor(2);
}

TEST(ThreadLaneTest, AnAttemptHasABoundOfCounters) {
  HandlerRegistry registry;
  registry.Add("count", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    for (size_t i = 0; i < kMaxCounters; ++i) {
      if (absl::Status s = task.Count("n" + std::to_string(i)); !s.ok()) return s;
    }
    return std::string(task.Count("one more").message()) + ", " +
           std::string(task.Count("one-more").message());
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("count", 1));
  EXPECT_EQ(sink.WaitFor(1).at(0).output,
            "`one more` is no name for a counter: [A-Za-z0-9_.-]{1,64}, at most 64 counters");
  EXPECT_EQ(sink.counters().size(), kMaxCounters);
}

// A thread that knew the last job alone began with a report for one task each time.
TEST(ThreadLaneTest, JobsThatTakeTurnsAreStillReportedTogether) {
  HandlerRegistry registry;
  registry.Add("echo", [](TaskContext&, std::string_view input) { return std::string(input); });
  Sink sink;
  std::atomic<int> reports = 0;
  sink.on_told = [&reports] { ++reports; };
  ThreadLane lane(1, &registry, &sink);
  constexpr TaskIndex kCount = 100;
  for (TaskIndex round = 0; round < 40; ++round) {
    LaneSpan span = ArraySpan("echo", 1, 1 + round % 2);
    span.key = SpanKey(100 + round);
    span.run = {round * kCount, kCount};
    lane.Start(std::move(span));
    sink.WaitFor((round + 1) * kCount);
  }
  EXPECT_LT(reports.load(), 80);  // 1 + 4 + 16 + 64 + 15 were five for each of the forty.
}

TEST(ThreadLaneTest, NewInputsHaveTheirBounds) {
  HandlerRegistry registry;
  registry.Add("add", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    const InputKey key{{task.index(), 0}};
    switch (task.index()) {
      case 0: {
        const absl::Status added = task.AddInput(key, std::string(kMaxPayloadBytes, 'x'));
        return std::string(added.ok() ? "took it" : "refused");
      }
      case 1:
        for (uint32_t i = 0; i < kMaxNewInputs; ++i) {
          if (!task.AddInput(key, "").ok()) return std::string("refused early");
        }
        return std::string(task.AddInput(key, "").ok() ? "took it" : "refused");
      default:
        (void)task.AddInput(key, std::string(kMaxPayloadBytes / 2, 'x'));
        return std::string(kMaxPayloadBytes / 2, 'y');
    }
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(AcceptingSpan(3));
  auto outcomes = sink.WaitFor(3);
  EXPECT_EQ(outcomes[0].output, "refused");
  EXPECT_EQ(outcomes[1].output, "refused");
  EXPECT_EQ(outcomes[2].reason, Reason::kResultTooLarge);
  EXPECT_EQ(sink.inputs().size(), size_t{kMaxNewInputs});
}

TEST(ThreadLaneTest, AJobThatDoesNotAcceptInputsSaysSo) {
  HandlerRegistry registry;
  registry.Add("add", [](TaskContext& task, std::string_view) {
    return absl::StatusOr<std::string>(task.AddInput({}, "x"));
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("add", 1));
  EXPECT_EQ(sink.WaitFor(1).at(0).message, "the job does not accept new inputs");
}

TEST(ThreadLaneTest, InputsOfDifferentLengthReachTheirTasks) {
  HandlerRegistry registry;
  registry.Add("echo", [](TaskContext&, std::string_view input) { return std::string(input); });
  Sink sink;
  ThreadLane lane(2, &registry, &sink);
  LaneSpan span = ArraySpan("echo", 3);
  auto job = std::make_shared<JobContext>(*span.job);
  job->is_array = false;
  span.job = job;
  span.run = {7, 3};
  span.inputs_first = 7;
  span.inputs = SpanInputs(Buffer(std::string("abbccc")), std::vector<uint32_t>{1, 3, 6});
  lane.Start(std::move(span));
  const auto outcomes = sink.WaitFor(3);
  EXPECT_EQ(outcomes.at(7).output, "a");
  EXPECT_EQ(outcomes.at(8).output, "bb");
  EXPECT_EQ(outcomes.at(9).output, "ccc");
}

TEST(ThreadLaneTest, FourTasksThatMeetAtABarrierFinishOnFourThreads) {
  std::barrier meeting(4);
  HandlerRegistry registry;
  registry.Add("meet", [&meeting](TaskContext&, std::string_view) {
    meeting.arrive_and_wait();
    return std::string("met");
  });
  Sink sink;
  ThreadLane lane(4, &registry, &sink);
  lane.Start(ArraySpan("meet", 4));
  EXPECT_EQ(sink.WaitFor(4).size(), 4u);
}

TEST(ThreadLaneTest, AClaimStuckBehindASlowTaskIsTakenOverByAnIdleThread) {
  // The last tasks wait for each other although one thread may have claimed several of them.
  std::latch last(4);
  HandlerRegistry registry;
  registry.Add("mixed", [&last](TaskContext& task, std::string_view) {
    if (task.index() >= 5000) last.arrive_and_wait();
    return std::string();
  });
  Sink sink;
  ThreadLane lane(4, &registry, &sink);
  lane.Start(ArraySpan("mixed", 5004));
  EXPECT_EQ(sink.WaitFor(5004).size(), 5004u);
}

TEST(ThreadLaneTest, ErrorsAndExceptionsAreOutcomesOfTheirTaskAlone) {
  HandlerRegistry registry;
  registry.Add("fail", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    if (task.index() == 0) return absl::InternalError("broken");
    if (task.index() == 1) throw std::runtime_error("thrown");
    if (task.index() == 2) return absl::InvalidArgumentError("not a number");
    if (task.index() == 3) return std::string(kMaxPayloadBytes + 1, 'x');
    return std::string("fine");
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("fail", 5));
  const auto outcomes = sink.WaitFor(5);
  EXPECT_EQ(outcomes.at(0).reason, Reason::kHandlerError);
  EXPECT_EQ(outcomes.at(0).message, "broken");
  EXPECT_EQ(outcomes.at(1).reason, Reason::kHandlerError);
  EXPECT_NE(outcomes.at(1).message.find("thrown"), std::string::npos);
  EXPECT_EQ(outcomes.at(2).reason, Reason::kBadInput);
  EXPECT_EQ(outcomes.at(3).reason, Reason::kResultTooLarge);
  EXPECT_EQ(outcomes.at(4).state, TaskState::kSucceeded);
}

// A message of 5 MB made a frame that no master takes: the worker sent it for good, and nothing
// else.
TEST(ThreadLaneTest, ALongMessageIsCutBetweenCharacters) {
  HandlerRegistry registry;
  registry.Add("fail", [](TaskContext&, std::string_view) -> absl::StatusOr<std::string> {
    std::string message = "x";
    while (message.size() < 5'000'000) message += "\u00e9";
    return absl::InternalError(message);
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("fail", 1));
  const std::string message = sink.WaitFor(1).at(0).message;
  EXPECT_EQ(message.size(), size_t{kMaxFailureBytes} - 1);
  EXPECT_EQ(message.substr(message.size() - 2), "\u00e9");
}

TEST(ThreadLaneTest, WhatIsCutIsNeitherRunNorReported) {
  std::latch begun(1), release(1);
  std::atomic<int> ran{0};
  HandlerRegistry registry;
  registry.Add("wait", [&](TaskContext& task, std::string_view) {
    ++ran;
    if (task.index() == 0) {
      begun.count_down();
      release.wait();
    }
    return std::string();
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("wait", 10));
  begun.wait();
  EXPECT_EQ(lane.Cut(SpanKey(1), 4), (std::vector<reeve::Run>{{4, 6}}));
  EXPECT_TRUE(lane.Cut(SpanKey(1), 4).empty());
  release.count_down();
  EXPECT_EQ(sink.WaitFor(4).size(), 4u);
  EXPECT_EQ(ran.load(), 4);
  EXPECT_TRUE(lane.Cut(SpanKey(1), 0).empty());
}

TEST(ThreadLaneTest, ACancelledTaskIsToldAndReportedCancelled) {
  std::latch begun(1);
  HandlerRegistry registry;
  registry.Add("sleep", [&](TaskContext& task, std::string_view) {
    if (task.index() == 0) begun.count_down();
    task.Sleep(absl::Hours(1));
    return std::string("slept");
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("sleep", 3));
  begun.wait();
  EXPECT_EQ(lane.Cancel(SpanKey(1), {0, 3}), (std::vector<reeve::Run>{{1, 2}}));
  const auto outcomes = sink.WaitFor(1);
  EXPECT_EQ(outcomes.at(0).state, TaskState::kCancelled);
  EXPECT_EQ(outcomes.at(0).output, "");
}

// The worker's loop asks the lane, while the lane waits for it to take a report.
TEST(ThreadLaneTest, TheLaneAnswersWhileItsSinkDoesNotTakeWhatItTells) {
  std::latch release(1);
  HandlerRegistry registry;
  registry.Add("deaf", [&](TaskContext&, std::string_view) {
    release.wait();
    return std::string();
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  sink.on_told = [&lane] { (void)lane.Cut(SpanKey(9), 0); };
  lane.Start(ArraySpan("deaf", 1, 1, absl::Milliseconds(30)));
  EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kTimeout);
  release.count_down();
}

TEST(ThreadLaneTest, ATaskPastItsLimitIsReportedAndItsSlotIsStuckUntilItReturns) {
  std::latch release(1);
  HandlerRegistry registry;
  registry.Add("deaf", [&](TaskContext& task, std::string_view) {
    if (task.index() == 0) release.wait();
    return std::string("late");
  });
  Sink sink;
  ThreadLane lane(2, &registry, &sink);
  lane.Start(ArraySpan("deaf", 3, 1, absl::Milliseconds(30)));
  const auto outcomes = sink.WaitFor(3);
  EXPECT_EQ(outcomes.at(0).reason, Reason::kTimeout);
  EXPECT_EQ(outcomes.at(1).state, TaskState::kSucceeded);
  EXPECT_EQ(lane.stuck(), 1u);
  release.count_down();
  // The late outcome is discarded: the sink would refuse a second report.
  while (lane.stuck() > 0) std::this_thread::yield();
}

TEST(ThreadLaneTest, AFailedAttemptSaysWhetherAndWhenToTryAgain) {
  HandlerRegistry registry;
  registry.Add("fail", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    if (task.index() == 0) return Permanent(absl::InternalError("never"));
    if (task.index() == 1) return AgainAfter(absl::Seconds(30), "later");
    if (task.index() == 2) return absl::InternalError("no word");
    return std::string("fine");
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("fail", 4));
  const auto outcomes = sink.WaitFor(4);
  EXPECT_TRUE(outcomes.at(0).words.permanent);
  EXPECT_EQ(outcomes.at(0).words.again, std::nullopt);
  EXPECT_EQ(outcomes.at(0).message, "never");
  EXPECT_FALSE(outcomes.at(1).words.permanent);
  EXPECT_EQ(outcomes.at(1).words.again, absl::Seconds(30));
  EXPECT_EQ(outcomes.at(1).reason, Reason::kHandlerError);
  EXPECT_FALSE(outcomes.at(2).words.permanent);
  EXPECT_EQ(outcomes.at(2).words.again, std::nullopt);
  EXPECT_EQ(outcomes.at(3).state, TaskState::kSucceeded);
}

TEST(ThreadLaneTest, AFailedAttemptLeavesDetailsItsOwnOrThoseItGot) {
  HandlerRegistry registry;
  registry.Add("fail", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    const std::string got(task.details());
    if (task.index() == 1) (void)task.KeepDetails("first");
    if (task.index() == 1) (void)task.KeepDetails("own");
    if (task.index() == 2) (void)task.KeepDetails("");
    if (task.index() == 3) return task.KeepDetails(std::string(kMaxDetailsBytes + 1, 'd'));
    return absl::InternalError(got);
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  LaneSpan span = ArraySpan("fail", 4);
  span.details = "before";
  lane.Start(span);
  const auto outcomes = sink.WaitFor(4);
  EXPECT_EQ(outcomes.at(0).message, "before");
  EXPECT_EQ(outcomes.at(0).words.details, "before");
  EXPECT_EQ(outcomes.at(1).words.details, "own");
  EXPECT_EQ(outcomes.at(2).words.details, "");
  EXPECT_EQ(outcomes.at(3).message, "details have at most 1024 bytes, these have 1025");
  EXPECT_EQ(outcomes.at(3).words.details, "before");
}

// They travel in the part of a frame that has no more than 4 MiB.
TEST(ThreadLaneTest, ReportsAreClosedAtABoundOfDetails) {
  HandlerRegistry registry;
  registry.Add("fail", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    if (absl::Status s = task.KeepDetails(std::string(kMaxDetailsBytes, 'd')); !s.ok()) return s;
    return absl::InternalError("");
  });
  Sink sink;
  ThreadLane lane(2, &registry, &sink);
  lane.Start(ArraySpan("fail", 20'000));
  for (const auto& [index, outcome] : sink.WaitFor(20'000))
    ASSERT_EQ(outcome.words.details.size(), kMaxDetailsBytes);
  EXPECT_LE(sink.most_details(), (512u << 10) + kMaxDetailsBytes);
}

TEST(ThreadLaneTest, DetailsOfAnAttemptAreSeenWhileItRunsAndKeptAtItsTimeLimit) {
  std::latch left(1), go_on(1);
  HandlerRegistry registry;
  registry.Add("deaf", [&](TaskContext& task, std::string_view) {
    (void)task.KeepDetails("at 7");
    left.count_down();
    go_on.wait();
    return std::string();
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("deaf", 1, 1, absl::Milliseconds(50)));
  left.wait();
  const auto outcomes = sink.WaitFor(1);
  EXPECT_EQ(outcomes.at(0).reason, Reason::kTimeout);
  EXPECT_EQ(outcomes.at(0).words.details, "at 7");
  go_on.count_down();
}

TEST(ThreadLaneTest, ATaskPastItsSoftLimitIsToldToEndAndWhatItReturnsCounts) {
  HandlerRegistry registry;
  registry.Add("work", [](TaskContext& task, std::string_view) -> absl::StatusOr<std::string> {
    if (task.cancelled()) return std::string("told too early");
    if (task.index() == 1) return std::string("quick");
    const bool slept = task.Sleep(absl::Hours(1));
    if (slept || !task.cancelled() || task.discarded()) return std::string("not told");
    return task.index() == 0 ? absl::StatusOr<std::string>("ended well")
                             : absl::InternalError("could not");
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(With(ArraySpan("work", 3, 1, absl::Hours(2)),
                  [](JobContext& job) { job.soft_time_limit = absl::Milliseconds(30); }));
  const auto outcomes = sink.WaitFor(3);
  EXPECT_EQ(outcomes.at(0).state, TaskState::kSucceeded);
  EXPECT_EQ(outcomes.at(0).output, "ended well");
  EXPECT_EQ(outcomes.at(1).output, "quick");
  EXPECT_EQ(outcomes.at(2).reason, Reason::kHandlerError);
  EXPECT_EQ(outcomes.at(2).message, "could not");
  EXPECT_EQ(lane.stuck(), 0u);
}

TEST(ThreadLaneTest, AfterTheSoftLimitTheTimeLimitStillEndsTheTask) {
  std::latch release(1);
  HandlerRegistry registry;
  registry.Add("deaf", [&](TaskContext&, std::string_view) {
    release.wait();
    return std::string();
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(With(ArraySpan("deaf", 1, 1, absl::Milliseconds(100)),
                  [](JobContext& job) { job.soft_time_limit = absl::Milliseconds(10); }));
  EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kTimeout);
  release.count_down();
}

TEST(ThreadLaneTest, WhatGoesToTheFrontRunsBeforeWhatWaitsInTheOrderItCame) {
  std::latch begun(1), go_on(1);
  std::vector<TaskIndex> order;  // One slot.
  HandlerRegistry registry;
  registry.Add("note", [&](TaskContext& task, std::string_view) {
    order.push_back(task.index());
    if (task.index() == 0) {
      begun.count_down();
      go_on.wait();
    }
    return std::string();
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  const auto start = [&lane](TaskIndex index, bool front) {
    LaneSpan span = ArraySpan("note", 1, index + 1);
    span.run = {index, 1};
    span.front = front;
    lane.Start(std::move(span));
  };
  start(0, false);
  begun.wait();
  start(1, false);
  start(2, true);
  start(3, true);
  start(4, false);
  go_on.count_down();
  sink.WaitFor(5);
  EXPECT_EQ(order, (std::vector<TaskIndex>{0, 2, 3, 1, 4}));
}

TEST(ThreadLaneTest, ResultsOfPredecessorsAreAtHandByNameAndIndex) {
  HandlerRegistry registry;
  registry.Add("read", [](TaskContext& task, std::string_view) {
    return std::string(task.predecessor_result("split", 7).value_or("none")) + "," +
           std::string(task.predecessor_result("split", 8).value_or("none")) + "," +
           std::string(task.predecessor_result("other", 7).value_or("none"));
  });
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(With(ArraySpan("read", 1), [](JobContext& job) {
    job.predecessors = {{"split", {{7, "seven"}}}};
  }));
  EXPECT_EQ(sink.WaitFor(1).at(0).output, "seven,none,none");
}

TEST(ThreadLaneTest, AnUnknownHandlerIsAnOutcome) {
  HandlerRegistry registry;
  Sink sink;
  ThreadLane lane(1, &registry, &sink);
  lane.Start(ArraySpan("nothing", 2));
  EXPECT_EQ(sink.WaitFor(2).at(1).reason, Reason::kNoSuchHandler);
}

}  // namespace
}  // namespace reeve
