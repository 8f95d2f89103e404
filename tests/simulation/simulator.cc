#include "tests/simulation/simulator.h"

#include "tests/simulation/checker.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_client.h"
#include "tests/simulation/sim_master.h"
#include "tests/simulation/sim_operator.h"
#include "tests/simulation/sim_store.h"
#include "tests/simulation/sim_worker.h"

namespace reeve::sim {
namespace {

// More than any seed needs: a run that gets there is caught in a loop.
constexpr uint64_t kMaxEvents = 400'000;

// A reply to whoever called.
struct Router final : ReplySink {
  SimClients* clients = nullptr;
  SimOperator* queues = nullptr;
  void OnReply(const Reply& reply) override {
    if (SimOperator::Owns(reply.call)) return queues->OnReply(reply);
    clients->OnReply(reply);
  }
};

class Simulator {
 public:
  Simulator(const SimConfig& config, bool trace)
      : world_(config, trace),
        network_(&world_),
        checker_(&world_),
        store_(&world_, &checker_),
        clients_(&world_, &store_, &checker_),
        operator_(&world_, &store_),
        master_(&world_, &network_, &store_, &checker_, &replies_) {
    checker_.Use(&store_);
    clients_.Use(&master_);
    operator_.Use(&master_);
    replies_.clients = &clients_;
    replies_.queues = &operator_;
    for (uint32_t i = 0; i < config.workers; ++i)
      workers_.emplace_back(&world_, &network_, &checker_, i);
  }

  Outcome Run();

 private:
  void Do(const World::Next& next);
  void Inject(const Fault& fault);
  void Heal();
  bool Finished();
  Channel ChannelOf(const Fault& fault) const { return static_cast<Channel>(fault.detail % 2); }

  World world_;
  Network network_;
  Checker checker_;
  SimStore store_;
  SimClients clients_;
  SimOperator operator_;
  Router replies_;
  SimMaster master_;
  std::vector<SimWorker> workers_;
};

void Simulator::Inject(const Fault& fault) {
  SimWorker& worker = workers_[fault.who];
  const int64_t until = world_.now + fault.duration;
  const bool odd = fault.detail % 2 != 0;
  world_.Note("fault", static_cast<uint64_t>(fault.kind), fault.who);
  switch (fault.kind) {
    case FaultKind::kMasterCrash: return master_.Crash(odd, fault.duration);
    case FaultKind::kCarryCrash: return master_.CrashInCarry(fault.detail, fault.duration);
    case FaultKind::kMasterStall: return master_.Stall(until);
    case FaultKind::kCommitFails: return store_.FailNext(odd, fault.duration);
    case FaultKind::kSlowStore: return store_.Slow(fault.duration, until);
    case FaultKind::kWorkerCrash:
      worker.Crash(odd, fault.detail / 2 % 2 != 0);
      return world_.At(until, Kind::kWorkerStart, fault.who);
    case FaultKind::kWallJump:
      if (odd) world_.Saw(Seen::kWallSetBack);
      world_.wall_offset += odd ? -fault.duration : fault.duration;
      return;
    case FaultKind::kWorkerDeath: return worker.Die(odd);
    case FaultKind::kWorkerStall: return worker.Stall(until);
    case FaultKind::kWorkerDrain: return worker.Drain(fault.duration);
    case FaultKind::kCutToMaster: return network_.Cut(fault.who, true, until);
    case FaultKind::kCutToWorker: return network_.Cut(fault.who, false, until);
    case FaultKind::kCollectorStall: return master_.StallCollector(until);
    case FaultKind::kBreak:
      network_.Break(fault.who, ChannelOf(fault), false);
      if (!worker.alive() || (odd && !worker.wants_collector())) return;
      return network_.Connect(fault.who, ChannelOf(fault), worker.process());
  }
}

void Simulator::Heal() {
  world_.Note("healed");
  world_.healed = true;
  network_.HealAll();
  store_.Heal();
  master_.Heal();
}

void Simulator::Do(const World::Next& next) {
  switch (next.kind) {
    case Kind::kMasterTurn: return master_.OnTurn(next.a);
    case Kind::kMasterTimer: return master_.OnTimer(next.a, next.b);
    case Kind::kMasterStart: return master_.Start();
    case Kind::kWorkerTurn: return workers_[next.who].OnTurn(next.a);
    case Kind::kWorkerTimer: return workers_[next.who].OnTimer(next.a, next.b);
    case Kind::kWorkerStart: return workers_[next.who].Start();
    case Kind::kReadTimer: return clients_.OnReadTimer(next.who, next.a);
    case Kind::kTaskDone: return workers_[next.who].OnTaskDone(next.a, next.b);
    case Kind::kFence: return workers_[next.who].OnFence(next.a);
    case Kind::kConnect: {
      SimWorker& worker = workers_[next.who];
      if (!worker.alive() || worker.process() != next.b) return;
      return network_.OnConnect(next.who, static_cast<Channel>(next.a), next.b, master_.alive());
    }
    case Kind::kToMaster: {
      const Channel channel = network_.ChannelOf(next.b);
      Frame frame = network_.Take(next.a);
      if (!network_.Current(next.who, channel, next.b)) return;
      if (channel == Channel::kDispatch) return master_.OnFrame(next.b, std::move(frame));
      const int64_t ready = master_.collector_ready();
      if (ready <= world_.now) return master_.OnCollected(next.b, std::move(frame));
      return world_.At(ready, Kind::kToMaster, next.who, network_.Keep(std::move(frame)), next.b);
    }
    case Kind::kToWorker: {
      Frame frame = network_.Take(next.a);
      if (network_.Current(next.who, network_.ChannelOf(next.b), next.b))
        workers_[next.who].OnFrame(std::move(frame));
      return;
    }
    case Kind::kCommitDone: return master_.OnCommitDone(next.a);
    case Kind::kCommitTold: return master_.OnCommitTold(next.a, next.b);
    case Kind::kLoaded: return master_.OnLoaded(next.a, next.b);
    case Kind::kApi: return clients_.OnCall(next.a);
    case Kind::kReply: return clients_.OnArrived(next.a);
    case Kind::kClientTimer: return clients_.OnTimer(next.who, next.a, next.b);
    case Kind::kOperatorTimer: return operator_.OnTimer(next.who, next.b);
    case Kind::kOperatorCall: return operator_.OnCall(next.a);
    case Kind::kOperatorReply: return operator_.OnArrived(next.a);
    case Kind::kResultsLoaded: return master_.OnResultsLoaded(next.a, next.b);
    case Kind::kFault: return Inject(world_.config.faults[next.a]);
    case Kind::kHeal: return Heal();
  }
}

bool Simulator::Finished() {
  if (!world_.healed || !clients_.Done() || !operator_.Done() || !checker_.AllEnded() ||
      master_.unfinished() > 0)
    return false;
  for (const SimWorker& worker : workers_) {
    if (!worker.idle()) return false;
  }
  return true;
}

Outcome Simulator::Run() {
  const SimConfig& config = world_.config;
  master_.Start();
  for (uint32_t i = 0; i < config.workers; ++i)
    world_.At(world_.network.Between(0, 300 * kMs), Kind::kWorkerStart, i);
  for (size_t i = 0; i < config.faults.size(); ++i)
    world_.At(config.faults[i].at, Kind::kFault, 0, i);
  if (config.mode == Mode::kLiveness) world_.At(config.heal_at, Kind::kHeal);
  Outcome outcome;
  bool finished = false;
  while (!world_.queue.empty() && world_.broken.empty() && !finished) {
    const World::Next next = world_.queue.top();
    if (next.at > config.end_at || outcome.events >= kMaxEvents) break;
    world_.queue.pop();
    world_.now = next.at;
    ++outcome.events;
    Do(next);
    if (outcome.events % 32 == 0) finished = Finished();
  }
  if (outcome.events >= kMaxEvents) world_.Fail("a history comes to its end");
  if (config.mode == Mode::kLiveness && !finished)
    world_.Fail("after the faults everything comes to its end");
  if (world_.broken.empty()) checker_.AtEnd(finished);
  master_.AtEnd();
  outcome.broken = world_.broken;
  outcome.hash = world_.hash;
  outcome.counters = world_.counters;
  return outcome;
}

}  // namespace

Outcome Simulate(const SimConfig& config, bool trace) { return Simulator(config, trace).Run(); }

}  // namespace reeve::sim
