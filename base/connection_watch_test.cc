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
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address_), length), 0);
    ASSERT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &length);
    port_ = ntohs(address_.sin_port);
    Connect();
  }
  void TearDown() override {
    Disconnect();
    close(listener_);
  }
  void Connect() {
    client_ = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(connect(client_, reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    server_ = accept(listener_, nullptr, nullptr);
  }
  void Disconnect() {
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

  sockaddr_in address_{};
  uint16_t port_ = 0;
  int listener_ = -1, client_ = -1, server_ = -1;
};

TEST_F(ConnectionWatchTest, WhoBringsTooMuchWithoutAMessageIsCut) {
  ConnectionWatch watch({port_}, kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  Bring(kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  EXPECT_FALSE(IsCut());
  Bring(1);
  EXPECT_EQ(watch.EndEndless(), 1u);
  EXPECT_TRUE(IsCut());
}

// A worker that had brought more than the bound in many messages was cut by the first look at it.
TEST_F(ConnectionWatchTest, WhatCameBeforeTheFirstLookDoesNotCount) {
  for (int i = 0; i < 3; ++i) {
    Bring(kMostBytes);
    NoteMessageFrom(server_);
  }
  ConnectionWatch watch({port_}, kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  Bring(kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  EXPECT_FALSE(IsCut());
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
  EXPECT_EQ(watch.EndEndless(), 0u);
  Bring(2 * kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  EXPECT_FALSE(IsCut());
}

TEST_F(ConnectionWatchTest, ADescriptorThatIsUsedAgainBeginsAnew) {
  ConnectionWatch watch({port_}, kMostBytes);
  EXPECT_EQ(watch.EndEndless(), 0u);
  const int old = server_;
  Disconnect();
  Connect();
  ASSERT_EQ(server_, old);
  Bring(kMostBytes + 1);  // Measured from the old one's beginning, this would be too much.
  EXPECT_EQ(watch.EndEndless(), 0u);
  EXPECT_FALSE(IsCut());
  Bring(kMostBytes + 1);
  EXPECT_EQ(watch.EndEndless(), 1u);
}

}  // namespace
}  // namespace reeve
