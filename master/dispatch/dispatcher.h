// The dispatch socket: turns frames of workers into events and effects into frames.
//
// Decides nothing but who may speak: it checks head, identity and protocol version of a Hello, puts
// its pages together, and keeps which connection a session speaks by. A worker of this machine
// (no CURVE) shows a token; any other is the one its key was enrolled for, with every frame. Frames
// of a session it does not know are answered WhoAreYou (heartbeats only) or dropped and counted.
//
// Thread: the master loop's, which owns the socket.

#ifndef REEVE_MASTER_DISPATCH_DISPATCHER_H_
#define REEVE_MASTER_DISPATCH_DISPATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ids.h"
#include "base/zmq_socket.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"

namespace reeve {

class Access;
class SessionRegistry;

// A worker that was turned away, for `worker list`.
struct RejectedWorker {
  std::string worker_id, hostname, reason;
  absl::Time time;
};

class Dispatcher {
 public:
  struct Options {
    std::vector<std::string> endpoints;  // tcp://127.0.0.1:7521
    CurveKeys curve;                     // Empty: connections are not encrypted.
    const Access* access = nullptr;      // Required: who may say Hello.
    std::string collector_endpoint;      // Told in Welcome, as is the next.
    std::string next_server_key;
    Epoch epoch;
    std::string host_key;  // A worker with the same one is of the local cluster.
    absl::Duration heartbeat = absl::Seconds(1);
    absl::Duration lease = absl::Seconds(15);
    absl::Duration orphan_timeout = absl::Minutes(40);
    // A worker silent for so long is sent a word: a closed connection shows only then.
    absl::Duration probe_after = absl::Seconds(2);
    SessionRegistry* sessions = nullptr;  // Told who may speak to the collector.
  };

  // REQUIRES: called on the loop thread, which uses it from then on. Binding happens here.
  static absl::StatusOr<std::unique_ptr<Dispatcher>> Create(ZmqContext& context,
                                                            const Options& options);
  ~Dispatcher();

  int fd() const;
  const std::string& endpoint() const;

  // Takes up to `max` frames in and appends their events. Returns: true if more may wait.
  bool Receive(size_t max, std::vector<Event>* events);

  // Sends. A peer that is gone appends ConnectionClosed to `events`.
  void Send(const Assignment& assignment, std::vector<Event>* events);
  void Send(const LinkSend& send, std::vector<Event>* events);
  // Sends a word to each worker that was silent for `probe_after`, and ends the sessions of those
  // whose key was revoked.
  void Probe(absl::Duration now, std::vector<Event>* events);

  // Goes on with another key of its own: connections end and come again by themselves.
  // Errors: UNAVAILABLE  the port is gone.
  absl::Status ChangeKeys(const CurveKeys& current, const std::string& next_public_key);

  // Tells a worker to finish and leave. Returns: false if it is not connected.
  bool Drain(const std::string& worker_id);

  std::vector<RejectedWorker> rejected() const;

 private:
  struct Impl;
  explicit Dispatcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_DISPATCH_DISPATCHER_H_
