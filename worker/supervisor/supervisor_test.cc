// What is left of a command's descendants, whatever they did to get away.

#include "worker/supervisor/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <map>

#include "absl/time/clock.h"
#include "base/strings.h"
#include "gtest/gtest.h"

namespace reeve {
namespace {

// A folder in which commands note process ids, one file each.
std::string Notes() {
  std::string folder = StrCat(testing::TempDir(), "/notes.XXXXXX");
  return mkdtemp(folder.data());
}

// Waits for the note. Returns: the process id in it; 0 if there is none within ten seconds.
pid_t Noted(const std::string& note) {
  for (int i = 0; i < 1000; ++i) {
    pid_t pid = 0;
    std::string end;
    std::ifstream file(note);
    if (file >> pid >> end && end == "written") return pid;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return 0;
}

bool IsGone(pid_t pid) {
  std::ifstream stat(StrCat("/proc/", pid, "/stat"));
  std::string number, name, state;
  return !(stat >> number >> name >> state) || state == "Z";
}

bool GoneWithin(pid_t pid, absl::Duration time) {
  for (const absl::Time end = absl::Now() + time; absl::Now() < end;) {
    if (IsGone(pid)) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return IsGone(pid);
}

// A process in a session of its own, whose parent has ended, notes its id in `note` and stays.
// `before`: put before it, as in `env -i`.
std::string Escape(const std::string& note, const std::string& before = "") {
  return StrCat("(", before, " setsid sh -c 'echo $$ written > ", note,
                "; exec sleep 600' >/dev/null 2>&1 &) ; while ! grep -q written ", note,
                " 2>/dev/null; do sleep 0.01; done; ");
}

class Commands {
 public:
  explicit Commands(SpawnChannel& channel) : channel_(channel) {}

  void Start(uint64_t id, const std::string& script) {
    SpawnRequest request;
    request.id = id;
    request.argv = {"/bin/sh", "-c", script};
    request.environment = {"PATH=/usr/bin:/bin"};
    request.standard_input = open("/dev/null", O_RDWR | O_CLOEXEC);
    request.standard_output = request.standard_error = request.standard_input;
    // The kernel refuses to have more descriptors under way than a process may open.
    absl::Status sent = channel_.Spawn(request);
    for (int i = 0; i < 1000 && !sent.ok(); ++i, sent = channel_.Spawn(request)) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    ASSERT_TRUE(sent.ok());
    close(request.standard_input);
  }
  // Starts one that writes to a pipe. Returns: our end of it.
  int StartWithPipe(uint64_t id, const std::string& script) {
    int pipe[2];
    EXPECT_EQ(pipe2(pipe, O_CLOEXEC), 0);
    SpawnRequest request;
    request.id = id;
    request.argv = {"/bin/sh", "-c", script};
    request.standard_input = request.standard_output = request.standard_error = pipe[1];
    EXPECT_TRUE(channel_.Spawn(request).ok());
    close(pipe[1]);
    return pipe[0];
  }
  void WaitForEnd(uint64_t id) {
    while (!ended_.contains(id)) {
      pollfd wait{channel_.fd(), POLLIN, 0};
      poll(&wait, 1, 1000);
      std::vector<SpawnEvent> events;
      ASSERT_TRUE(channel_.Receive(&events));
      for (const SpawnEvent& event : events) ended_[event.id] = event;
    }
  }
  // What was told of the end. REQUIRES: WaitForEnd(id).
  const SpawnEvent& End(uint64_t id) const { return ended_.at(id); }
  void Kill(uint64_t id) { channel_.Kill(id, SIGKILL); }

 private:
  SpawnChannel& channel_;
  std::map<uint64_t, SpawnEvent> ended_;
};

// Runs `body` as a worker proper. Returns: true if all its expectations held.
// `descriptors`: as many more than now the supervisor and the worker proper may have each; 0: any
// number.
bool Supervised(const std::function<void(Commands&)>& body, rlim_t descriptors = 0) {
  const pid_t pid = fork();
  if (pid == 0) {
    const rlim_t first = static_cast<rlim_t>(dup(0));
    close(static_cast<int>(first));
    const rlimit limit{first + descriptors, first + descriptors};
    if (descriptors > 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(1);
    _exit(RunSupervised({}, [&](SpawnChannel& channel) {
      Commands commands(channel);
      body(commands);
      std::fflush(nullptr);
      return testing::Test::HasFailure() ? 2 : 0;
    }));
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(SupervisorTest, ADescendantInASessionOfItsOwnEndsWithItsCommand) {
  const std::string notes = Notes();
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    commands.Start(1, Escape(notes + "/daemon"));
    commands.WaitForEnd(1);
    const pid_t daemon = Noted(notes + "/daemon");
    ASSERT_GT(daemon, 0);
    EXPECT_TRUE(GoneWithin(daemon, absl::Seconds(2)));
  }));
}

TEST(SupervisorTest, WhatADaemonForkedEndsWithIt) {
  const std::string notes = Notes();
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    commands.Start(1,
                   StrCat("(setsid sh -c \"", Escape(notes + "/grandchild"),
                          " setsid sleep 600 & exec sleep 600\" >/dev/null 2>&1 &); while ! grep "
                          "-q written ",
                          notes, "/grandchild; do sleep 0.01; done"));
    commands.WaitForEnd(1);
    const pid_t grandchild = Noted(notes + "/grandchild");
    ASSERT_GT(grandchild, 0);
    EXPECT_TRUE(GoneWithin(grandchild, absl::Seconds(2)));
  }));
}

TEST(SupervisorTest, ADaemonOfARunningCommandOutlivesTheEndOfAnother) {
  const std::string notes = Notes();
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    commands.Start(1, Escape(notes + "/daemon") + "sleep 600");
    const pid_t daemon = Noted(notes + "/daemon");
    ASSERT_GT(daemon, 0);
    for (uint64_t id = 2; id < 5; ++id) {
      commands.Start(id, "true");
      commands.WaitForEnd(id);
    }
    EXPECT_FALSE(GoneWithin(daemon, absl::Milliseconds(100)));
    commands.Kill(1);
    commands.WaitForEnd(1);
    EXPECT_TRUE(GoneWithin(daemon, absl::Seconds(2)));
  }));
}

TEST(SupervisorTest, ADaemonWithoutAnEnvironmentEndsWithTheLastCommandItMayBeOf) {
  const std::string notes = Notes();
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    commands.Start(1, StrCat("while [ ! -e ", notes, "/go ]; do sleep 0.01; done"));
    commands.Start(2, Escape(notes + "/daemon", "env -i PATH=/usr/bin:/bin"));
    commands.WaitForEnd(2);
    const pid_t daemon = Noted(notes + "/daemon");
    ASSERT_GT(daemon, 0);
    commands.Start(3, "sleep 600");  // Began later: it cannot be its.
    EXPECT_FALSE(GoneWithin(daemon, absl::Milliseconds(100)));
    std::ofstream(notes + "/go") << "";
    commands.WaitForEnd(1);
    EXPECT_TRUE(GoneWithin(daemon, absl::Seconds(2)));
  }));
}

// Returns: all that comes until nobody holds the other end any more.
std::string ReadToTheEnd(int pipe) {
  std::string text;
  char part[4096];
  for (ssize_t n; (n = read(pipe, part, sizeof part)) > 0;)
    text.append(part, static_cast<size_t>(n));
  close(pipe);
  return text;
}

TEST(SupervisorTest, TheStreamsOfACommandAreClosedOnceItHasEnded) {
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    const int pipe = commands.StartWithPipe(1, "echo written");
    commands.WaitForEnd(1);
    EXPECT_EQ(ReadToTheEnd(pipe), "written\n");
  }));
}

// A request whose descriptors did not arrive was dropped, and the next one got what was left of
// them.
TEST(SupervisorTest, WithoutDescriptorsACommandIsRefusedAndTheOthersKeepTheirs) {
  EXPECT_TRUE(Supervised(
      [&](Commands& commands) {
        // The supervisor keeps two of each that runs.
        for (uint64_t id = 1; id <= 20; ++id) commands.Start(id, "exec sleep 600");
        commands.WaitForEnd(20);
        EXPECT_EQ(commands.End(20).kind, SpawnEvent::Kind::kFailed);
        EXPECT_EQ(commands.End(20).error, EMFILE);
        for (uint64_t id = 1; id <= 20; ++id) commands.Kill(id);
        for (uint64_t id = 1; id <= 20; ++id) commands.WaitForEnd(id);
        EXPECT_EQ(commands.End(1).kind, SpawnEvent::Kind::kExited);
        const int pipe = commands.StartWithPipe(21, "echo written");
        EXPECT_EQ(ReadToTheEnd(pipe), "written\n");
      },
      27));
}

TEST(SupervisorTest, ACommandDoesNotIgnoreTheSignalsThatTheWorkersParentIgnored) {
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    const int pipe = commands.StartWithPipe(1, "grep SigIgn /proc/self/status | cut -f2");
    const uint64_t ignored = std::stoull(ReadToTheEnd(pipe), nullptr, 16);
    EXPECT_EQ(ignored & (1u << (SIGHUP - 1) | 1u << (SIGPIPE - 1)), 0u);
  }));
  signal(SIGHUP, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
}

TEST(SupervisorTest, DaemonsEndWithTheWorker) {
  const std::string notes = Notes();
  EXPECT_TRUE(Supervised([&](Commands& commands) {
    commands.Start(1, Escape(notes + "/daemon") + "sleep 600");
    commands.Start(2, Escape(notes + "/bare", "env -i PATH=/usr/bin:/bin") + "sleep 600");
    ASSERT_GT(Noted(notes + "/daemon"), 0);
    ASSERT_GT(Noted(notes + "/bare"), 0);
  }));
  EXPECT_TRUE(GoneWithin(Noted(notes + "/daemon"), absl::Seconds(2)));
  EXPECT_TRUE(GoneWithin(Noted(notes + "/bare"), absl::Seconds(2)));
}

}  // namespace
}  // namespace reeve
