#include "worker/lanes/async_lane.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <stdexcept>

#include "absl/time/clock.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "worker/async/event_loop.h"
#include "worker/async/processes.h"
#include "worker/lanes/lane_test_sink.h"

namespace reeve {
namespace {

using Result = absl::StatusOr<std::string>;

// Lets tasks wait until the test, or another task, opens it.
class Gate {
 public:
  Awaited<bool> Pass(AsyncContext& task) {
    return task.Await<bool>([this](Awaited<bool>::Done done) {
      waiting_.push_back(std::move(done));
      return std::function<void()>([this] { ++stopped_; });
    });
  }
  // On the lane's thread.
  void Open() {
    for (const auto& done : std::exchange(waiting_, {})) done(true);
  }
  size_t waiting() const { return waiting_.size(); }
  int stopped() const { return stopped_; }

 private:
  std::vector<Awaited<bool>::Done> waiting_;
  std::atomic<int> stopped_{0};
};

class AsyncLaneTest : public testing::Test {
 protected:
  AsyncLane& Begin(AsyncHandler handler, AsyncLane::Options options = {}) {
    handlers_.AddAsync("handler", std::move(handler));
    lane_ = std::make_unique<AsyncLane>(options, &handlers_, &loop_, &sink_);
    return *lane_;
  }

  HandlerRegistry handlers_;
  EventLoop loop_;
  Sink sink_;
  Gate gate_;
  std::unique_ptr<AsyncLane> lane_;
};

TEST_F(AsyncLaneTest, EveryTaskOfASpanIsReportedOnceWithItsOwnInput) {
  Begin([](AsyncContext&, std::string input) -> Async<Result> {
    co_return input;
  }).Start(ArraySpan("handler", 10'000));
  for (const auto& [index, outcome] : sink_.WaitFor(10'000)) {
    ASSERT_EQ(outcome.state, TaskState::kSucceeded);
    ASSERT_EQ(outcome.output, std::to_string(100 - 2 * int64_t{index}));
  }
}

TEST_F(AsyncLaneTest, ThousandTasksThatMeetAreInFlightAtOnce) {
  Begin([this](AsyncContext& task, std::string) -> Async<Result> {
    if (gate_.waiting() < 999) {
      co_await gate_.Pass(task);
    } else {
      gate_.Open();
    }
    co_return "met";
  }).Start(ArraySpan("handler", 1'000));
  for (const auto& [index, outcome] : sink_.WaitFor(1'000)) ASSERT_EQ(outcome.output, "met");
}

TEST_F(AsyncLaneTest, NoMoreTasksAreInFlightThanThereAreSlots) {
  size_t most = 0, now = 0;
  Begin(
      [&most, &now](AsyncContext& task, std::string) -> Async<Result> {
        most = std::max(most, ++now);
        co_await task.Sleep(absl::Milliseconds(1));
        --now;
        co_return "";
      },
      {.slots = 7})
      .Start(ArraySpan("handler", 100));
  sink_.WaitFor(100);
  EXPECT_EQ(most, 7u);
}

TEST_F(AsyncLaneTest, ErrorsAndExceptionsAreOutcomes) {
  Begin([](AsyncContext& task, std::string) -> Async<Result> {
    co_await task.Sleep(absl::ZeroDuration());
    if (task.index() == 0) co_return absl::InvalidArgumentError("bad");
    if (task.index() == 1) co_return absl::InternalError("worse");
    if (task.index() == 2) throw std::runtime_error("thrown");
    co_return std::string(kMaxPayloadBytes + 1, 'x');
  }).Start(ArraySpan("handler", 4));
  const auto outcomes = sink_.WaitFor(4);
  EXPECT_EQ(outcomes.at(0).reason, Reason::kBadInput);
  EXPECT_EQ(outcomes.at(1).reason, Reason::kHandlerError);
  EXPECT_EQ(outcomes.at(1).message, "worse");
  EXPECT_EQ(outcomes.at(2).message, "the handler threw: thrown");
  EXPECT_EQ(outcomes.at(3).reason, Reason::kResultTooLarge);
}

Async<int> Half(int number) {
  if (number % 2 != 0) throw std::invalid_argument("odd");
  co_return number / 2;
}

Async<> Nothing() { co_return; }

TEST_F(AsyncLaneTest, CoroutinesAwaitCoroutinesForValuesAndExceptions) {
  Begin([](AsyncContext&, std::string) -> Async<Result> {
    co_await Nothing();
    const int quarter = co_await Half(co_await Half(20));
    try {
      co_await Half(quarter);
    } catch (const std::invalid_argument& error) {
      co_return std::to_string(quarter) + error.what();
    }
    co_return "not thrown";
  }).Start(ArraySpan("handler", 1));
  EXPECT_EQ(sink_.WaitFor(1).at(0).output, "5odd");
}

Async<int> Counted(AsyncContext* task, int number, int* now, int* most) {
  *most = std::max(*most, ++*now);
  co_await task->Sleep(absl::Milliseconds(10 - number));
  --*now;
  co_return number * 10;
}

TEST_F(AsyncLaneTest, WhenAllKeepsTheOrderAndItsBound) {
  Begin([](AsyncContext& task, std::string) -> Async<Result> {
    int now = 0, most = 0;
    std::vector<Async<int>> parts;
    for (int i = 0; i < 10; ++i) parts.push_back(Counted(&task, i, &now, &most));
    std::string text;
    for (const int value : co_await WhenAll(std::move(parts), 3))
      text += std::to_string(value) + " ";
    std::vector<Async<int>> none, at_once;
    text += std::to_string((co_await WhenAll(std::move(none), 3)).size());
    for (const int number : {2, 3, 4}) at_once.push_back(Half(number));
    try {
      co_await WhenAll(std::move(at_once), 9);
    } catch (const std::invalid_argument& error) {
      text += error.what();
    }
    co_return text + std::to_string(most);
  }).Start(ArraySpan("handler", 1));
  EXPECT_EQ(sink_.WaitFor(1).at(0).output, "0 10 20 30 40 50 60 70 80 90 0odd3");
}

TEST_F(AsyncLaneTest, ACancelDestroysACoroutineWhereItWaitsAndStopsWhatItWaitsFor) {
  std::latch waits(2);
  std::atomic<int> destroyed{0};
  struct Local {
    std::atomic<int>* destroyed;
    ~Local() { ++*destroyed; }
  };
  AsyncLane& lane = Begin(
      [&](AsyncContext& task, std::string) -> Async<Result> {
        const Local local{&destroyed};
        waits.count_down();
        co_await gate_.Pass(task);
        co_return "not cancelled";
      },
      {.slots = 2});
  lane.Start(ArraySpan("handler", 10));
  waits.wait();
  const std::vector<reeve::Run> dropped = lane.Cancel(SpanKey(1), {0, 10});
  EXPECT_EQ(dropped, (std::vector<reeve::Run>{{2, 8}}));
  const auto outcomes = sink_.WaitFor(2);
  EXPECT_EQ(outcomes.at(0).state, TaskState::kCancelled);
  EXPECT_EQ(outcomes.at(1).state, TaskState::kCancelled);
  EXPECT_EQ(destroyed, 2);
  EXPECT_EQ(gate_.stopped(), 2);
}

TEST_F(AsyncLaneTest, ATaskPastItsTimeLimitEndsWhereItWaitsAndLeavesItsSlot) {
  Begin(
      [this](AsyncContext& task, std::string) -> Async<Result> {
        EXPECT_NE(task.deadline(), absl::InfiniteFuture());
        if (task.index() == 0) co_await gate_.Pass(task);
        co_return "in time";
      },
      {.slots = 1})
      .Start(ArraySpan("handler", 2, 1, absl::Milliseconds(20)));
  const auto outcomes = sink_.WaitFor(2);
  EXPECT_EQ(outcomes.at(0).reason, Reason::kTimeout);
  EXPECT_EQ(outcomes.at(0).message, "the time limit passed");
  EXPECT_EQ(outcomes.at(1).output, "in time");
}

TEST_F(AsyncLaneTest, WhatHasNotBegunCanBeCutAndIsNotReported) {
  std::latch waits(1);
  AsyncLane& lane = Begin(
      [&](AsyncContext& task, std::string) -> Async<Result> {
        waits.count_down();
        co_await gate_.Pass(task);
        co_return "";
      },
      {.slots = 1});
  lane.Start(ArraySpan("handler", 10));
  waits.wait();
  EXPECT_EQ(lane.Cut(SpanKey(1), 0), (std::vector<reeve::Run>{{1, 9}}));
  EXPECT_EQ(lane.Running(absl::ZeroDuration(), 10).size(), 1u);
  loop_.Post([this] { gate_.Open(); });
  EXPECT_EQ(sink_.WaitFor(1).size(), 1u);
  EXPECT_TRUE(lane.Cut(SpanKey(1), 0).empty());
}

TEST_F(AsyncLaneTest, AHandlerThatBlocksTheThreadIsSeen) {
  std::latch begun(1), go_on(1);
  AsyncLane& lane = Begin(
      [&](AsyncContext&, std::string) -> Async<Result> {
        begun.count_down();
        go_on.wait();
        co_return "";
      },
      {.slots = 5, .stuck_after = absl::ZeroDuration()});
  lane.Start(ArraySpan("handler", 1));
  begun.wait();
  EXPECT_EQ(lane.stuck(), 5u);
  go_on.count_down();
  sink_.WaitFor(1);
}

TEST_F(AsyncLaneTest, NewInputsComeWithTheResultsThatAddedThem) {
  AsyncLane& lane = Begin([](AsyncContext& task, std::string input) -> Async<Result> {
    co_await task.Sleep(absl::Milliseconds(1));
    if (absl::Status s = task.AddInput(KeyOf(input), "new " + input); !s.ok()) co_return s;
    if (input == "98") co_return absl::InternalError("failed");
    co_return input;
  });
  lane.Start(ArraySpan("handler", 1, 1));
  LaneSpan span = ArraySpan("handler", 3, 2);
  auto job = std::make_shared<JobContext>(*span.job);
  job->accepts_inputs = true;
  span.job = job;
  span.run = {1, 3};
  lane.Start(std::move(span));
  const auto outcomes = sink_.WaitFor(4);
  EXPECT_EQ(outcomes.at(0).state, TaskState::kFailed);
  EXPECT_EQ(outcomes.at(1).state, TaskState::kFailed);
  const std::multimap<TaskIndex, std::pair<InputKey, std::string>> expected = {
      {2, {KeyOf("96"), "new 96"}}, {3, {KeyOf("94"), "new 94"}}};
  EXPECT_EQ(sink_.inputs(), expected);
}

TEST_F(AsyncLaneTest, AFailedAttemptSaysWhetherAndWhenToTryAgainAndLeavesDetails) {
  AsyncLane& lane = Begin([](AsyncContext& task, std::string) -> Async<Result> {
    if (task.index() == 0) co_return Permanent(absl::InternalError("never"));
    if (absl::Status s = task.KeepDetails(StrCat("own after ", task.details())); !s.ok())
      co_return s;
    if (task.index() == 1) co_return AgainAfter(absl::Seconds(30), "later");
    co_await task.Sleep(absl::Hours(1));
    co_return "";
  });
  LaneSpan span = ArraySpan("handler", 3, 1, absl::Milliseconds(50));
  span.details = "before";
  lane.Start(std::move(span));
  const auto outcomes = sink_.WaitFor(3);
  EXPECT_TRUE(outcomes.at(0).words.permanent);
  EXPECT_EQ(outcomes.at(0).words.details, "before");
  EXPECT_FALSE(outcomes.at(1).words.permanent);
  EXPECT_EQ(outcomes.at(1).words.again, absl::Seconds(30));
  EXPECT_EQ(outcomes.at(1).words.details, "own after before");
  EXPECT_EQ(outcomes.at(2).reason, Reason::kTimeout);
  EXPECT_EQ(outcomes.at(2).words.again, std::nullopt);
  EXPECT_EQ(outcomes.at(2).words.details, "own after before");
}

TEST_F(AsyncLaneTest, ASoftLimitWakesWhatSleepsAndWhatIsReturnedCounts) {
  AsyncLane& lane = Begin([](AsyncContext& task, std::string) -> Async<Result> {
    if (task.cancelled() || !co_await task.Sleep(absl::Milliseconds(1))) co_return "told too early";
    if (task.index() == 0) co_return "quick";
    if (co_await task.Sleep(absl::Hours(1)) || !task.cancelled()) co_return "not told";
    // There is time to end well.
    if (co_await task.Sleep(absl::Milliseconds(1))) co_return "not told again";
    co_return "ended well";
  });
  lane.Start(With(ArraySpan("handler", 100, 1, absl::Hours(2)),
                  [](JobContext& job) { job.soft_time_limit = absl::Milliseconds(200); }));
  for (const auto& [index, outcome] : sink_.WaitFor(100))
    EXPECT_EQ(outcome.output, index == 0 ? "quick" : "ended well");
}

TEST_F(AsyncLaneTest, ALoopThatSleepsEndsAtTheSoftLimit) {
  std::atomic<int> rounds{0};
  AsyncLane& lane = Begin([&rounds](AsyncContext& task, std::string) -> Async<Result> {
    while (co_await task.Sleep(absl::Milliseconds(20))) ++rounds;
    co_return "ended well";
  });
  lane.Start(With(ArraySpan("handler", 1, 1, absl::Seconds(5)),
                  [](JobContext& job) { job.soft_time_limit = absl::Milliseconds(100); }));
  EXPECT_EQ(sink_.WaitFor(1).at(0).output, "ended well");
  EXPECT_GE(rounds, 1);
}

TEST_F(AsyncLaneTest, AfterTheSoftLimitTheTimeLimitStillEndsTheTask) {
  AsyncLane& lane = Begin([this](AsyncContext& task, std::string) -> Async<Result> {
    co_await gate_.Pass(task);
    co_return "";
  });
  lane.Start(With(ArraySpan("handler", 1, 1, absl::Milliseconds(60)),
                  [](JobContext& job) { job.soft_time_limit = absl::Milliseconds(10); }));
  EXPECT_EQ(sink_.WaitFor(1).at(0).reason, Reason::kTimeout);
}

TEST_F(AsyncLaneTest, WhatGoesToTheFrontRunsBeforeWhatWaitsInTheOrderItCame) {
  std::vector<TaskIndex> order;
  std::latch begun(1);
  AsyncLane& lane = Begin(
      [&](AsyncContext& task, std::string) -> Async<Result> {
        order.push_back(task.index());
        if (task.index() == 0) {
          begun.count_down();
          co_await gate_.Pass(task);
        }
        co_return "";
      },
      {.slots = 1});
  const auto start = [&lane](TaskIndex index, bool front) {
    LaneSpan span = ArraySpan("handler", 1, index + 1);
    span.run = {index, 1};
    span.front = front;
    lane.Start(std::move(span));
  };
  start(0, false);
  begun.wait();
  start(1, false);
  start(2, true);
  start(3, true);
  loop_.Post([this] { gate_.Open(); });
  sink_.WaitFor(4);
  EXPECT_EQ(order, (std::vector<TaskIndex>{0, 2, 3, 1}));
}

TEST_F(AsyncLaneTest, AnUnknownHandlerFails) {
  Begin([](AsyncContext&, std::string) -> Async<Result> { co_return ""; });
  lane_->Start(ArraySpan("other", 1));
  EXPECT_EQ(sink_.WaitFor(1).at(0).reason, Reason::kNoSuchHandler);
}

TEST_F(AsyncLaneTest, StopEndsWhatWaits) {
  std::latch waits(100);
  AsyncLane& lane = Begin([&](AsyncContext& task, std::string) -> Async<Result> {
    waits.count_down();
    co_await gate_.Pass(task);
    co_return "";
  });
  lane.Start(ArraySpan("handler", 100));
  waits.wait();
  lane.Stop(absl::Seconds(10));
  EXPECT_EQ(gate_.stopped(), 100);
}

// ---- Processes ----

class ProcessesTest : public AsyncLaneTest {
 protected:
  ~ProcessesTest() override { lane_.reset(); }  // The loop ends first.
  AsyncLane& BeginWith(AsyncHandler handler) {
    return Begin(std::move(handler), {.processes = &processes_});
  }
  Processes processes_{&loop_};
};

std::string Told(const ProcessEnd& end) {
  return StrCat(end.error, "|", end.exit_code, "|", end.signal, "|", end.output, "|",
                end.error_output, "|", end.is_cut);
}

TEST_F(ProcessesTest, AProcessGivesBackWhatItWroteAndHowItEnded) {
  BeginWith([](AsyncContext& task, std::string input) -> Async<Result> {
    ProcessOrder order;
    order.argv = {"sh", "-c", "cat; echo \"$1 $HOME $NAME\"; pwd; echo bad >&2; exit 7", "sh",
                  input};
    order.input = "in ";
    order.environment = {{"NAME", "value"}, {"HOME", "/nowhere"}};
    order.working_directory = "/";
    co_return Told(co_await task.RunProcess(std::move(order)));
  }).Start(ArraySpan("handler", 3));
  const auto outcomes = sink_.WaitFor(3);
  EXPECT_EQ(outcomes.at(0).output, "|7|0|in 100 /nowhere value\n/\n|bad\n|0");
  EXPECT_EQ(outcomes.at(2).output, "|7|0|in 96 /nowhere value\n/\n|bad\n|0");
}

TEST_F(ProcessesTest, SignalsMissingProgramsAndTooMuchOutputAreTold) {
  BeginWith([](AsyncContext& task, std::string input) -> Async<Result> {
    ProcessOrder order;
    if (input == "100") order.argv = {"sh", "-c", "kill -9 $$"};
    if (input == "98") order.argv = {"/no/such/program"};
    if (input == "96") order.argv = {"sh", "-c", "yes | head -c 5000000; exec sleep 0"};
    order.max_output_bytes = 4;
    co_return Told(co_await task.RunProcess(std::move(order)));
  }).Start(ArraySpan("handler", 4));
  const auto outcomes = sink_.WaitFor(4);
  EXPECT_EQ(outcomes.at(0).output, "|0|9|||0");
  EXPECT_EQ(outcomes.at(1).output, "/no/such/program: No such file or directory|0|0|||0");
  EXPECT_EQ(outcomes.at(2).output, "|0|0|y\ny\n||1");
  EXPECT_EQ(outcomes.at(3).output, "the command is empty|0|0|||0");
}

// Waits until a process is gone, or waits for a parent to notice.
void WaitForEnd(pid_t pid) {
  while (kill(pid, 0) == 0) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (std::getline(status, text) && text.find(") Z") != std::string::npos) return;
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST_F(ProcessesTest, WhatAProcessLeavesBehindEndsWithIt) {
  BeginWith([](AsyncContext& task, std::string) -> Async<Result> {
    ProcessOrder order;
    order.argv = {"sh", "-c", "sleep 1000 & echo $!"};  // It holds the pipe.
    co_return (co_await task.RunProcess(std::move(order))).output;
  }).Start(ArraySpan("handler", 1));
  WaitForEnd(std::stoi(sink_.WaitFor(1).at(0).output));
}

TEST_F(ProcessesTest, ATaskThatMustEndKillsItsProcess) {
  const std::string file = testing::TempDir() + "/pid." + std::to_string(getpid());
  BeginWith([&file](AsyncContext& task, std::string) -> Async<Result> {
    ProcessOrder order;
    order.argv = {"sh", "-c", "echo $$ > " + file + "; sleep 1000 & exec sleep 1000"};
    co_await task.RunProcess(std::move(order));
    co_return std::string("not reached");
  }).Start(ArraySpan("handler", 1));
  pid_t child = 0;
  while (child == 0) std::ifstream(file) >> child;
  lane_->Cancel(SpanKey(1), {0, 1});
  EXPECT_EQ(sink_.WaitFor(1).at(0).state, TaskState::kCancelled);
  WaitForEnd(child);
}

TEST_F(AsyncLaneTest, WhereThereIsNoClientAndNoProcessesAreStartedThatIsSaid) {
  Begin([](AsyncContext& task, std::string) -> Async<Result> {
    const HttpAnswer answer = co_await task.Fetch(HttpRequest());
    const ProcessEnd end = co_await task.RunProcess(ProcessOrder());
    co_return answer.error + ", " + end.error;
  }).Start(ArraySpan("handler", 1));
  EXPECT_EQ(sink_.WaitFor(1).at(0).output,
            "this worker makes no requests, this worker starts no processes");
}

}  // namespace
}  // namespace reeve
