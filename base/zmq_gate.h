// Who may connect: the handler that libzmq asks about every new connection (ZAP, RFC 27).
//
// libzmq lets everybody in when nobody answers (reliability.md, findings 4 and 6; Z14, Z15), so the
// gate is there and has proved that it says no before a ROUTER binds, whoever owns it looks that it
// still answers, and a ROUTER with `require_user` takes no message of a connection that the gate
// has not let in.
//
// Thread: its own; Answers from one thread at a time.

#ifndef REEVE_BASE_ZMQ_GATE_H_
#define REEVE_BASE_ZMQ_GATE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/zmq_socket.h"

namespace reeve {

class ZmqGate {
 public:
  // Whether the owner of this public key (Z85) may connect. Called on the gate's thread.
  using Admit = std::function<bool(const std::string& public_key)>;

  // Whether strangers are kept out, or let in under the name of their key: for who passes on what
  // they say together with that name, and decides nothing (a relay).
  enum class Strangers { kKeptOut, kNamed };

  // Starts and tries itself. Connections without CURVE are let in as kLocalUser: only sockets that
  // were bound without keys, on loopback, have any.
  //
  // Errors: INTERNAL  it does not answer, or answers a stranger otherwise than it should.
  static absl::StatusOr<std::unique_ptr<ZmqGate>> Start(ZmqContext& context, Admit admit,
                                                        Strangers strangers = Strangers::kKeptOut);
  ~ZmqGate();

  // False: it is dead or stuck, and libzmq lets anybody in from now on; end the process.
  bool Answers(absl::Duration within);

 private:
  struct Impl;
  explicit ZmqGate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_BASE_ZMQ_GATE_H_
