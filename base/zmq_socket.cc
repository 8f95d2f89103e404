#include "base/zmq_socket.h"

#include <cassert>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/connection_watch.h"
#include "zmq.h"

namespace reeve {
namespace {

// Below this a blob is copied into the message: cheaper than a shared owner.
constexpr size_t kCopyBelowBytes = 64 << 10;
constexpr absl::Duration kRebindWithin = absl::Seconds(5);

uint64_t ThisThread() { return std::hash<std::thread::id>()(std::this_thread::get_id()); }

std::string Why() { return zmq_strerror(zmq_errno()); }

void SetInt(void* socket, int option, int value) {
  [[maybe_unused]] const int rc = zmq_setsockopt(socket, option, &value, sizeof value);
  assert(rc == 0);
}

void SetText(void* socket, int option, const std::string& value) {
  [[maybe_unused]] const int rc = zmq_setsockopt(socket, option, value.data(), value.size());
  assert(rc == 0);
}

// Returns: false if a key is none.
bool SetCurve(void* socket, int type, const ZmqSocket::Options& options) {
  const std::string &secret = options.curve.secret_key, &server = options.server_key;
  if (secret.empty()) return true;
  const auto set = [socket](int option, const std::string& key) {
    return zmq_setsockopt(socket, option, key.c_str(), key.size() + 1) == 0;
  };
  if (type == ZMQ_ROUTER) SetInt(socket, ZMQ_CURVE_SERVER, 1);
  return set(ZMQ_CURVE_SECRETKEY, secret) && set(ZMQ_CURVE_PUBLICKEY, options.curve.public_key) &&
         (type == ZMQ_ROUTER || set(ZMQ_CURVE_SERVERKEY, server));
}

// libzmq has one family per socket and address; a name may be of either.
void ChooseFamily(void* socket, const std::string& endpoint) {
  const bool is_v4 =
      endpoint.find_first_not_of("0123456789.:*", sizeof("tcp://") - 1) == std::string::npos;
  SetInt(socket, ZMQ_IPV6, is_v4 ? 0 : 1);
}

void* MakeSocket(ZmqContext& context, int type, const ZmqSocket::Options& options) {
  void* socket = zmq_socket(context.raw(), type);
  if (socket == nullptr) return nullptr;
  SetInt(socket, ZMQ_LINGER, static_cast<int>(absl::ToInt64Milliseconds(options.linger)));
  SetInt(socket, ZMQ_SNDHWM, options.high_water_mark);
  SetInt(socket, ZMQ_RCVHWM, options.high_water_mark);
  SetInt(socket, ZMQ_HEARTBEAT_IVL, 0);
  SetInt(socket, ZMQ_HANDSHAKE_IVL, 5000);
  SetInt(socket, ZMQ_BACKLOG, 1024);
  SetInt(socket, ZMQ_TCP_KEEPALIVE, 1);
  SetInt(socket, ZMQ_TCP_KEEPALIVE_IDLE, 30);
  SetInt(socket, ZMQ_TCP_KEEPALIVE_INTVL, 10);
  SetInt(socket, ZMQ_TCP_KEEPALIVE_CNT, 3);
  SetInt(socket, ZMQ_TCP_MAXRT, 30'000);
  const int64_t max_bytes = kMaxMessageBytes;
  zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes);
  if (options.io_affinity != 0) {
    zmq_setsockopt(socket, ZMQ_AFFINITY, &options.io_affinity, sizeof options.io_affinity);
  }
  if (type == ZMQ_ROUTER) SetText(socket, ZMQ_ZAP_DOMAIN, "reeve");
  if (!SetCurve(socket, type, options)) {
    zmq_close(socket);
    return nullptr;
  }
  return socket;
}

int DescriptorOf(void* socket) {
  int fd = -1;
  size_t size = sizeof fd;
  zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
  return fd;
}

// libzmq hands the buffer from our thread to its own; ThreadSanitizer does not see how, because
// Debian's libzmq is not instrumented.
#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
void HandOver(void* address) { __tsan_release(address); }
void TakeOver(void* address) { __tsan_acquire(address); }
#else
void HandOver(void*) {}
void TakeOver(void*) {}
#endif

void ReleaseBuffer(void*, void* hint) {
  TakeOver(hint);
  delete static_cast<Buffer*>(hint);
}

bool InitMessage(zmq_msg_t* message, std::string_view bytes) {
  if (zmq_msg_init_size(message, bytes.size()) != 0) return false;
  if (!bytes.empty()) memcpy(zmq_msg_data(message), bytes.data(), bytes.size());
  return true;
}

bool InitMessage(zmq_msg_t* message, Buffer&& blob) {
  if (blob.size() < kCopyBelowBytes) return InitMessage(message, blob.view());
  auto* held = new Buffer(std::move(blob));
  const std::string_view view = held->view();
  HandOver(held);
  return zmq_msg_init_data(message, const_cast<char*>(view.data()), view.size(), &ReleaseBuffer,
                           held) == 0;
}

// A received frame: owns the zmq_msg_t.
struct Frame {
  Frame() { zmq_msg_init(&message); }
  ~Frame() { zmq_msg_close(&message); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  std::string_view view() {
    return {static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message)};
  }
  zmq_msg_t message;
};

Buffer AsBuffer(std::shared_ptr<Frame> frame) {
  const std::string_view view = frame->view();
  return Buffer(std::move(frame), view);
}

}  // namespace

ZmqContext::ZmqContext(int io_threads) : context_(zmq_ctx_new()) {
  zmq_ctx_set(context_, ZMQ_IO_THREADS, io_threads);
  zmq_ctx_set(context_, ZMQ_MAX_SOCKETS, 4096);
}

ZmqContext::~ZmqContext() { zmq_ctx_term(context_); }

ZmqSocket::ZmqSocket(void* socket, int fd, std::string endpoint)
    : socket_(socket), fd_(fd), endpoint_(std::move(endpoint)), owner_(ThisThread()) {}

ZmqSocket::~ZmqSocket() { zmq_close(socket_); }

void ZmqSocket::CheckThread() const { assert(owner_ == ThisThread()); }

absl::StatusOr<std::unique_ptr<ZmqSocket>> ZmqSocket::BindRouter(
    ZmqContext& context, const std::vector<std::string>& endpoints, const Options& options) {
  void* socket = MakeSocket(context, ZMQ_ROUTER, options);
  if (socket == nullptr) return absl::ResourceExhaustedError(absl::StrCat("socket: ", Why()));
  SetInt(socket, ZMQ_ROUTER_MANDATORY, 1);
  std::string first;
  for (const std::string& endpoint : endpoints) {
    ChooseFamily(socket, endpoint);
    if (zmq_bind(socket, endpoint.c_str()) != 0) {
      const std::string why = Why();
      zmq_close(socket);
      return absl::UnavailableError(absl::StrCat("cannot listen on ", endpoint, ": ", why));
    }
    char bound[256];
    size_t size = sizeof bound;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size);
    if (first.empty()) first = bound;
  }
  auto made = std::unique_ptr<ZmqSocket>(new ZmqSocket(socket, DescriptorOf(socket), first));
  made->require_user_ = options.require_user;
  return made;
}

absl::StatusOr<std::unique_ptr<ZmqSocket>> ZmqSocket::ConnectDealer(ZmqContext& context,
                                                                    const std::string& endpoint,
                                                                    const Options& options) {
  void* socket = MakeSocket(context, ZMQ_DEALER, options);
  if (socket == nullptr) return absl::ResourceExhaustedError(absl::StrCat("socket: ", Why()));
  SetInt(socket, ZMQ_IMMEDIATE, 1);
  ChooseFamily(socket, endpoint);
  // Spread over processes, so that a thousand workers do not knock in step.
  SetInt(socket, ZMQ_RECONNECT_IVL, 100 + static_cast<int>(ThisThread() % 400));
  SetInt(socket, ZMQ_RECONNECT_IVL_MAX, 1000);
  if (zmq_connect(socket, endpoint.c_str()) != 0) {
    const std::string why = Why();
    zmq_close(socket);
    return absl::InvalidArgumentError(absl::StrCat("cannot connect to ", endpoint, ": ", why));
  }
  return std::unique_ptr<ZmqSocket>(new ZmqSocket(socket, DescriptorOf(socket), endpoint));
}

absl::Status ZmqSocket::Send(std::string_view route, const FrameHead& head, std::string body,
                             Buffer blob) {
  CheckThread();
  const std::string head_bytes = EncodeHead(head, body, blob.view());
  zmq_msg_t frames[4];
  int count = 0;
  if (!route.empty()) InitMessage(&frames[count++], route);
  InitMessage(&frames[count++], head_bytes);
  InitMessage(&frames[count++], Buffer(std::move(body)));
  InitMessage(&frames[count++], std::move(blob));
  for (int i = 0; i < count; ++i) {
    const int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
    if (zmq_msg_send(&frames[i], socket_, flags) >= 0) continue;
    // Only the first frame can fail: libzmq takes the rest of a message it has begun.
    const int error = zmq_errno();
    for (int j = i; j < count; ++j) zmq_msg_close(&frames[j]);
    if (error == EHOSTUNREACH) return absl::NotFoundError("the peer is gone");
    return absl::ResourceExhaustedError(absl::StrCat("not sent: ", zmq_strerror(error)));
  }
  return absl::OkStatus();
}

ReceiveResult ZmqSocket::Receive() {
  CheckThread();
  ReceiveResult result;
  int type = 0;
  size_t size = sizeof type;
  zmq_getsockopt(socket_, ZMQ_TYPE, &type, &size);
  const size_t expected = kFrameCount + (type == ZMQ_ROUTER ? 1 : 0);
  std::vector<std::shared_ptr<Frame>> frames;
  for (size_t count = 0;; ++count) {
    auto frame = std::make_shared<Frame>();
    if (zmq_msg_recv(&frame->message, socket_, ZMQ_DONTWAIT) < 0) {
      result.drained = true;
      return result;
    }
    const bool more = zmq_msg_more(&frame->message) != 0;
    // Frames beyond the expected ones are read and dropped, so that an endless message costs no
    // memory here.
    if (!more) NoteMessageFrom(zmq_msg_get(&frame->message, ZMQ_SRCFD));
    if (count < expected) frames.push_back(std::move(frame));
    if (more) continue;
    if (count + 1 == expected) break;
    result.rejected = absl::InvalidArgumentError(absl::StrCat("message of ", count + 1, " frames"));
    return result;
  }
  size_t at = 0;
  std::string user;
  if (require_user_) {
    const char* let_in = zmq_msg_gets(&frames.back()->message, "User-Id");
    if (let_in == nullptr || *let_in == '\0') {
      result.rejected = absl::PermissionDeniedError("of a connection that nobody let in");
      return result;
    }
    user = let_in;
  }
  if (type == ZMQ_ROUTER) result.route = std::string(frames[at++]->view());
  auto head = DecodeHead(frames[at]->view(), frames[at + 1]->view(), frames[at + 2]->view(),
                         &result.protocol);
  if (!head.ok()) {
    result.rejected = head.status();
    return result;
  }
  result.message =
      LinkMessage{result.route, std::move(user), *head, AsBuffer(std::move(frames[at + 1])),
                  AsBuffer(std::move(frames[at + 2]))};
  return result;
}

bool ZmqSocket::HasInput() const {
  CheckThread();
  int events = 0;
  size_t size = sizeof events;
  zmq_getsockopt(socket_, ZMQ_EVENTS, &events, &size);
  return (events & ZMQ_POLLIN) != 0;
}

absl::Status BindRouterAnew(ZmqContext& context, const std::vector<std::string>& endpoints,
                            const ZmqSocket::Options& options, std::unique_ptr<ZmqSocket>* socket) {
  const bool again = *socket != nullptr;
  socket->reset();
  const absl::Time deadline = absl::Now() + (again ? kRebindWithin : absl::ZeroDuration());
  for (;;) {
    auto bound = ZmqSocket::BindRouter(context, endpoints, options);
    if (bound.ok()) {
      *socket = std::move(*bound);
      return absl::OkStatus();
    }
    if (absl::Now() >= deadline) return bound.status();
    absl::SleepFor(absl::Milliseconds(10));
  }
}

}  // namespace reeve
