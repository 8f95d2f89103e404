// A worker node: one process after the other, each with the real Agent, a session of its own and a
// lane; what worker/runtime/worker_loop.cc does around the agent, without sockets.

#ifndef REEVE_TESTS_SIMULATION_SIM_WORKER_H_
#define REEVE_TESTS_SIMULATION_SIM_WORKER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/network.h"
#include "tests/simulation/sim_lane.h"

namespace reeve::sim {

class SimWorker {
 public:
  SimWorker(World* world, Network* network, Checker* checker, uint32_t number)
      : world_(world), network_(network), checker_(checker), number_(number) {}

  void Start();
  // kill -9. `silently`: its connections stay half-open for the master. `parent_too`: what the
  // parent remembers is gone.
  void Crash(bool silently, bool parent_too);
  void Die(bool silently) {
    Crash(silently, true);
    dead_ = true;
  }
  void Drain(int64_t back_after);
  void Stall(int64_t until);

  void OnTurn(uint64_t process);
  void OnTimer(uint64_t process, uint64_t token);
  void OnTaskDone(uint64_t process, uint64_t slot_and_serial);
  // The parent's: comes although the process is stopped.
  void OnFence(uint64_t process) {
    if (alive() && process == process_) lane_->Fence();
  }
  void OnFrame(Frame frame);

  bool alive() const { return agent_ != nullptr; }
  bool dead() const { return dead_; }
  uint64_t process() const { return process_; }
  bool wants_collector() const { return collector_known_; }
  // Nothing held, nothing owed: as its last heartbeat said.
  bool idle() const { return agent_ == nullptr || (agent_->welcomed() && last_held_ == 0); }
  std::string id() const { return WorkerId(number_); }

 private:
  void Wake();
  // Returns: whether the process is still there.
  bool TaskDone(uint64_t slot_and_serial);
  void DieOfPoison();
  void Keep(std::vector<agent::Suspect> running, bool named);
  void End(Death death, bool silently, bool parent_too);
  std::string ProcessId() const { return id() + "#" + std::to_string(process_); }
  void Receive(Frame& frame);
  void OnAssign(const Assignment& assignment);
  void OnWelcome(const Frame& frame, const SendWelcome& welcome);
  void Carry(AgentEffects effects);
  void Send(Channel channel, decltype(Frame::body) body);
  void SendHello(const AgentEffects::Hello& hello);
  void SendBeat(const AgentEffects::Heartbeat& beat);
  void SendResults(std::vector<AgentEffects::Batch> batches);
  void SetTimer();
  absl::Duration Clock() const { return absl::Microseconds(world_->now) + absl::Seconds(1); }
  LaneRooms Rooms() const;

  World* world_;
  Network* network_;
  Checker* checker_;
  const uint32_t number_;
  uint64_t process_ = 0;
  bool dead_ = false;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<SimLane> lane_;
  SessionId session_;
  bool collector_known_ = false;
  std::vector<Frame> inbox_;
  std::map<uint64_t, SimSpan> payloads_;
  uint64_t next_payload_ = 1;
  bool turn_set_ = false;
  uint64_t timer_ = 0;
  int64_t stalled_until_ = 0, back_after_ = 0;
  std::vector<uint64_t> late_tasks_;  // Ended while the process was stopped.
  uint64_t last_held_ = 0;
  agent::Begin kept_;  // By the parent, for the next process.
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIM_WORKER_H_
