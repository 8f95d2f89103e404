#include "base/zmq_gate.h"

#include <atomic>
#include <cstring>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/named_thread.h"
#include "base/zmq_curve.h"
#include "zmq.h"

namespace reeve {
namespace {

constexpr char kEndpoint[] = "inproc://zeromq.zap.01";  // Where libzmq looks for it.
constexpr char kSelf[] = "self";  // In place of the caller's address, when the gate tries itself.
constexpr int kPollMs = 100;
constexpr size_t kRequestFrames = 6;  // And the credentials.
constexpr size_t kKeyBytes = 32;
constexpr absl::Duration kSelfTest = absl::Seconds(5);

using Frames = std::vector<std::string>;

// Of one message; empty: none came in time.
Frames ReceiveAll(void* socket) {
  Frames frames;
  for (int more = 1; more != 0;) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, 0) < 0) {
      zmq_msg_close(&message);
      return {};
    }
    frames.emplace_back(static_cast<char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    more = zmq_msg_more(&message);
    zmq_msg_close(&message);
  }
  return frames;
}

void SendAll(void* socket, const Frames& frames) {
  for (size_t i = 0; i < frames.size(); ++i) {
    zmq_send(socket, frames[i].data(), frames[i].size(), i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
  }
}

std::string AsZ85(const std::string& bytes) {
  char text[64] = {};
  if (bytes.size() != kKeyBytes) return {};
  zmq_z85_encode(text, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return text;
}

std::string FromZ85(const std::string& text) {
  std::string bytes(kKeyBytes, '\0');
  zmq_z85_decode(reinterpret_cast<uint8_t*>(bytes.data()), text.c_str());
  return bytes;
}

void* MakeSocket(ZmqContext& context, int type, absl::Duration wait) {
  void* socket = zmq_socket(context.raw(), type);
  if (socket == nullptr) return nullptr;
  const int linger = 0, wait_ms = static_cast<int>(absl::ToInt64Milliseconds(wait));
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
  return socket;
}

}  // namespace

struct ZmqGate::Impl {
  ZmqContext* context;
  Admit admit;
  const std::string test_key = MakeCurveKeys().public_key;  // Its own, let in.
  std::atomic<bool> stopping{false};
  std::thread thread;

  void Run(std::promise<bool>* bound);
  std::string UserOf(const Frames& request) const;
  std::string Ask(const std::string& public_key, absl::Duration within);
};

// Empty: must not connect.
std::string ZmqGate::Impl::UserOf(const Frames& request) const {
  if (request.size() < kRequestFrames || request[0] != "1.0") return {};
  const std::string& mechanism = request[5];
  if (mechanism == "NULL") return kLocalUser;
  if (mechanism != "CURVE" || request.size() != kRequestFrames + 1) return {};
  const std::string key = AsZ85(request[6]);
  const bool is_test = request[3] == kSelf;
  if (key.empty() || !(key == test_key || admit(key))) {
    if (!is_test)
      REEVE_LOG_WARNING("connection refused address={} key={} why=unknown-key", request[3], key);
    return {};
  }
  return key;
}

void ZmqGate::Impl::Run(std::promise<bool>* bound) {
  void* socket = MakeSocket(*context, ZMQ_REP, absl::Milliseconds(kPollMs));
  const bool ready = socket != nullptr && zmq_bind(socket, kEndpoint) == 0;
  bound->set_value(ready);
  while (ready && !stopping.load()) {
    const Frames request = ReceiveAll(socket);
    if (Failpoint("gate.dies")) break;
    if (request.empty()) continue;
    const std::string user = UserOf(request);
    SendAll(socket, {"1.0", request.size() > 1 ? request[1] : "", user.empty() ? "400" : "200",
                     user.empty() ? "not enrolled" : "OK", user, ""});
  }
  if (socket != nullptr) zmq_close(socket);
}

// The status it answers, as libzmq would get it; empty: none.
std::string ZmqGate::Impl::Ask(const std::string& public_key, absl::Duration within) {
  void* socket = MakeSocket(*context, ZMQ_REQ, within);
  if (socket == nullptr) return {};
  std::string status;
  if (zmq_connect(socket, kEndpoint) == 0) {
    SendAll(socket, {"1.0", "1", "reeve", kSelf, "", "CURVE", FromZ85(public_key)});
    const Frames reply = ReceiveAll(socket);
    if (reply.size() == 6) status = reply[2];
  }
  zmq_close(socket);
  return status;
}

ZmqGate::ZmqGate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ZmqGate::~ZmqGate() {
  impl_->stopping.store(true);
  if (impl_->thread.joinable()) impl_->thread.join();
}

absl::StatusOr<std::unique_ptr<ZmqGate>> ZmqGate::Start(ZmqContext& context, Admit admit,
                                                        Strangers strangers) {
  auto impl = std::make_unique<Impl>();
  impl->context = &context;
  impl->admit = std::move(admit);
  std::promise<bool> bound;
  impl->thread = NamedThread("zmq-gate", [gate = impl.get(), &bound] { gate->Run(&bound); });
  const bool ready = bound.get_future().get();
  auto gate = std::unique_ptr<ZmqGate>(new ZmqGate(std::move(impl)));
  if (!ready) return absl::InternalError("the gate of the link cannot be bound");
  const std::string stranger = gate->impl_->Ask(MakeCurveKeys().public_key, kSelfTest);
  if (stranger != (strangers == Strangers::kKeptOut ? "400" : "200") || !gate->Answers(kSelfTest))
    return absl::InternalError("the gate of the link failed its test of itself");
  return gate;
}

bool ZmqGate::Answers(absl::Duration within) {
  return impl_->Ask(impl_->test_key, within) == "200";
}

}  // namespace reeve
