#include "base/failpoint.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "gtest/gtest.h"

namespace reeve {
namespace {

// Each test in a process of its own: points stay for the life of a process.
int StatusOf(const char* failpoints, int (*body)()) {
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("REEVE_FAILPOINTS", failpoints, 1);
    _exit(InitFailpoints().ok() ? body() : 99);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

TEST(FailpointTest, NothingHappensWithoutTheVariable) { EXPECT_FALSE(Failpoint("a")); }

TEST(FailpointTest, TheErrorComesAtTheNamedHitAndOnlyThen) {
  const int status = StatusOf("a=error:2,b=error", [] {
    const bool first = Failpoint("a"), second = Failpoint("a"), third = Failpoint("a");
    return !first && second && !third && Failpoint("b") && !Failpoint("c") ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(FailpointTest, KillEndsTheProcessBySignal) {
  const int status = StatusOf("a=kill:3", [] {
    for (int i = 0; i < 3; ++i) Failpoint("a");
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), 9);
}

TEST(FailpointTest, ExitEndsTheProcessWithItsCode) {
  const int status = StatusOf("a=exit70", [] { return Failpoint("a") ? 1 : 2; });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 70);
}

TEST(FailpointTest, ForkedProcessesCountTogether) {
  const int status = StatusOf("a=error:2", [] {
    const pid_t pid = fork();
    if (pid == 0) _exit(Failpoint("a") ? 1 : 0);
    int first = 0;
    waitpid(pid, &first, 0);
    return first == 0 && Failpoint("a") ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(FailpointTest, WhatIsNotOfTheFormIsRefused) {
  for (const char* text : {"a", "a=", "=kill", "a=kill:0", "a=kill:x", "a=stall", "a=stall:x",
                           "a=error:1:2", "a=kill,"}) {
    const int status = StatusOf(text, [] { return 0; });
    EXPECT_EQ(WEXITSTATUS(status), 99) << text;
  }
}

}  // namespace
}  // namespace reeve
