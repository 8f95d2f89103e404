// Both sides over real processes: this program is its own child, told by its last argument.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/input_key.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "worker/isolation/child.h"
#include "worker/isolation/child_pool.h"

namespace reeve {
namespace {

constexpr char kChildFlag[] = "--child";

absl::StatusOr<std::string> Describe(TaskContext& task, std::string_view input) {
  return StrCat(task.job().value, "/", task.index(), "#", task.attempt(), " ", task.param("p"), " ",
                input);
}

absl::StatusOr<std::string> Ordered(TaskContext& task, std::string_view input) {
  if (input == "pid") return StrCat(getpid());
  if (input == "abort") std::abort();
  if (input == "exit") _exit(9);
  if (input == "error") return absl::InvalidArgumentError("bad");
  if (input == "throw") throw std::runtime_error("thrown");
  if (input == "large") return std::string(kMaxPayloadBytes + 1, 'x');
  if (input == "grow") {
    static std::string kept;
    kept.assign(64u << 20, 'x');
    return StrCat(getpid());
  }
  if (input == "spin") {
    for (std::atomic<uint64_t> turns = 0;; ++turns) {
    }
  }
  if (input == "add") {
    if (absl::Status s = task.AddInput(KeyOf("k"), "new"); !s.ok()) return s;
  }
  if (input == "count") {
    if (absl::Status s = task.Count("c", 2); !s.ok()) return s;
    return task.Count("no name");
  }
  if (input == "count twice") {
    (void)task.Count("c", 2);
    (void)task.Count("c", -5);
  }
  if (input == "add and fail") {
    (void)task.AddInput(KeyOf("k"), "new");
    return absl::InternalError("failed");
  }
  if (input == "permanent") return Permanent(absl::InternalError("never"));
  if (input == "again") return AgainAfter(absl::Milliseconds(1'500), "later");
  if (input == "details") {
    if (absl::Status s = task.KeepDetails(StrCat(task.details(), "+")); !s.ok()) return s;
    return task.KeepDetails(std::string(kMaxDetailsBytes + 1, 'd'));
  }
  if (input == "predecessor") {
    return StrCat(task.predecessor_result("split", 7).value_or("none"), ",",
                  task.predecessor_result("split", 8).value_or("none"), ",",
                  task.predecessor_result("split", 7).value_or("none"));
  }
  if (input == "wait") return task.Sleep(absl::Hours(1)) ? "slept" : "woken";
  return std::string(input);
}

HandlerRegistry TestHandlers() {
  HandlerRegistry registry;
  registry.Add("describe", Describe, {.isolation = Isolation::kProcess});
  registry.Add("ordered", Ordered, {.isolation = Isolation::kProcess});
  return registry;
}

class FakeTask final : public TaskContext {
 public:
  JobId job() const override { return JobId(42); }
  TaskIndex index() const override { return 7; }
  uint32_t attempt() const override { return 2; }
  std::string_view param(std::string_view name) const override {
    return params_.at(std::string(name));
  }
  const std::map<std::string, std::string>& params() const override { return params_; }
  absl::Time deadline() const override { return deadline_; }
  bool cancelled() const override { return is_cancelled_ || is_told_to_end_; }
  bool discarded() const override { return is_cancelled_; }
  std::string_view details() const override { return details_; }
  absl::Status KeepDetails(std::string_view details) override {
    details_ = details;
    return absl::OkStatus();
  }
  std::optional<std::string_view> predecessor_result(std::string_view name,
                                                     TaskIndex index) const override {
    ++asked_;
    if (name != "split" || index != 7) return std::nullopt;
    return "seven";
  }
  bool Sleep(absl::Duration) override { return true; }
  bool accepts_inputs() const override { return accepts_; }
  absl::Status AddInput(const InputKey& key, std::string_view input) override {
    added_.emplace_back(key, input);
    return absl::OkStatus();
  }
  absl::Status Count(std::string_view counter, int64_t by) override {
    counted_.emplace_back(counter, by);
    return absl::OkStatus();
  }

  std::map<std::string, std::string> params_ = {{"p", "v"}};
  absl::Time deadline_ = absl::InfiniteFuture();
  std::atomic<bool> is_cancelled_{false}, is_told_to_end_{false};
  std::string details_ = "before";
  mutable int asked_ = 0;
  bool accepts_ = true;
  std::vector<std::pair<InputKey, std::string>> added_;
  std::vector<std::pair<std::string, int64_t>> counted_;
};

class IsolationTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> Run(std::string_view input, HandlerOptions limits = {}) {
    return pool_.Run("ordered", limits, task_, input);
  }

  FakeTask task_;
  ChildPool pool_{
      {.argv = {"isolation_test", kChildFlag}, .cancel_grace = absl::Milliseconds(200)}};
};

TEST_F(IsolationTest, ATaskSeesWhatItIsAndWhatItsJobWasGiven) {
  EXPECT_EQ(*pool_.Run("describe", {}, task_, "in"), "42/7#2 v in");
}

TEST_F(IsolationTest, AChildIsAnotherProcessAndServesOneTaskAfterTheOther) {
  const std::string first = *Run("pid");
  EXPECT_NE(first, StrCat(getpid()));
  EXPECT_EQ(*Run("pid"), first);
}

TEST_F(IsolationTest, ACrashCostsItsTaskAndTheNextOneRuns) {
  const absl::Status died = Run("abort").status();
  EXPECT_EQ(ErrorReason(died), "SIGNALLED");
  EXPECT_NE(died.message().find("signal 6"), std::string::npos) << died;
  const absl::Status ended = Run("exit").status();
  EXPECT_EQ(ErrorReason(ended), "EXIT_NONZERO");
  EXPECT_NE(ended.message().find("exit code 9"), std::string::npos) << ended;
  EXPECT_EQ(*Run("fine"), "fine");
}

TEST_F(IsolationTest, AChildThatDiedBetweenTasksIsReplacedUnnoticed) {
  const pid_t pid = std::atoi(Run("pid")->c_str());
  kill(pid, SIGKILL);
  siginfo_t ended;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(*Run("fine"), "fine");
}

TEST_F(IsolationTest, ErrorsAndExceptionsComeBackAndTheChildIsKept) {
  const std::string pid = *Run("pid");
  EXPECT_EQ(Run("error").status(), absl::InvalidArgumentError("bad"));
  EXPECT_EQ(Run("throw").status(), absl::InternalError("the handler threw: thrown"));
  EXPECT_EQ(ErrorReason(Run("large").status()), "RESULT_TOO_LARGE");
  EXPECT_EQ(*Run("pid"), pid);
}

TEST_F(IsolationTest, NewInputsOfAChildBecomeThoseOfItsTask) {
  EXPECT_EQ(*Run("add"), "add");
  EXPECT_EQ(task_.added_, (std::vector<std::pair<InputKey, std::string>>{{KeyOf("k"), "new"}}));
  EXPECT_FALSE(Run("add and fail").ok());
  EXPECT_EQ(task_.added_.size(), 1u);
  task_.accepts_ = false;
  EXPECT_TRUE(absl::IsFailedPrecondition(Run("add").status()));
}

TEST_F(IsolationTest, WhatAChildCountsIsCountedForItsTask) {
  EXPECT_EQ(Run("count").status().message(),
            "`no name` is no name for a counter: [A-Za-z0-9_.-]{1,64}");
  EXPECT_TRUE(task_.counted_.empty());
  EXPECT_EQ(*Run("count twice"), "count twice");
  EXPECT_EQ(task_.counted_, (std::vector<std::pair<std::string, int64_t>>{{"c", -3}}));
}

TEST_F(IsolationTest, TheLargestPayloadGoesBothWays) {
  const std::string payload(kMaxPayloadBytes, 'y');
  EXPECT_EQ(*Run(payload), payload);
}

TEST_F(IsolationTest, ATaskPastItsDeadlineIsKilled) {
  const std::string pid = *Run("pid");
  task_.deadline_ = absl::Now() + absl::Milliseconds(100);
  EXPECT_EQ(ErrorReason(Run("spin").status()), "TIMEOUT");
  EXPECT_EQ(kill(std::atoi(pid.c_str()), 0), -1);  // Reaped.
  task_.deadline_ = absl::InfiniteFuture();
  EXPECT_NE(*Run("pid"), pid);
}

TEST_F(IsolationTest, ACancelledTaskWakesUpAndOneThatIgnoresItIsKilled) {
  task_.is_cancelled_ = true;
  EXPECT_EQ(*Run("wait"), "woken");
  EXPECT_TRUE(absl::IsCancelled(Run("spin").status()));
}

TEST_F(IsolationTest, ATaskPastItsSoftLimitIsToldAndWhatItReturnsCounts) {
  task_.is_told_to_end_ = true;
  EXPECT_EQ(*Run("wait"), "woken");
  task_.deadline_ = absl::Now() + absl::Milliseconds(500);  // Longer than the grace of a cancel.
  EXPECT_EQ(ErrorReason(Run("spin").status()), "TIMEOUT");
}

TEST_F(IsolationTest, WhatAChildSaysOfTryingAgainComesBack) {
  const absl::Status never = Run("permanent").status();
  EXPECT_TRUE(IsPermanent(never));
  EXPECT_EQ(never.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(never.message(), "never");
  const absl::Status later = Run("again").status();
  EXPECT_FALSE(IsPermanent(later));
  EXPECT_EQ(AgainWait(later), absl::Milliseconds(1'500));
  EXPECT_EQ(later.message(), "later");
  EXPECT_FALSE(IsPermanent(Run("error").status()));
  EXPECT_EQ(AgainWait(Run("error").status()), std::nullopt);
}

TEST_F(IsolationTest, AChildGetsDetailsAndLeavesThemWithinTheBound) {
  EXPECT_EQ(Run("details").status().message(), "details have at most 1024 bytes, these have 1025");
  EXPECT_EQ(task_.details_, "before+");
}

TEST_F(IsolationTest, AChildAsksForAResultOfAPredecessorOnce) {
  EXPECT_EQ(*Run("predecessor"), "seven,none,seven");
  EXPECT_EQ(task_.asked_, 2);
}

TEST_F(IsolationTest, AChildIsReplacedAfterItsTasksAndAboveItsSize) {
  HandlerOptions limits;
  limits.recycle_after_tasks = 2;
  const std::string first = *Run("pid", limits);
  EXPECT_EQ(*Run("pid", limits), first);
  EXPECT_NE(*Run("pid", limits), first);
  limits = {};
  limits.recycle_above_bytes = 32u << 20;
  const std::string grown = *Run("grow", limits);
  EXPECT_NE(*Run("pid", limits), grown);
}

TEST_F(IsolationTest, IsolatedHandlersOfARegistryGoThroughThePool) {
  HandlerRegistry registry = TestHandlers();
  registry.Add("plain", Ordered);
  const HandlerRegistry offered = Isolated(registry, &pool_);
  EXPECT_NE(*(*offered.Find("ordered"))(task_, "pid"), StrCat(getpid()));
  EXPECT_EQ(*(*offered.Find("plain"))(task_, "pid"), StrCat(getpid()));
}

}  // namespace
}  // namespace reeve

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], reeve::kChildFlag) == 0)
    return reeve::ServeIsolated(reeve::TestHandlers(), STDIN_FILENO);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
