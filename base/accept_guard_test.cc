#include "base/accept_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "gtest/gtest.h"

namespace reeve {
namespace {

class AcceptGuardTest : public testing::Test {
 protected:
  void SetUp() override {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);  // Blocks, as libzmq's do.
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address_), length), 0);
    ASSERT_EQ(listen(listener_, 16), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &length);
  }
  void TearDown() override {
    RefuseConnectionsFrom(INT_MAX);
    close(listener_);
  }
  int Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    return fd;
  }

  int listener_ = -1;
  sockaddr_in address_{};
};

TEST_F(AcceptGuardTest, ConnectionsAboveTheBoundAreClosedAndNoneWaitsBehindThem) {
  const int first = Connect(), second = Connect();
  const uint64_t before = refused_connections();
  RefuseConnectionsFrom(0);
  EXPECT_EQ(accept4(listener_, nullptr, nullptr, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(refused_connections(), before + 2);
  char byte;
  EXPECT_EQ(read(first, &byte, 1), 0);
  EXPECT_EQ(read(second, &byte, 1), 0);
  close(first);
  close(second);
}

TEST_F(AcceptGuardTest, BelowTheBoundAcceptIsTheSystems) {
  const int client = Connect();
  sockaddr_in peer{};
  socklen_t length = sizeof peer;
  const int server = accept4(listener_, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC);
  EXPECT_GE(server, 0);
  EXPECT_EQ(length, sizeof peer);
  close(server);
  close(client);
}

}  // namespace
}  // namespace reeve
