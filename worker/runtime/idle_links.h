// Idle links: one process that a master takes for many workers without work.
//
// For measuring what connected workers cost the master (`reeve-worker --idle-links N`). Each link
// has its own connection, session and agent, and says what an idle worker says: Hello, a heartbeat
// per interval, Goodbye. It offers no handler and no slot, so nothing is ever assigned to it. The
// links' heartbeats are spread evenly over the interval, as those of separate processes are.
//
// The workers are called `idle-1` to `idle-N`: a second such process at the same master would take
// over the links of the first.
//
// Thread: Run blocks the calling thread; Drain from any, also from a signal handler.

#ifndef REEVE_WORKER_RUNTIME_IDLE_LINKS_H_
#define REEVE_WORKER_RUNTIME_IDLE_LINKS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "worker/agent/agent.h"
#include "worker/link/link_messages.h"

namespace reeve {

// Most links of a process: libzmq's bound for the sockets of a context is a little higher.
inline constexpr uint32_t kMaxIdleLinks = 4'000;

class IdleLinks {
 public:
  struct Options {
    std::string dispatch_endpoint;  // tcp://127.0.0.1:7521
    WorkerIdentity identity;        // Ids and handlers are set per link.
    AgentOptions agent;
    uint32_t count = 1;  // [1, kMaxIdleLinks]; each takes two descriptors.
  };

  explicit IdleLinks(Options options);
  ~IdleLinks();

  // Holds the links until drained or refused; prints `1000 links are attached` once all are
  // welcome. Returns: the process's exit code.
  int Run();

  // Says Goodbye on every link and ends.
  void Drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_RUNTIME_IDLE_LINKS_H_
