#include "worker/supervisor/crash_notes.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "gtest/gtest.h"

namespace reeve {
namespace {

constexpr Birth kBirth{Epoch(3), 4};

// Runs `body` in a process of its own until that ends. Returns: its wait status.
int InChild(const std::function<void()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    CrashNotes::CatchFaults();
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

// A fault as hardware makes it, without one that a sanitizer would take for a defect of the test.
void Fault() { raise(SIGSEGV); }

TEST(CrashNotesTest, TheTaskOfTheFaultingThreadIsNamedAndItsNeighboursAreNot) {
  CrashNotes notes(3);
  const int status = InChild([&notes] {
    for (const uint32_t slot : {0u, 1u}) {
      notes.slot(slot)->SetSpan(JobId(7), kBirth);
      notes.slot(slot)->Begin(100 + slot);
    }
    notes.slot(1)->Attach();
    Fault();
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  notes.Keep();
  const CrashNotes::Kept kept = notes.kept();
  EXPECT_TRUE(kept.named);
  ASSERT_EQ(kept.tasks.size(), 1u);
  EXPECT_EQ(kept.tasks[0].job, JobId(7));
  EXPECT_EQ(kept.tasks[0].birth, kBirth);
  EXPECT_EQ(kept.tasks[0].index, 101u);
}

TEST(CrashNotesTest, WhatIsKeptNamesTheProcessAndOneThatRanNothingIsNamedToo) {
  CrashNotes notes(1);
  InChild([&notes] { notes.SetProcess("idle"); });
  notes.Clear();
  EXPECT_EQ(notes.kept().process_id, "idle");
  EXPECT_TRUE(notes.kept().tasks.empty());
  InChild([&notes] {
    notes.SetProcess(std::string(50, 'x'));  // As much as there is room for.
    notes.slot(0)->SetSpan(JobId(7), kBirth);
    notes.slot(0)->Begin(1);
  });
  notes.Keep();
  EXPECT_EQ(notes.kept().process_id, std::string(CrashNotes::kMaxProcessId, 'x'));
  // The next is never given anything: it still has to tell of the one before.
  InChild([&notes] { notes.SetProcess("never welcomed"); });
  notes.Keep();
  EXPECT_EQ(notes.kept().process_id, std::string(CrashNotes::kMaxProcessId, 'x'));
  EXPECT_EQ(notes.kept().tasks.size(), 1u);
}

TEST(CrashNotesTest, ADeathWithoutAFaultLeavesAllThatRan) {
  CrashNotes notes(4);
  InChild([&notes] {
    for (const uint32_t slot : {0u, 1u, 2u}) {
      notes.slot(slot)->SetSpan(JobId(7), kBirth);
      notes.slot(slot)->Begin(slot);
    }
    notes.slot(1)->End();
    kill(getpid(), SIGKILL);
  });
  notes.Keep();
  const CrashNotes::Kept kept = notes.kept();
  EXPECT_FALSE(kept.named);
  ASSERT_EQ(kept.tasks.size(), 2u);
  EXPECT_EQ(kept.tasks[0].index, 0u);
  EXPECT_EQ(kept.tasks[1].index, 2u);
}

TEST(CrashNotesTest, AFaultBetweenTasksNamesNobody) {
  CrashNotes notes(1);
  InChild([&notes] {
    notes.slot(0)->Attach();
    notes.slot(0)->Begin(5);
    notes.slot(0)->End();
    Fault();
  });
  notes.Keep();
  EXPECT_TRUE(notes.kept().tasks.empty());
}

TEST(CrashNotesTest, WhatIsKeptOutlivesAProcessThatNeverRanAnything) {
  CrashNotes notes(1);
  InChild([&notes] {
    notes.slot(0)->Attach();
    notes.slot(0)->Begin(5);
    Fault();
  });
  notes.Keep();
  InChild([] { kill(getpid(), SIGKILL); });
  notes.Keep();
  ASSERT_EQ(notes.kept().tasks.size(), 1u);
  EXPECT_TRUE(notes.kept().named);
  notes.Forget();
  EXPECT_TRUE(notes.kept().tasks.empty());
  EXPECT_FALSE(notes.kept().named);
}

}  // namespace
}  // namespace reeve
