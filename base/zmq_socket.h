// The one place that touches libzmq: a context, ROUTER and DEALER sockets with our options,
// messages of three frames. Who may connect is base/zmq_gate.h's, keys are base/zmq_curve.h's.
//
// Nothing throws out of here: zmq::error_t ends in this file as a Status. Options follow
// reliability.md §3.1 (Z1, Z4, Z9, Z11, Z13, Z17, Z18): MANDATORY, IMMEDIATE, LINGER 0, no ZMTP
// heartbeats, MAXMSGSIZE, TCP keep-alive, bounded reconnect.
//
// Thread: a socket belongs to the thread that made it, from creation to close; debug builds check.

#ifndef REEVE_BASE_ZMQ_SOCKET_H_
#define REEVE_BASE_ZMQ_SOCKET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/frame.h"
#include "base/zmq_curve.h"

namespace reeve {

// One per process (two I/O threads in the master). Outlives its sockets.
class ZmqContext {
 public:
  explicit ZmqContext(int io_threads);
  ~ZmqContext();
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  void* raw() const { return context_; }

 private:
  void* const context_;
};

// The user of connections without CURVE: they come from this machine.
inline constexpr char kLocalUser[] = "local";

// A message that passed DecodeHead.
struct LinkMessage {
  // Routing id of the connection it came by; empty at a DEALER.
  std::string route;
  // With `require_user`: whom the gate let in by this connection, kLocalUser or a public key.
  std::string user;
  FrameHead head;
  Buffer body;
  Buffer blob;
};

// What became of one receive.
struct ReceiveResult {
  // Set if a well-formed message was there.
  std::optional<LinkMessage> message;
  // Nothing was waiting.
  bool drained = false;
  // Why a message was turned away: count it and go on. `route` and `protocol` are set for version
  // skew.
  absl::Status rejected;
  std::string route;
  uint16_t protocol = 0;
};

class ZmqSocket {
 public:
  struct Options {
    // ZMQ I/O threads to use, as a bit mask; 0: any.
    uint64_t io_affinity = 0;
    // Most whole messages waiting per connection, each way.
    int high_water_mark = 10'000;
    // How long close may wait to flush.
    absl::Duration linger = absl::ZeroDuration();
    // CURVE, unless empty: our own pair, and at a DEALER the ROUTER's public key.
    CurveKeys curve;
    std::string server_key;
    // ROUTER: messages of a connection that no gate let in are rejected.
    bool require_user = false;
  };

  // A ROUTER bound to all `endpoints` (`tcp://127.0.0.1:7521`, `tcp://[::1]:7521`; port 0 or `*`
  // picks a free one). Errors: UNAVAILABLE with endpoint and reason (in use, not permitted).
  static absl::StatusOr<std::unique_ptr<ZmqSocket>> BindRouter(
      ZmqContext& context, const std::vector<std::string>& endpoints, const Options& options);
  // A DEALER that connects, and connects again by itself.
  static absl::StatusOr<std::unique_ptr<ZmqSocket>> ConnectDealer(ZmqContext& context,
                                                                  const std::string& endpoint,
                                                                  const Options& options);
  ~ZmqSocket();
  ZmqSocket(const ZmqSocket&) = delete;
  ZmqSocket& operator=(const ZmqSocket&) = delete;

  // Sends without waiting. `route` is the routing id at a ROUTER, empty at a DEALER. Blobs over 64
  // KiB are not copied. Errors: NOT_FOUND           the peer is gone (EHOSTUNREACH).
  //         RESOURCE_EXHAUSTED  its queue is full, or no connection yet: nothing was sent.
  // Note:   success is not delivery; only the peer's answer proves it.
  absl::Status Send(std::string_view route, const FrameHead& head, std::string body,
                    Buffer blob = {});

  // Receives one message if one waits.
  ReceiveResult Receive();

  // Readable when Receive may have something. Edge-triggered, as libzmq's are: after it fires call
  // Receive until drained, and after each Send call Receive, too (or HasInput).
  int fd() const { return fd_; }
  bool HasInput() const;

  // The first endpoint as truly bound, with its port.
  const std::string& endpoint() const { return endpoint_; }
  void* raw() const { return socket_; }

 private:
  ZmqSocket(void* socket, int fd, std::string endpoint);
  void CheckThread() const;

  void* const socket_;
  const int fd_;
  const std::string endpoint_;
  const uint64_t owner_;  // Thread that made it.
  bool require_user_ = false;
};

// Binds a ROUTER into `socket`, in place of the one that is there: every connection of that one
// ends, with what it held. Waits up to 5 s for libzmq to give the old one's ports back.
// Errors: UNAVAILABLE  as BindRouter; `socket` is null.
absl::Status BindRouterAnew(ZmqContext& context, const std::vector<std::string>& endpoints,
                            const ZmqSocket::Options& options, std::unique_ptr<ZmqSocket>* socket);

}  // namespace reeve

#endif  // REEVE_BASE_ZMQ_SOCKET_H_
