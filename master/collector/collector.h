// The collector: takes results in, has them admitted and committed, and releases them with an
// acknowledgement.
//
// Owns its ROUTER on its own endpoint and a thread. Decodes the frame, checks that the columns of
// each batch fit what the frame says of it, makes the keys of new inputs, posts outcomes with a
// handle on the bytes, and sends acknowledgements as the loop hands them over. It decides nothing:
// the one fence is Scheduler::OnResults. When the loop's inbox is full it stops reading. Output of
// running commands takes the same way, in order with the results: the loop knows whether the
// session holds the task. What comes through a relay (relay/relay.h) is taken apart and handled as
// if each worker had sent its own.
//
// Thread: its own; Acknowledge and ChangeKeys from any.

#ifndef REEVE_MASTER_COLLECTOR_COLLECTOR_H_
#define REEVE_MASTER_COLLECTOR_COLLECTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/zmq_socket.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/store/store.h"

namespace reeve {

class KeyPaths;
class SessionRegistry;

class Collector {
 public:
  struct Options {
    std::vector<std::string> endpoints;  // tcp://127.0.0.1:7522
    CurveKeys curve;                     // Empty: connections are not encrypted.
    Epoch epoch;                         // Results of another are dropped and counted.
    const SessionRegistry* sessions = nullptr;
    const KeyPaths* key_paths = nullptr;
    // Whether the owner of this public key may relay messages of others. Connections that are not
    // encrypted may, too: they come from this machine.
    std::function<bool(const std::string& user)> is_relay;
  };
  struct Sinks {
    // Waits while the loop is full; false: stopping.
    std::function<bool(ResultsArrived results, size_t bytes)> results;
    // Output that a session says tasks of it wrote. Waits likewise.
    std::function<bool(OutputArrived output, size_t bytes)> output;
  };

  Collector(ZmqContext& context, Options options, Sinks sinks);
  ~Collector();

  // Binds and starts the thread. Errors: UNAVAILABLE  the endpoint is taken.
  absl::Status Start();
  void Stop();

  // Goes on with another key of its own: connections end and come again by themselves. Thread: any.
  void ChangeKeys(const CurveKeys& keys);

  // Thread: any.
  void Acknowledge(AckResults ack);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_COLLECTOR_COLLECTOR_H_
