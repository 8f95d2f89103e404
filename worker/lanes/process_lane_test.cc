#include "worker/lanes/process_lane.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/result_batch.h"
#include "gtest/gtest.h"
#include "worker/lanes/output_capture.h"
#include "worker/lanes/progress_pipes.h"
#include "worker/supervisor/supervisor.h"

namespace reeve {
namespace {

struct Outcome {
  TaskState state = TaskState::kUnspecified;
  Reason reason = Reason::kNone;
  uint32_t exit_code = 0, signal = 0, flags = 0;
  std::string output, error_output, message, result_file;
  LastWords words;
};

class Sink final : public LaneSink {
 public:
  std::function<void()> on_told;  // Called before anything is taken. Set before the first span.

  void OnReport(LaneReport report) override {
    if (on_told) on_told();
    auto batch = ResultBatch::Parse(Buffer(report.body));
    MutexLock lock(&mu_);
    uint32_t position = 0;
    for (const reeve::Run& run : report.runs) {
      for (uint32_t i = 0; i < run.count; ++i, ++position) {
        const ResultEntry e = (*batch)->Entry(position, run.first + i);
        outcomes_[run.first + i] = {e.state,
                                    e.reason,
                                    e.exit_code,
                                    e.signal,
                                    e.flags,
                                    std::string(e.output),
                                    std::string(e.error_output),
                                    std::string(e.message),
                                    std::string(e.result_file),
                                    {}};
        for (const LaneReport::Failed& failed : report.failed) {
          if (failed.position == position) outcomes_[run.first + i].words = failed.words;
        }
      }
    }
    changed_.NotifyAll();
  }
  void OnOutput(LaneOutput output) override {
    if (on_told) on_told();
    MutexLock lock(&mu_);
    live_ += output.content;
    changed_.NotifyAll();
  }
  std::map<TaskIndex, Outcome> WaitFor(size_t count) {
    MutexLock lock(&mu_);
    while (outcomes_.size() < count) changed_.Wait(&mu_);
    return outcomes_;
  }
  std::string WaitForLive(size_t bytes) {
    MutexLock lock(&mu_);
    while (live_.size() < bytes) changed_.Wait(&mu_);
    return live_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::map<TaskIndex, Outcome> outcomes_ ABSL_GUARDED_BY(mu_);
  std::string live_ ABSL_GUARDED_BY(mu_);
};

// Runs `body` as a worker proper under a supervisor. Returns: true if all its expectations held.
bool Supervised(const std::function<void(ProcessLane&, Sink&)>& body,
                ProcessLaneOptions options = {.kill_grace = absl::Milliseconds(300)}) {
  const pid_t pid = fork();
  if (pid == 0) {
    const int code = RunSupervised({}, [&](SpawnChannel& channel) {
      Sink sink;
      options.slots = 2;
      options.scratch_root = testing::TempDir() + "/scratch." + std::to_string(getpid());
      ProcessLane lane(options, &channel, &sink);
      body(lane, sink);
      lane.Stop(absl::ZeroDuration());
      std::fflush(nullptr);
      return testing::Test::HasFailure() ? 2 : 0;
    });
    _exit(code);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

LaneSpan Command(const std::vector<std::string>& argv, uint32_t count = 1) {
  auto job = std::make_shared<JobContext>();
  job->job = JobId(1);
  job->handler = "exec";
  job->command.argv = argv;
  job->is_array = true;
  job->array_start = 10;
  LaneSpan span;
  span.key = SpanKey(1);
  span.job = job;
  span.run = {0, count};
  return span;
}

LaneSpan With(LaneSpan span, const std::function<void(JobContext&)>& change) {
  auto job = std::make_shared<JobContext>(*span.job);
  change(*job);
  span.job = job;
  return span;
}

// The worker's loop asks the lane, while the lane waits for it to take a report.
TEST(ProcessLaneTest, TheLaneAnswersWhileItsSinkDoesNotTakeWhatItTells) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    sink.on_told = [&lane] { (void)lane.Cut(SpanKey(9), 0); };
    lane.Start(Command({"sh", "-c", "echo early; sleep 0.3; echo late"}));
    EXPECT_EQ(sink.WaitFor(1).at(0).output, "early\nlate\n");
    EXPECT_EQ(sink.WaitForLive(6).substr(0, 6), "early\n");
  }));
}

TEST(ProcessLaneTest, StreamsExitCodeAndInputOfACommandAreKeptApart) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c", "echo out $1; echo err >&2; exit 7", "sh", "{}"}, 3));
    const auto outcomes = sink.WaitFor(3);
    for (TaskIndex i = 0; i < 3; ++i) {
      EXPECT_EQ(outcomes.at(i).output, "out " + std::to_string(10 + i) + "\n");
      EXPECT_EQ(outcomes.at(i).error_output, "err\n");
      EXPECT_EQ(outcomes.at(i).exit_code, 7u);
      EXPECT_EQ(outcomes.at(i).reason, Reason::kExitNonzero);
    }
  }));
}

TEST(ProcessLaneTest, AMissingProgramAnUnexecutableOneAndAMissingFolderAreToldApart) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"no-such-program-anywhere"}));
    EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kCommandNotFound);
  }));
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"/etc/passwd"}));
    EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kCommandNotExecutable);
  }));
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(With(Command({"true"}),
                    [](JobContext& job) { job.command.working_directory = "/no/such/folder"; }));
    EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kBadInput);
  }));
}

TEST(ProcessLaneTest, StandardInputEnvironmentAndScratchFolderReachTheCommand) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    LaneSpan span =
        Command({"sh", "-c",
                 "cat; echo $REEVE_JOB_ID/$REEVE_TASK_INDEX/$REEVE_ARRAY_VALUE/$REEVE_ATTEMPT "
                 "$MINE; test $PWD -ef $REEVE_SCRATCH_DIR && touch left && echo scratch"});
    span = With(std::move(span), [](JobContext& job) {
      job.command.standard_input = "from stdin\n";
      job.command.environment["MINE"] = "yes";
    });
    lane.Start(std::move(span));
    EXPECT_EQ(sink.WaitFor(1).at(0).output, "from stdin\n1/0/10/1 yes\nscratch\n");
  }));
}

TEST(ProcessLaneTest, ACommandEndedByASignalSaysWhichOne) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c", "kill -9 $$"}));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.reason, Reason::kSignalled);
    EXPECT_EQ(outcome.signal, 9u);
  }));
}

TEST(ProcessLaneTest, OutputBeyondTheLimitKeepsBothEnds) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(
        Command({"sh", "-c", "echo begin; head -c 3000000 /dev/zero | tr '\\0' x; echo end"}));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.flags & kOutputTruncated, kOutputTruncated);
    EXPECT_EQ(outcome.output.substr(0, 6), "begin\n");
    EXPECT_EQ(outcome.output.substr(outcome.output.size() - 4), "end\n");
    EXPECT_NE(outcome.output.find("bytes left out"), std::string::npos);
    EXPECT_LT(outcome.output.size(), 2 * OutputCapture::kKeep + 100);
    EXPECT_EQ(sink.WaitForLive(3'000'010).size(), 3'000'010u);
  }));
}

TEST(ProcessLaneTest, OutputOfALongCommandGoesOutWhileItRuns) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c", "echo early; sleep 100"}));
    EXPECT_EQ(sink.WaitForLive(6), "early\n");
    lane.Cancel(SpanKey(1), {0, 1});
    EXPECT_EQ(sink.WaitFor(1).at(0).state, TaskState::kCancelled);
  }));
}

TEST(ProcessLaneTest, TheTimeLimitEndsTheWholeGroupEvenIfItIgnoresSigterm) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    LaneSpan span = Command({"sh", "-c", "trap '' TERM; sleep 100 & wait; sleep 100"});
    lane.Start(
        With(std::move(span), [](JobContext& job) { job.time_limit = absl::Milliseconds(100); }));
    EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kTimeout);
  }));
}

std::vector<std::string> Script(const std::string& script) { return {"sh", "-c", script}; }

TEST(ProcessLaneTest, TheResultFileComesBesideTheOutput) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command(Script("echo out; printf result$REEVE_TASK_INDEX > $REEVE_RESULT_FILE; "
                              "exit $REEVE_TASK_INDEX"),
                       2));
    const auto outcomes = sink.WaitFor(2);
    for (TaskIndex i = 0; i < 2; ++i) {
      EXPECT_EQ(outcomes.at(i).output, "out\n");
      EXPECT_EQ(outcomes.at(i).result_file, "result" + std::to_string(i));
      EXPECT_EQ(outcomes.at(i).exit_code, i) << "a result does not hide a failure";
    }
  }));
}

TEST(ProcessLaneTest, AResultFileOverTheLimitFailsTheTask) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command(
        Script("head -c $((3145728 + REEVE_TASK_INDEX)) /dev/zero > $REEVE_RESULT_FILE"), 2));
    const auto outcomes = sink.WaitFor(2);
    EXPECT_EQ(outcomes.at(0).state, TaskState::kSucceeded);
    EXPECT_EQ(outcomes.at(0).result_file, std::string(kMaxPayloadBytes, '\0'));
    EXPECT_EQ(outcomes.at(1).reason, Reason::kResultTooLarge);
    EXPECT_EQ(outcomes.at(1).message,
              "the result file has 3145729 bytes, at most 3145728 are kept");
    EXPECT_EQ(outcomes.at(1).result_file, "");
  }));
}

TEST(ProcessLaneTest, WhatIsNoFileIsNoResult) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command(Script("case $REEVE_TASK_INDEX in 0) ln -s /etc/passwd $REEVE_RESULT_FILE;; "
                              "1) mkfifo $REEVE_RESULT_FILE;; 2) mkdir $REEVE_RESULT_FILE; esac"),
                       3));
    for (const auto& [index, outcome] : sink.WaitFor(3)) {
      EXPECT_EQ(outcome.reason, Reason::kHandlerError) << index;
      EXPECT_EQ(outcome.result_file, "") << index;
    }
  }));
}

TEST(ProcessLaneTest, BesideALargeResultTheStreamsKeepLessAndTheLogsHaveThem) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(
        Command(Script("head -c 3145728 /dev/zero > $REEVE_RESULT_FILE; echo begin; "
                       "head -c 450000 /dev/zero | tr '\\0' x; echo end")));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.state, TaskState::kSucceeded);
    EXPECT_EQ(outcome.result_file.size(), kMaxPayloadBytes);
    EXPECT_EQ(outcome.flags & kOutputTruncated, kOutputTruncated);
    EXPECT_EQ(outcome.output.substr(0, 6), "begin\n");
    EXPECT_EQ(outcome.output.substr(outcome.output.size() - 4), "end\n");
    EXPECT_LT(outcome.output.size() + outcome.result_file.size(), kMaxMessageBytes - (64u << 10));
    EXPECT_EQ(sink.WaitForLive(450'010).size(), 450'010u);
  }));
}

TEST(OutputCaptureTest, BothEndsAreKeptWhereverTheyLie) {
  std::string all;
  for (int i = 0; all.size() < 1'200'000; ++i) all += std::to_string(i) + ",";
  for (const size_t total : {10u, 100u, 600'000u, 1'200'000u}) {
    const std::string written = all.substr(0, total);
    OutputCapture capture;
    for (size_t at = 0; at < total; at += 7'000)
      capture.Add(std::string_view(written).substr(at, 7'000));
    for (const size_t keep : {5u, 49u, 50u, 200'000u, 299'999u, 524'288u}) {
      const std::string text = capture.Text(keep);
      if (total <= 2 * keep) {
        EXPECT_EQ(text, written);
        continue;
      }
      EXPECT_EQ(text, written.substr(0, keep) + "\n[... " + std::to_string(total - 2 * keep) +
                          " bytes left out ...]\n" + written.substr(total - keep));
    }
  }
}

TEST(ProcessLaneTest, LimitsAreThoseOfTheCommandAndCoreDumpsOff) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    const std::string show = "ulimit -c; ulimit -t; ulimit -v; ulimit -f; ulimit -n; ulimit -p";
    lane.Start(With(Command(Script(show)), [](JobContext& job) {
      job.command.limits = {.cpu_seconds = 100,
                            .memory_bytes = 1u << 30,
                            .file_size_bytes = 1u << 20,
                            .open_files = 50,
                            .processes = 4000};
    }));
    EXPECT_EQ(sink.WaitFor(1).at(0).output, "0\n100\n1048576\n2048\n50\n4000\n");
  }));
}

TEST(ProcessLaneTest, ACommandBeyondALimitEndsByItsSignal) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(With(Command(Script("exec head -c 5000 /dev/zero > file")),
                    [](JobContext& job) { job.command.limits.file_size_bytes = 4096; }));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.signal, static_cast<uint32_t>(SIGXFSZ));
    EXPECT_EQ(outcome.message, "ended by signal 25 (File size limit exceeded)");
  }));
}

TEST(ProcessLaneTest, AResultDoesNotWaitForALongCommandOfItsSpan) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c", "test $REEVE_TASK_INDEX != 0 || exec sleep 1000"}, 3));
    const auto outcomes = sink.WaitFor(2);
    EXPECT_EQ(outcomes.at(1).state, TaskState::kSucceeded);
    EXPECT_EQ(outcomes.at(2).state, TaskState::kSucceeded);
    lane.Cancel(SpanKey(1), {0, 1});
    EXPECT_EQ(sink.WaitFor(3).at(0).state, TaskState::kCancelled);
  }));
}

TEST(ProcessLaneTest, StopEndsWhatRunsAndReportsIt) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c", "echo begun; exec sleep 1000"}));
    EXPECT_EQ(sink.WaitForLive(6), "begun\n");
    lane.Stop(absl::ZeroDuration());
    EXPECT_EQ(sink.WaitFor(1).at(0).state, TaskState::kCancelled);
  }));
}

// Waits until the process is gone or only waits to be reaped by somebody else.
void WaitUntilGone(pid_t pid) {
  for (;;) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    if (!(stat >> number >> name >> state) || state == "Z") return;
    usleep(10'000);
  }
}

std::string Said(std::string_view line) {
  CommandWords words;
  TakeLine(line, &words);
  std::string said;
  if (words.progress.has_value())
    said = std::to_string(words.progress->permille) + "/" + words.progress->note;
  if (words.details.has_value()) said += "details:" + *words.details;
  if (words.permanent) said += "permanent";
  if (words.again.has_value()) said += "again:" + absl::FormatDuration(*words.again);
  return said;
}

TEST(ProcessLaneTest, ProgressIsALineOfANumberAndAWord) {
  EXPECT_EQ(Said("0.25 a quarter"), "250/a quarter");
  EXPECT_EQ(Said(" 50%\t half "), "500/half");
  EXPECT_EQ(Said("1"), "1000/");
  EXPECT_EQ(Said("7 too much"), "1000/too much");
  EXPECT_EQ(Said("-1"), "0/");
  for (const char* none : {"", " ", "nan", "%", "soon 0.5", "0.5x"}) EXPECT_EQ(Said(none), "");
  EXPECT_EQ(Said("0.5 " + std::string(1000, 'n')), "500/" + std::string(200, 'n'));
}

TEST(ProcessLaneTest, WordsOfTheNextAttemptAreLines) {
  EXPECT_EQ(Said("permanent"), "permanent");
  EXPECT_EQ(Said(" again 30s "), "again:30s");
  EXPECT_EQ(Said("again\t1.5"), "again:1.5s");
  EXPECT_EQ(Said("again 0"), "again:0");
  EXPECT_EQ(Said("again -5s"), "again:0");
  EXPECT_EQ(Said("again inf"), "again:24h");
  EXPECT_EQ(Said("details at line 7 "), "details:at line 7");
  EXPECT_EQ(Said("details"), "details:");
  EXPECT_EQ(Said("details " + std::string(kMaxDetailsBytes, 'd')),
            "details:" + std::string(kMaxDetailsBytes, 'd'));
  for (const std::string& none :
       {std::string("permanently"), std::string("again"), std::string("again soon"),
        std::string("again 5 s"), std::string("detailsx"), std::string("details a\0b", 11),
        "details " + std::string(kMaxDetailsBytes + 1, 'd')})
    EXPECT_EQ(Said(none), "") << none;
  CommandWords words;
  for (const char* line : {"permanent", "again 5s", "0.5", "details a", "details b"})
    TakeLine(line, &words);
  EXPECT_FALSE(words.permanent);
  EXPECT_EQ(words.again, absl::Seconds(5));
  EXPECT_EQ(words.progress->permille, 500u);
  EXPECT_EQ(words.details, "b");
  TakeLine("permanent", &words);
  EXPECT_TRUE(words.permanent);
  EXPECT_EQ(words.again, std::nullopt);
}

TEST(ProcessLaneTest, ACommandThatFailsSaysWhetherAndWhenToTryAgain) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c",
                        "case {} in 10) echo permanent;; 11) echo again 30s;; 12) echo permanent; "
                        "echo unheard >&2;; esac >&$REEVE_PROGRESS_FD; [ {} = 12 ] || exit 7"},
                       4));
    const auto outcomes = sink.WaitFor(4);
    EXPECT_TRUE(outcomes.at(0).words.permanent);
    EXPECT_EQ(outcomes.at(0).words.again, std::nullopt);
    EXPECT_EQ(outcomes.at(0).exit_code, 7u);
    EXPECT_FALSE(outcomes.at(1).words.permanent);
    EXPECT_EQ(outcomes.at(1).words.again, absl::Seconds(30));
    EXPECT_EQ(outcomes.at(2).state, TaskState::kSucceeded);
    EXPECT_FALSE(outcomes.at(3).words.permanent);
    EXPECT_EQ(outcomes.at(3).words.again, std::nullopt);
    EXPECT_EQ(outcomes.at(3).reason, Reason::kExitNonzero);
  }));
}

TEST(ProcessLaneTest, ACommandFindsWhatTheAttemptBeforeLeftAndLeavesItsOwn) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    LaneSpan span = Command({"sh", "-c",
                             "echo got $REEVE_DETAILS; [ {} = 10 ] || echo details at 7 "
                             ">&$REEVE_PROGRESS_FD; exit 1"},
                            2);
    span.details = "at 3";
    lane.Start(std::move(span));
    const auto outcomes = sink.WaitFor(2);
    EXPECT_EQ(outcomes.at(0).output, "got at 3\n");
    EXPECT_EQ(outcomes.at(0).words.details, "at 3");
    EXPECT_EQ(outcomes.at(1).words.details, "at 7");
  }));
}

TEST(ProcessLaneTest, TheFirstAttemptHasNoDetailsAndThoseOfARunningOneAreSeen) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c",
                        "echo ${REEVE_DETAILS-none}; echo details at 7 >&$REEVE_PROGRESS_FD; sleep "
                        "1000"}));
    const auto details = [&lane] {
      const auto running = lane.Running(absl::ZeroDuration(), 10);
      return running.empty() ? "" : running[0].progress.details;
    };
    while (details() != "at 7") absl::SleepFor(absl::Milliseconds(1));
    lane.Cancel(SpanKey(1), {0, 1});
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.state, TaskState::kCancelled);
    EXPECT_EQ(outcome.output, "none\n");
    EXPECT_EQ(outcome.words.details, "at 7");
  }));
}

LaneSpan Soft(LaneSpan span) {
  return With(std::move(span), [](JobContext& job) {
    job.soft_time_limit = absl::Milliseconds(200);
    job.time_limit = absl::Hours(1);
  });
}

TEST(ProcessLaneTest, AtTheSoftLimitACommandGetsSigtermAndMayEndWell) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Soft(Command({"sh", "-c", "trap 'echo saved; exit 0' TERM; sleep 1000 & wait"})));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.state, TaskState::kSucceeded);
    EXPECT_EQ(outcome.output, "saved\n");
  }));
}

TEST(ProcessLaneTest, ACommandThatDiesOfTheSoftLimitHasRunOutOfTime) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Soft(Command({"sleep", "1000"})));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.state, TaskState::kFailed);
    EXPECT_EQ(outcome.reason, Reason::kTimeout);
    EXPECT_EQ(outcome.signal, static_cast<uint32_t>(SIGTERM));
    EXPECT_EQ(outcome.message, "ended by SIGTERM when the soft time limit passed");
  }));
}

TEST(ProcessLaneTest, ACommandThatIgnoresTheSoftLimitEndsAtTheTimeLimit) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(With(Soft(Command({"sh", "-c", "trap '' TERM; while :; do sleep 1; done"})),
                    [](JobContext& job) { job.time_limit = absl::Milliseconds(400); }));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.reason, Reason::kTimeout);
    EXPECT_EQ(outcome.message, "the time limit passed");
  }));
}

TEST(ProcessLaneTest, WhatGoesToTheFrontRunsBeforeWhatWaits) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    const auto start = [&lane](uint64_t key, TaskIndex first, uint32_t count, bool front,
                               const std::string& script) {
      LaneSpan span = Command({"sh", "-c", script}, count);
      span.key = SpanKey(key);
      span.run = {first, count};
      span.front = front;
      lane.Start(std::move(span));
    };
    // Both slots wait for the one that is sent to the front last.
    const std::string gate = testing::TempDir() + "/gate." + std::to_string(getpid());
    start(1, 0, 2, false, "while ! [ -e " + gate + " ]; do sleep 0.01; done");
    start(2, 2, 1, false, "date +%s%N");
    start(3, 3, 1, true, "date +%s%N; sleep 0.2");
    start(4, 4, 1, true, "date +%s%N; sleep 0.2");
    std::ofstream(gate) << "open";
    const auto outcomes = sink.WaitFor(5);
    EXPECT_LT(std::stoll(outcomes.at(3).output), std::stoll(outcomes.at(2).output));
    EXPECT_LT(std::stoll(outcomes.at(4).output), std::stoll(outcomes.at(2).output));
  }));
}

TEST(ProcessLaneTest, ResultsOfPredecessorsAreFilesThatGoWithTheLastAttempt) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(With(
        Command({"sh", "-c", "cat $REEVE_RESULTS_DIR/split/7; echo; echo $REEVE_RESULTS_DIR"}, 3),
        [](JobContext& job) {
          job.predecessors = {{"split", {{7, "seven"}}}};
        }));
    std::string folder;
    for (const auto& [index, outcome] : sink.WaitFor(3)) {
      EXPECT_EQ(outcome.output.substr(0, 6), "seven\n");
      folder = outcome.output.substr(6, outcome.output.size() - 7);
    }
    // With the report the last attempt lets go of it, at once or a moment later.
    while (std::filesystem::exists(folder)) absl::SleepFor(absl::Milliseconds(1));
  }));
}

TEST(ProcessLaneTest, ACommandSaysHowFarItIsAndTheNextBeginsAnew) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    const auto progress = [&lane] {
      const auto running = lane.Running(absl::ZeroDuration(), 10);
      return running.empty() ? AttemptProgress() : running[0].progress;
    };
    lane.Start(Command({"sh", "-c",
                        "echo 0.1 >&$REEVE_PROGRESS_FD; echo 75% nearly >&$REEVE_PROGRESS_FD; "
                        "printf 0.9 >&$REEVE_PROGRESS_FD; read line < /dev/stdin; sleep 1000"}));
    while (progress().permille != 750) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(progress().note, "nearly");
    lane.Cancel(SpanKey(1), {0, 1});
    sink.WaitFor(1);
    LaneSpan next = Command({"sh", "-c", "echo begun; sleep 1000"});
    next.key = SpanKey(2);
    next.run = {1, 1};
    lane.Start(next);
    sink.WaitForLive(6);
    EXPECT_EQ(progress().permille, AttemptProgress::kUntold);
    lane.Cancel(SpanKey(2), {1, 1});
    sink.WaitFor(2);
  }));
}

TEST(ProcessLaneTest, ACommandThatSaysMuchIsNotHeldUpAndDisturbsNobody) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(
        Command({"sh", "-c", "yes 0.5 | head -c 3000000 >&$REEVE_PROGRESS_FD; echo done"}, 4));
    for (const auto& [index, outcome] : sink.WaitFor(4)) EXPECT_EQ(outcome.output, "done\n");
  }));
}

TEST(ProcessLaneTest, WhatACommandLeavesBehindInItsGroupIsKilled) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"}));
    const Outcome outcome = sink.WaitFor(1).at(0);
    EXPECT_EQ(outcome.state, TaskState::kSucceeded);
    WaitUntilGone(static_cast<pid_t>(std::stoi(outcome.output)));
  }));
}

TEST(SupervisorTest, AWorkerThatDiesIsStartedAgainAndItsCommandsAreKilled) {
  const std::string marker = testing::TempDir() + "/marker." + std::to_string(getpid());
  EXPECT_TRUE(Supervised([&](ProcessLane& lane, Sink& sink) {
    std::ifstream before(marker);
    pid_t left = 0;
    if (before >> left) {
      WaitUntilGone(left);
      return;
    }
    lane.Start(Command({"sh", "-c", "echo $$; sleep 1000"}));
    std::ofstream(marker) << sink.WaitForLive(2);
    kill(getpid(), SIGKILL);
    pause();
  }));
}

TEST(ProcessLaneTest, AnExclusiveCommandDoesNotBeginWithoutADeadlineAndEndsAtIt) {
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    const auto exclusive = [](JobContext& job) { job.exclusive = true; };
    LaneSpan early = With(Command({"touch", "/no/such/folder"}), exclusive);
    lane.Start(std::move(early));
    const Outcome none = sink.WaitFor(1).at(0);
    EXPECT_EQ(none.state, TaskState::kCancelled);
    EXPECT_EQ(none.error_output, "") << "it never ran";
    lane.SetExclusiveDeadline(Boottime() + absl::Milliseconds(300));
    LaneSpan late = With(Command({"sh", "-c", "trap '' TERM; echo begun; sleep 1000"}), exclusive);
    late.key = SpanKey(2);
    late.run = {1, 1};
    lane.Start(std::move(late));
    const Outcome fenced = sink.WaitFor(2).at(1);
    EXPECT_EQ(fenced.state, TaskState::kCancelled);
    EXPECT_EQ(fenced.output, "begun\n");
  }));
}

TEST(ProcessLaneTest, WhatTheOwnerDoesNotAllowFailsAndSaysWhoCouldAllowIt) {
  EXPECT_TRUE(Supervised(
      [](ProcessLane& lane, Sink& sink) {
        lane.Start(With(Command({"echo $0"}), [](JobContext& job) { job.command.shell = true; }));
        const Outcome outcome = sink.WaitFor(1).at(0);
        EXPECT_EQ(outcome.reason, Reason::kNotAllowed);
        EXPECT_EQ(outcome.message,
                  "the worker does not run shells: its owner has not said --allow-shell");
      },
      {.allow_shell = false}));
  EXPECT_TRUE(Supervised(
      [](ProcessLane& lane, Sink& sink) {
        lane.Start(Command({"true"}));
        EXPECT_EQ(sink.WaitFor(1).at(0).reason, Reason::kNotAllowed);
      },
      {.allow_commands = false}));
}

TEST(ProcessLaneTest, TheLowerLimitOfOwnerAndJobCounts) {
  EXPECT_TRUE(Supervised(
      [](ProcessLane& lane, Sink& sink) {
        lane.Start(With(
            Command({"sh", "-c", "ulimit -n; ulimit -Hn; ulimit -t; ulimit -v"}),
            [](JobContext& job) { job.command.limits = {.cpu_seconds = 7, .open_files = 500}; }));
        EXPECT_EQ(sink.WaitFor(1).at(0).output, "100\n100\n7\n1048576\n");
      },
      {.limits = {.cpu_seconds = 50, .memory_bytes = 1 << 30, .open_files = 100}}));
}

TEST(ProcessLaneTest, ACommandInheritsNoDescriptorsPrivilegesOrOpenModes) {
  // Not closed by an exec, as a parent may leave it to a worker.
  const int left = dup2(STDERR_FILENO, 77);
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    // The supervisor sets the last one once the command runs.
    lane.Start(Command({"sh", "-c",
                        "ls /proc/$$/fd; umask; ulimit -Sn; grep NoNewPrivs /proc/$$/status; "
                        "until grep -x 500 /proc/$$/oom_score_adj; do :; done"}));
    EXPECT_EQ(sink.WaitFor(1).at(0).output, "0\n1\n2\n3\n0077\n1024\nNoNewPrivs:\t1\n500\n");
  }));
  close(left);
}

// The variables that make a program load code, and those that tell where secrets are.
TEST(ProcessLaneTest, OfTheWorkersEnvironmentOnlyHarmlessVariablesReachACommand) {
  for (const char* name :
       {"LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "REEVE_TOKEN_FILE", "PGPASSWORD"})
    setenv(name, "leaked", 1);
  EXPECT_TRUE(Supervised([](ProcessLane& lane, Sink& sink) {
    lane.Start(Command({"/usr/bin/env"}));
    const std::string seen = sink.WaitFor(1).at(0).output;
    EXPECT_EQ(seen.find("leaked"), std::string::npos) << seen;
    EXPECT_NE(seen.find("REEVE_JOB_ID=1"), std::string::npos) << seen;
  }));
}

}  // namespace
}  // namespace reeve
