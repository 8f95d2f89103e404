#include "base/connection_watch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"

namespace reeve {
namespace {

constexpr size_t kMostBytes = 10'000;

class ConnectionWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    client_ = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(connect(client_, reinterpret_cast<sockaddr*>(&address), length), 0);
    server_ = accept(listener, nullptr, nullptr);
    close(listener);
  }
  void TearDown() override {
    close(client_);
    close(server_);
  }
  // Sends, and takes it on the other side: it has come.
  void Bring(size_t bytes) {
    std::string data(bytes, 'x');
    ASSERT_EQ(send(client_, data.data(), bytes, 0), static_cast<ssize_t>(bytes));
    ASSERT_EQ(recv(server_, data.data(), bytes, MSG_WAITALL), static_cast<ssize_t>(bytes));
  }
  bool IsCut() {
    char byte;
    return recv(client_, &byte, 1, MSG_DONTWAIT) == 0;
  }

  uint16_t port_ = 0;
  int client_ = -1, server_ = -1;
};

TEST_F(ConnectionWatchTest, WhoBringsTooMuchWithoutAMessageIsCut) {
  ConnectionWatch watch({port_}, kMostBytes);
  Bring(kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  EXPECT_FALSE(IsCut());
  Bring(1);
  EXPECT_EQ(watch.EndEndless(), 1u);
  EXPECT_TRUE(IsCut());
}

TEST_F(ConnectionWatchTest, AMessageBeginsTheCountAgain) {
  ConnectionWatch watch({port_}, kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  for (int i = 0; i < 3; ++i) {
    Bring(kMostBytes);
    NoteMessageFrom(server_);
    EXPECT_EQ(watch.EndEndless(), 0u);
  }
  Bring(kMostBytes + 1);
  EXPECT_EQ(watch.EndEndless(), 1u);
}

TEST_F(ConnectionWatchTest, OtherPortsAreLeftAlone) {
  ConnectionWatch watch({static_cast<uint16_t>(port_ + 1)}, kMostBytes);
  Bring(2 * kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  EXPECT_FALSE(IsCut());
}

TEST_F(ConnectionWatchTest, ADescriptorThatIsUsedAgainBeginsAnew) {
  ConnectionWatch watch({port_}, kMostBytes);
  Bring(kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  const int old = server_;
  TearDown();
  SetUp();
  ASSERT_EQ(server_, old);
  Bring(kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
}

}  // namespace
}  // namespace reeve
