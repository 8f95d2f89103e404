// The relay between sockets of a test: what comes from workers, and what a master says.

#include "relay/relay.h"

#include <poll.h>

#include <map>
#include <set>

#include "base/zmq_gate.h"
#include "gtest/gtest.h"
#include "relay/relayed.h"

namespace reeve {
namespace {

class RelayTest : public testing::Test {
 public:
  void SetUp() override {
    gate_ = *ZmqGate::Start(context_, [](const std::string&) { return false; });
    StartMaster("tcp://127.0.0.1:*");
    StartRelay("tcp://127.0.0.1:*");
  }
  void StartMaster(const std::string& endpoint) {
    ZmqSocket::Options options;
    options.require_user = true;
    // libzmq gives a port back a moment after the close.
    for (int tries = 0; master_ == nullptr && tries < 500; ++tries) {
      auto bound = ZmqSocket::BindRouter(context_, {endpoint}, options);
      if (bound.ok()) master_ = std::move(*bound);
      if (!bound.ok()) poll(nullptr, 0, 10);
    }
    ASSERT_NE(master_, nullptr) << endpoint;
    master_endpoint_ = master_->endpoint();
  }
  void StartRelay(const std::string& endpoint) {
    for (int tries = 0; tries < 500; ++tries) {
      relay_ = std::make_unique<Relay>(
          context_, Relay::Options{.listen = endpoint, .master = master_endpoint_});
      if (relay_->Start().ok()) return;
      poll(nullptr, 0, 10);
    }
    FAIL() << endpoint;
  }
  std::unique_ptr<ZmqSocket> Worker() {
    return *ZmqSocket::ConnectDealer(context_, relay_->endpoint(), {});
  }

  static LinkMessage Next(ZmqSocket& socket) {
    for (int tries = 0; tries < 2000; ++tries) {
      ReceiveResult result = socket.Receive();
      if (result.message.has_value()) return *std::move(result.message);
      if (socket.HasInput()) continue;
      pollfd fd{socket.fd(), POLLIN, 0};
      poll(&fd, 1, 10);
    }
    ADD_FAILURE() << "nothing came";
    return {};
  }
  // The next message of workers, frame by frame.
  RelayedPart NextPart() {
    while (parts_.empty()) {
      const LinkMessage message = Next(*master_);
      if (message.route.empty()) return {};
      EXPECT_EQ(message.head.type, FrameType::kRelayed);
      relay_route_ = message.route;
      auto parts = DecodeRelayed(message.body, message.blob);
      EXPECT_TRUE(parts.ok()) << parts.status();
      ++frames_;
      parts_.insert(parts_.end(), parts->begin(), parts->end());
    }
    RelayedPart part = std::move(parts_.front());
    parts_.erase(parts_.begin());
    return part;
  }
  // Waits for a connection.
  static void Send(ZmqSocket& worker, uint64_t session, const std::string& body,
                   const std::string& blob, FrameType type = FrameType::kResults) {
    FrameHead head;
    head.type = type;
    head.epoch = Epoch(7);
    head.session = SessionId(session);
    for (int tries = 0; tries < 2000; ++tries) {
      if (worker.Send({}, head, body, Buffer(blob)).ok()) return;
      // libzmq says that something changed, until it was asked what.
      if (worker.HasInput()) break;
      pollfd fd{worker.fd(), POLLIN, 0};
      poll(&fd, 1, 10);
    }
    ADD_FAILURE() << "not sent";
  }
  void Acknowledge(const std::vector<RelayedPart>& acks) {
    FrameHead head;
    head.type = FrameType::kRelayedAck;
    RelayedFrame frame = EncodeRelayed(acks);
    EXPECT_TRUE(master_->Send(relay_route_, head, frame.body, frame.blob).ok());
  }
  static RelayedPart AckOf(const RelayedPart& part, const std::string& body) {
    RelayedPart ack{part.head, part.connection, "", Buffer(body), Buffer()};
    ack.head.type = FrameType::kResultAck;
    return ack;
  }

  ZmqContext context_{1};
  std::unique_ptr<ZmqGate> gate_;
  std::unique_ptr<ZmqSocket> master_;
  std::string master_endpoint_, relay_route_;
  std::unique_ptr<Relay> relay_;
  std::vector<RelayedPart> parts_;
  int frames_ = 0;
};

TEST_F(RelayTest, AcknowledgementsComeBackToTheWorkerTheyAreFor) {
  std::map<uint64_t, std::unique_ptr<ZmqSocket>> workers;
  for (uint64_t session = 1; session <= 3; ++session) {
    workers[session] = Worker();
    Send(*workers[session], session, "body" + std::to_string(session), "blob");
  }
  std::vector<RelayedPart> acks;
  for (int i = 0; i < 3; ++i) {
    const RelayedPart part = NextPart();
    EXPECT_EQ(part.head.epoch, Epoch(7));
    EXPECT_EQ(part.body.view(), "body" + std::to_string(part.head.session.value));
    EXPECT_EQ(part.blob.view(), "blob");
    EXPECT_EQ(part.user, "") << "no key on loopback";
    acks.push_back(AckOf(part, "ack" + std::to_string(part.head.session.value)));
  }
  Acknowledge(acks);
  for (auto& [session, worker] : workers) {
    const LinkMessage message = Next(*worker);
    EXPECT_EQ(message.head.type, FrameType::kResultAck);
    EXPECT_EQ(message.head.session, SessionId(session));
    EXPECT_EQ(message.head.epoch, Epoch(7));
    EXPECT_EQ(message.body.view(), "ack" + std::to_string(session));
  }
}

TEST_F(RelayTest, OnlyResultsAndOutputPass) {
  const auto worker = Worker();
  Send(*worker, 1, "hello", "", FrameType::kHello);
  Send(*worker, 1, "relayed", "", FrameType::kRelayed);
  Send(*worker, 1, "output", "", FrameType::kOutput);
  EXPECT_EQ(NextPart().body.view(), "output");
  // And back, acknowledgements only.
  Send(*worker, 1, "results", "");
  const RelayedPart part = NextPart();
  RelayedPart welcome = AckOf(part, "welcome");
  welcome.head.type = FrameType::kWelcome;
  Acknowledge({welcome, AckOf(part, "ack")});
  EXPECT_EQ(Next(*worker).body.view(), "ack");
}

// While the master is not there all waits, most of it at the workers; and comes in few frames.
TEST_F(RelayTest, WhatWaitsForTheMasterIsMergedAndComesWholeAndInOrder) {
  constexpr int kEach = 200;
  relay_.reset();
  master_.reset();
  StartRelay("tcp://127.0.0.1:*");
  const std::unique_ptr<ZmqSocket> workers[] = {Worker(), Worker()};
  for (int i = 0; i < kEach; ++i) {
    for (const uint64_t session : {0, 1})
      Send(*workers[session], session, std::to_string(i), std::string(100, 'x'));
  }
  StartMaster(master_endpoint_);
  int next[2] = {0, 0};
  for (int i = 0; i < 2 * kEach; ++i) {
    const RelayedPart part = NextPart();
    ASSERT_FALSE(part.connection.empty());
    EXPECT_EQ(part.body.view(), std::to_string(next[part.head.session.value]++));
  }
  EXPECT_LT(frames_, kEach / 4);
}

TEST_F(RelayTest, AnotherInItsPlaceIsFoundByItself) {
  const auto worker = Worker();
  Send(*worker, 1, "before", "");
  EXPECT_EQ(NextPart().body.view(), "before");
  const std::string endpoint = relay_->endpoint();
  relay_.reset();
  StartRelay(endpoint);
  // Sent until it is there: what the closed connection took is lost.
  for (int i = 0; parts_.empty() && i < 100; ++i) {
    Send(*worker, 1, "after", "");
    pollfd fd{master_->fd(), POLLIN, 0};
    if (poll(&fd, 1, 100) > 0 && master_->HasInput()) parts_.push_back(NextPart());
  }
  const RelayedPart part = NextPart();
  EXPECT_EQ(part.body.view(), "after");
  Acknowledge({AckOf(part, "ack")});
  EXPECT_EQ(Next(*worker).body.view(), "ack");
}

// The master can trust the name: who has not the key cannot have come with it.
TEST(EncryptedRelayTest, TheWorkersKeyIsToldToTheMaster) {
  ZmqContext context(1);
  const auto gate = ZmqGate::Start(
      context, [](const std::string&) { return true; }, ZmqGate::Strangers::kNamed);
  ASSERT_TRUE(gate.ok());
  const CurveKeys of_master = MakeCurveKeys(), of_relay = MakeCurveKeys(),
                  of_worker = MakeCurveKeys();
  ZmqSocket::Options options;
  options.require_user = true;
  options.curve = of_master;
  const auto master = *ZmqSocket::BindRouter(context, {"tcp://127.0.0.1:*"}, options);
  // The first key is not the master's: the next one is tried after a while.
  Relay relay(context, {.listen = "tcp://127.0.0.1:*",
                        .master = master->endpoint(),
                        .curve = of_relay,
                        .server_key = MakeCurveKeys().public_key,
                        .next_server_key = of_master.public_key});
  ASSERT_TRUE(relay.Start().ok());
  ZmqSocket::Options of_dealer;
  of_dealer.curve = of_worker;
  of_dealer.server_key = of_relay.public_key;
  const auto worker = *ZmqSocket::ConnectDealer(context, relay.endpoint(), of_dealer);
  RelayTest::Send(*worker, 1, "body", "blob");
  const LinkMessage message = RelayTest::Next(*master);
  EXPECT_EQ(message.user, of_relay.public_key);
  const auto parts = DecodeRelayed(message.body, message.blob);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ((*parts)[0].user, of_worker.public_key);
  EXPECT_EQ((*parts)[0].body.view(), "body");
}

}  // namespace
}  // namespace reeve
