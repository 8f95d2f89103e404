#include "base/state_folder.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

std::string FreshFolder() {
  std::string folder = testing::TempDir() + "/state.XXXXXX";
  return mkdtemp(folder.data());
}

TEST(StateFolderTest, OneProcessHasItAndTheOtherIsToldWhich) {
  const std::string path = FreshFolder();
  const auto first = StateFolder::Open(path, false);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = StateFolder::Open(path, false);
  EXPECT_EQ(second.status().message(),
            "the state folder " + path + " is in use by process " + std::to_string(getpid()));
}

// Seen after kill -9 of a master whose writer waited for the disk.
TEST(StateFolderTest, AProcessWhoseLastThreadHasNotEndedYetIsWaitedFor) {
  const std::string path = FreshFolder();
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto held = StateFolder::Open(path, false);
    std::thread([fd = told[1], ok = held.ok()] {
      absl::SleepFor(absl::Milliseconds(50));  // By then the first thread has gone.
      if (write(fd, ok ? "y" : "n", 1) != 1) _exit(1);
      absl::SleepFor(absl::Milliseconds(300));
      _exit(0);
    }).detach();
    syscall(SYS_exit, 0);  // The first thread alone.
  }
  char answer = 0;
  ASSERT_EQ(read(told[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  const auto folder = StateFolder::Open(path, false);
  EXPECT_TRUE(folder.ok()) << folder.status();
  int status = 0;
  waitpid(child, &status, 0);
  close(told[0]);
  close(told[1]);
}

}  // namespace
}  // namespace reeve
