#include "base/zmq_gate.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "zmq.h"

namespace reeve {
namespace {

const CurveKeys kServer = MakeCurveKeys();

class Enrolled {
 public:
  void Add(const std::string& key) {
    MutexLock lock(&mu_);
    keys_.insert(key);
  }
  bool Has(const std::string& key) const {
    MutexLock lock(&mu_);
    return keys_.contains(key);
  }

 private:
  mutable Mutex mu_;
  std::set<std::string> keys_ ABSL_GUARDED_BY(mu_);
};

class ZmqGateTest : public testing::Test {
 protected:
  std::unique_ptr<ZmqGate> Gate() {
    auto gate = ZmqGate::Start(context_, [this](const std::string& k) { return enrolled_.Has(k); });
    EXPECT_TRUE(gate.ok()) << gate.status();
    return std::move(*gate);
  }
  std::unique_ptr<ZmqSocket> Router(bool with_keys = true) {
    ZmqSocket::Options options;
    if (with_keys) options.curve = kServer;
    options.require_user = true;
    return ZmqSocket::BindRouter(context_, {"tcp://127.0.0.1:*"}, options).value();
  }
  std::unique_ptr<ZmqSocket> Dealer(const ZmqSocket& router, const CurveKeys& keys,
                                    const std::string& server_key = kServer.public_key) {
    ZmqSocket::Options options;
    options.curve = keys;
    options.server_key = server_key;
    return ZmqSocket::ConnectDealer(context_, router.endpoint(), options).value();
  }
  // Whether a message of `dealer` comes through within `tries` hundredths of a second.
  static ReceiveResult Exchange(ZmqSocket& dealer, ZmqSocket& router, int tries) {
    for (int i = 0; i < tries; ++i) {
      (void)dealer.Send("", {.type = FrameType::kHello}, "hello");
      ReceiveResult result = router.Receive();
      if (!result.drained) return result;
      pollfd fd{router.fd(), POLLIN, 0};
      poll(&fd, 1, 10);
    }
    ReceiveResult none;
    none.drained = true;
    return none;
  }
  static constexpr int kEnough = 1000, kAMoment = 40;

  ZmqContext context_{1};
  Enrolled enrolled_;
};

TEST_F(ZmqGateTest, AnEnrolledKeyComesInAndIsNamedWithEachMessage) {
  const auto gate = Gate();
  const auto router = Router();
  const CurveKeys keys = MakeCurveKeys();
  enrolled_.Add(keys.public_key);
  const auto dealer = Dealer(*router, keys);
  const ReceiveResult got = Exchange(*dealer, *router, kEnough);
  ASSERT_TRUE(got.message.has_value()) << got.rejected;
  EXPECT_EQ(got.message->user, keys.public_key);
  EXPECT_EQ(got.message->body.view(), "hello");
}

TEST_F(ZmqGateTest, StrangersNeverGetAMessageThrough) {
  const auto gate = Gate();
  const auto router = Router();
  const CurveKeys known = MakeCurveKeys();
  enrolled_.Add(known.public_key);
  const auto stranger = Dealer(*router, MakeCurveKeys());
  const auto wrong_server = Dealer(*router, known, MakeCurveKeys().public_key);
  const auto plain = ZmqSocket::ConnectDealer(context_, router->endpoint(), {}).value();
  // Another's public key with a secret that is not its.
  CurveKeys stolen{known.public_key, MakeCurveKeys().secret_key};
  const auto thief = Dealer(*router, stolen);
  for (ZmqSocket* dealer : {stranger.get(), wrong_server.get(), plain.get(), thief.get()})
    EXPECT_TRUE(Exchange(*dealer, *router, kAMoment).drained);
  const auto good = Dealer(*router, known);
  EXPECT_TRUE(Exchange(*good, *router, kEnough).message.has_value());
}

TEST_F(ZmqGateTest, UserAndPasswordAreNoKey) {
  const auto gate = Gate();
  const auto router = Router();
  void* plain = zmq_socket(context_.raw(), ZMQ_DEALER);
  const int zero = 0;
  zmq_setsockopt(plain, ZMQ_LINGER, &zero, sizeof zero);
  zmq_setsockopt(plain, ZMQ_PLAIN_USERNAME, "admin", 5);
  zmq_setsockopt(plain, ZMQ_PLAIN_PASSWORD, "admin", 5);
  ASSERT_EQ(zmq_connect(plain, router->endpoint().c_str()), 0);
  zmq_send(plain, "x", 1, ZMQ_DONTWAIT);
  pollfd fd{router->fd(), POLLIN, 0};
  poll(&fd, 1, 300);
  EXPECT_TRUE(router->Receive().drained);
  zmq_close(plain);
}

TEST_F(ZmqGateTest, WithoutKeysAConnectionIsOfThisMachine) {
  const auto gate = Gate();
  const auto router = Router(false);
  const auto dealer = ZmqSocket::ConnectDealer(context_, router->endpoint(), {}).value();
  const ReceiveResult got = Exchange(*dealer, *router, kEnough);
  ASSERT_TRUE(got.message.has_value()) << got.rejected;
  EXPECT_EQ(got.message->user, kLocalUser);
}

// libzmq lets any key in when nobody answers for the gate.
TEST_F(ZmqGateTest, WithoutAGateEveryMessageIsRejected) {
  const auto router = Router();
  const auto dealer = Dealer(*router, MakeCurveKeys());
  const ReceiveResult got = Exchange(*dealer, *router, kEnough);
  EXPECT_EQ(got.rejected.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_FALSE(got.message.has_value());
}

TEST_F(ZmqGateTest, TwoGatesInOneContextAreRefused) {
  const auto gate = Gate();
  const auto second = ZmqGate::Start(context_, [](const std::string&) { return false; });
  EXPECT_NE(second.status().message().find("cannot be bound"), absl::string_view::npos);
}

TEST_F(ZmqGateTest, AGateThatLetsEverybodyInFailsItsTest) {
  const auto open = ZmqGate::Start(context_, [](const std::string&) { return true; });
  EXPECT_NE(open.status().message().find("test of itself"), absl::string_view::npos);
}

TEST(CurveKeys, ArePairs) {
  const CurveKeys keys = MakeCurveKeys();
  EXPECT_TRUE(IsCurveKey(keys.public_key));
  EXPECT_EQ(PublicKeyOf(keys.secret_key), keys.public_key);
  EXPECT_FALSE(IsCurveKey("short"));
  EXPECT_FALSE(IsCurveKey(std::string(40, '\0')));
  EXPECT_EQ(PublicKeyOf("none"), "");
}

TEST_F(ZmqGateTest, AGateForAnyKeyNamesWhoCame) {
  const auto gate = ZmqGate::Start(
      context_, [](const std::string&) { return true; }, ZmqGate::Strangers::kNamed);
  ASSERT_TRUE(gate.ok()) << gate.status();
  const auto router = Router();
  const CurveKeys stranger = MakeCurveKeys();
  const auto dealer = Dealer(*router, stranger);
  const ReceiveResult result = Exchange(*dealer, *router, 500);
  ASSERT_TRUE(result.message.has_value()) << result.rejected;
  EXPECT_EQ(result.message->user, stranger.public_key);
}

}  // namespace
}  // namespace reeve
