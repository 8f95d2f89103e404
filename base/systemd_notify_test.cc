#include "base/systemd_notify.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace reeve {
namespace {

// What systemd has at the other end.
class Listener {
 public:
  explicit Listener(const std::string& name) : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), length), 0) << name;
  }
  ~Listener() { close(fd_); }

  // Empty: nothing has come.
  std::string Next() {
    char buffer[256];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  const int fd_;
};

std::string Path() {
  std::string folder = testing::TempDir() + "/notifyXXXXXX";
  // A socket's name has 107 bytes at most, and a test's folder may be longer.
  if (folder.size() > 90) folder = "/tmp/notifyXXXXXX";
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  return folder + "/s";
}

std::string Abstract() { return "@reeve-notify-test-" + std::to_string(getpid()); }

TEST(SystemdNotifyTest, TellsASocketWithAPath) {
  const std::string path = Path();
  Listener listener(path);
  EXPECT_TRUE(SystemdNotify(path).Send("READY=1\nSTATUS=serves"));
  EXPECT_EQ(listener.Next(), "READY=1\nSTATUS=serves");
}

TEST(SystemdNotifyTest, TellsASocketWithAnAbstractName) {
  Listener listener(Abstract());
  EXPECT_TRUE(SystemdNotify(Abstract()).Send("STOPPING=1"));
  EXPECT_EQ(listener.Next(), "STOPPING=1");
}

TEST(SystemdNotifyTest, SaysThatNobodyWasTold) {
  EXPECT_FALSE(SystemdNotify("").Send("READY=1"));
  EXPECT_FALSE(SystemdNotify("relative").Send("READY=1"));
  EXPECT_FALSE(SystemdNotify("/nobody/listens").Send("READY=1"));
  EXPECT_FALSE(SystemdNotify("/" + std::string(200, 'x')).Send("READY=1"));
}

TEST(SystemdNotifyTest, TheEnvironmentIsTakenFromChildren) {
  Listener listener(Abstract());
  setenv("NOTIFY_SOCKET", Abstract().c_str(), 1);
  setenv("WATCHDOG_USEC", "4000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  SystemdNotify systemd = SystemdNotify::FromEnvironment();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    EXPECT_EQ(std::getenv(name), nullptr) << name;
  systemd.Alive(absl::Seconds(100));
  EXPECT_EQ(listener.Next(), "WATCHDOG=1");
}

TEST(SystemdNotifyTest, LifeIsToldFourTimesInTheTimeThatIsWaited) {
  Listener listener(Abstract());
  SystemdNotify systemd(Abstract(), absl::Seconds(4));
  int told = 0;
  for (int ms = 0; ms < 4000; ms += 10) {
    systemd.Alive(absl::Seconds(50) + absl::Milliseconds(ms));
    told += listener.Next() == "WATCHDOG=1" ? 1 : 0;
  }
  EXPECT_EQ(told, 4);
}

TEST(SystemdNotifyTest, LifeIsNotToldWhereNobodyWatchesThisProcess) {
  Listener listener(Abstract());
  SystemdNotify(Abstract()).Alive(absl::Seconds(1));
  setenv("NOTIFY_SOCKET", Abstract().c_str(), 1);
  setenv("WATCHDOG_USEC", "4000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid() + 1).c_str(), 1);
  SystemdNotify::FromEnvironment().Alive(absl::Seconds(1));
  EXPECT_EQ(listener.Next(), "");
}

}  // namespace
}  // namespace reeve
