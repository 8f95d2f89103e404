#include "base/zmq_socket.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>

#include "zmq.h"

namespace reeve {
namespace {

// Waits until `socket` has something that Receive can say, at most ten seconds.
ReceiveResult Await(ZmqSocket& socket) {
  for (int i = 0; i < 1000; ++i) {
    ReceiveResult result = socket.Receive();
    if (!result.drained) return result;
    pollfd fd{socket.fd(), POLLIN, 0};
    poll(&fd, 1, 10);
  }
  ADD_FAILURE() << "nothing came";
  return {};
}

// With IMMEDIATE a DEALER takes nothing before it is connected.
void SendWhenConnected(ZmqSocket& dealer, const FrameHead& head, std::string body, Buffer blob) {
  for (int i = 0; i < 1000; ++i) {
    if (dealer.Send("", head, body, blob).ok()) return;
    poll(nullptr, 0, 10);
  }
  ADD_FAILURE() << "never connected";
}

class ZmqSocketTest : public testing::Test {
 protected:
  ZmqSocketTest() {
    router_ = ZmqSocket::BindRouter(context_, {"tcp://127.0.0.1:*"}, {}).value();
    dealer_ = ZmqSocket::ConnectDealer(context_, router_->endpoint(), {}).value();
  }
  ZmqContext context_{1};
  std::unique_ptr<ZmqSocket> router_, dealer_;
};

TEST_F(ZmqSocketTest, MessagesGoThereAndBackWhole) {
  const FrameHead head{.type = FrameType::kResults, .epoch = Epoch(3), .session = SessionId(77)};
  const std::string big(100'000, 'b');
  SendWhenConnected(*dealer_, head, "body", Buffer(big));
  const ReceiveResult there = Await(*router_);
  ASSERT_TRUE(there.message.has_value()) << there.rejected;
  EXPECT_EQ(there.message->head.type, FrameType::kResults);
  EXPECT_EQ(there.message->head.epoch, Epoch(3));
  EXPECT_EQ(there.message->head.session, SessionId(77));
  EXPECT_EQ(there.message->body.view(), "body");
  EXPECT_EQ(there.message->blob.view(), big);
  ASSERT_TRUE(router_->Send(there.message->route, {.type = FrameType::kResultAck}, "ack").ok());
  const ReceiveResult back = Await(*dealer_);
  ASSERT_TRUE(back.message.has_value()) << back.rejected;
  EXPECT_EQ(back.message->body.view(), "ack");
  EXPECT_TRUE(back.message->blob.empty());
}

TEST_F(ZmqSocketTest, SendingToAnUnknownPeerSaysSo) {
  EXPECT_EQ(router_->Send("nobody", {}, "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(ZmqSocketTest, AnotherProtocolVersionIsNamed) {
  SendWhenConnected(*dealer_, {.type = FrameType::kHello, .protocol = 9}, "x", {});
  const ReceiveResult got = Await(*router_);
  EXPECT_EQ(got.rejected.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(got.protocol, 9);
  EXPECT_FALSE(got.route.empty());
}

TEST_F(ZmqSocketTest, MessagesOfTheWrongShapeAreTurnedAway) {
  SendWhenConnected(*dealer_, {}, "first", {});
  ASSERT_TRUE(Await(*router_).message.has_value());
  zmq_send(dealer_->raw(), "GET / HTTP/1.1", 14, 0);
  EXPECT_EQ(Await(*router_).rejected.code(), absl::StatusCode::kInvalidArgument);
  for (int i = 0; i < 50; ++i) zmq_send(dealer_->raw(), "more", 4, i < 49 ? ZMQ_SNDMORE : 0);
  EXPECT_EQ(Await(*router_).rejected.code(), absl::StatusCode::kInvalidArgument);
}

TEST(ZmqSocketBind, APortInUseIsNamed) {
  ZmqContext context(1);
  auto first = ZmqSocket::BindRouter(context, {"tcp://127.0.0.1:*"}, {}).value();
  const auto second = ZmqSocket::BindRouter(context, {first->endpoint()}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("127.0.0.1"), absl::string_view::npos);
}

TEST(Frame, ABitFlippedAnywhereIsNoticed) {
  const std::string head = EncodeHead({.type = FrameType::kAssign}, "body", "blob");
  ASSERT_TRUE(DecodeHead(head, "body", "blob").ok());
  for (size_t i = 0; i < head.size(); ++i) {
    std::string bad = head;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(DecodeHead(bad, "body", "blob").ok()) << "byte " << i;
  }
  EXPECT_FALSE(DecodeHead(head, "bodz", "blob").ok());
  EXPECT_FALSE(DecodeHead(head, "body", "").ok());
}

}  // namespace
}  // namespace reeve
