// The worker loop: the one thread between master, agent and lanes.
//
// It owns both DEALER sockets, turns frames into the agent's events, hands spans to the lanes and
// their reports to the agent, and carries the agent's effects out. Link and loop are one thread: a
// thread of its own for the sockets would cost a wake-up each way.
//
// Thread: Run blocks the calling thread; Drain from any, also from a signal handler.

#ifndef REEVE_WORKER_RUNTIME_WORKER_LOOP_H_
#define REEVE_WORKER_RUNTIME_WORKER_LOOP_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/link_keys.h"
#include "worker/agent/agent.h"
#include "worker/lanes/lane.h"
#include "worker/link/link_messages.h"
#include "worker/runtime/spool.h"

namespace reeve {

class WorkerLoop {
 public:
  struct Options {
    std::string dispatch_endpoint;  // tcp://127.0.0.1:7521
    LinkKeys keys;                  // Empty: the link is not encrypted, which is for loopback.
    // The master has told its keys anew; to be kept for the next start.
    std::function<void(const LinkKeys&)> on_keys;
    // A relay that takes the results instead of the master's own collector, and its public key;
    // empty: none.
    std::string relay, relay_key;
    WorkerIdentity identity;
    AgentOptions agent;
    SpoolOptions spool;
    // Tasks that ran when the process before this one died, and what to do once a master knows.
    agent::Begin before;
    std::function<void()> on_before_told;
    // A master took the worker in, each time. May be empty.
    std::function<void()> on_joined;
    // What connections the worker has, at most 32; asked for with each heartbeat.
    std::function<std::vector<v1::PoolStatus>()> pools;
  };

  explicit WorkerLoop(Options options);
  ~WorkerLoop();

  // Where lanes report to. Valid for the life of the loop.
  LaneSink* sink();
  // Before Run. The lane outlives Run.
  void AddLane(Lane kind, TaskLane* lane);

  // Serves until drained or refused. Returns: the process's exit code.
  int Run();

  // Finish what runs, hand it in, say goodbye. A second time: do not wait for what runs.
  void Drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_RUNTIME_WORKER_LOOP_H_
