// The master around the real Scheduler: what master/runtime/master_loop.cc (`Carry`), the
// dispatcher and the collector do, without sockets and threads. Each life has a scheduler of its
// own, made from what the store remembers.

#ifndef REEVE_TESTS_SIMULATION_SIM_MASTER_H_
#define REEVE_TESTS_SIMULATION_SIM_MASTER_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "master/runtime/commit_gate.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/network.h"

namespace reeve::sim {

// Where replies go.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  virtual void OnReply(const Reply& reply) = 0;
};

class SimMaster {
 public:
  SimMaster(World* world, Network* network, SimStore* store, Checker* checker, ReplySink* replies)
      : world_(world), network_(network), store_(store), checker_(checker), replies_(replies) {}

  void Start();
  // `applied`: the transaction under way is committed all the same. Back after `back`.
  void Crash(bool applied, int64_t back);
  void CrashInCarry(uint32_t detail, int64_t back);
  void Stall(int64_t until);
  void StallCollector(int64_t until) { collector_stalled_until_ = until; }
  void Heal();
  // Counts what the last life has seen.
  void AtEnd() {
    if (alive()) CountTotals();
  }

  void OnTurn(uint64_t life);
  void OnTimer(uint64_t life, uint64_t token);
  void OnFrame(uint64_t route, Frame frame);      // By the dispatcher.
  void OnCollected(uint64_t route, Frame frame);  // By the collector.
  void OnCommitDone(uint64_t life);
  void OnCommitTold(uint64_t life, uint64_t number);
  void OnLoaded(uint64_t life, uint64_t load);
  void OnResultsLoaded(uint64_t life, uint64_t load);
  // Returns: false if nobody serves.
  bool Call(Event event);

  bool alive() const { return scheduler_ != nullptr; }
  int64_t collector_ready() const { return std::max(world_->now, collector_stalled_until_); }
  size_t unfinished() const { return scheduler_ == nullptr ? 1 : scheduler_->totals().active_jobs; }

 private:
  using Held = std::variant<LinkSend, Reply, AckResults, ResultsNotice, JobNotice>;
  struct Connection {
    uint64_t route = 0;
    std::string worker_id;
    int64_t last_seen = 0;
  };

  Now Clock() const;
  void Wake();
  void SetTimer();
  void StepAll(std::vector<Event> events);
  void Step(Event event);
  void ReceiveFrame(uint64_t route, Frame& frame);
  void OnHello(uint64_t route, Frame& frame);
  bool Known(uint64_t route, const Frame& frame);
  void Probe();
  bool Carry(Effects effects);
  bool CrashHere(uint32_t stage);
  void Release(After after, Held what);
  void Do(Held& what);
  void ReleaseCommitted(StoreKind kind, uint64_t number);
  void SendTo(SessionId session, decltype(Frame::body) body);
  void SendLink(const LinkSend& send);
  void CountTotals();

  World* world_;
  Network* network_;
  SimStore* store_;
  Checker* checker_;
  ReplySink* replies_;
  std::unique_ptr<Scheduler> scheduler_;
  uint64_t life_ = 0;
  std::map<SessionId, Connection> connections_;
  std::map<std::string, SessionId> session_of_;
  std::map<SessionId, uint64_t> collector_routes_;
  std::vector<std::pair<uint64_t, Frame>> frames_;
  std::vector<Event> internal_, results_, api_, own_;
  CommitGate<Held> held_;
  Pool<InputsLoaded> loads_;
  Pool<ResultsLoaded> result_loads_;
  bool turn_set_ = false;
  uint64_t timer_ = 0;
  int64_t told_at_ = 0;
  int64_t stalled_until_ = 0, collector_stalled_until_ = 0, next_probe_ = 0;
  std::optional<uint32_t> crash_detail_;
  int64_t crash_back_ = 0;
  std::map<SessionId, uint64_t> hello_numbers_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIM_MASTER_H_
