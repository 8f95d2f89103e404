// The relay: takes Results and Output of many workers, hands them to the master's collector in
// fewer, larger frames, and passes acknowledgements back.
//
// It has no state that matters: which worker an acknowledgement is for comes back with it, only the
// master commits, and workers send again what is not acknowledged. Frames are checked as at the
// collector; of what they hold nothing is parsed. While the master takes nothing, or is not there,
// it reads nothing more: one frame waits here, a bounded number in each socket.
//
// Thread: its own.

#ifndef REEVE_RELAY_RELAY_H_
#define REEVE_RELAY_RELAY_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/zmq_socket.h"
#include "relay/merger.h"

namespace reeve {

class Relay {
 public:
  struct Options {
    std::string listen;  // tcp://127.0.0.1:7530; a gate stands before it (base/zmq_gate.h).
    std::string master;  // The master's collector: tcp://127.0.0.1:7522
    // CURVE, unless empty: its own pair, for both sides, and the master's public key.
    CurveKeys curve;
    std::string server_key;
    std::string next_server_key;  // Tried in turn while the master takes nothing; may be empty.
    MergerOptions merge;
  };

  Relay(ZmqContext& context, Options options);
  ~Relay();

  // Binds and starts the thread. Errors: UNAVAILABLE       the endpoint is taken.
  //                                      INVALID_ARGUMENT  `master` is no endpoint.
  absl::Status Start();
  // What waits is given a last chance to go.
  void Stop();

  // After Start: where it listens, with its port.
  const std::string& endpoint() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_RELAY_RELAY_H_
