// Whoever sets up queues and schedules, and drains workers: gives the orders of a seed's plans one
// after the other, and each again until it is answered.

#ifndef REEVE_TESTS_SIMULATION_SIM_OPERATOR_H_
#define REEVE_TESTS_SIMULATION_SIM_OPERATOR_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/sim_master.h"

namespace reeve::sim {

class SimOperator final : public ReplySink {
 public:
  SimOperator(World* world, const SimStore* store);

  void Use(SimMaster* master) { master_ = master; }
  static bool Owns(CallId call) { return (call.value & kCalls) != 0; }
  // A reply leaves the master.
  void OnReply(const Reply& reply) override;
  // Events kOperatorReply, kOperatorCall, kOperatorTimer.
  void OnArrived(uint64_t reply);
  void OnCall(uint64_t call) { (void)master_->Call(posted_.Take(call)); }
  void OnTimer(uint32_t order, uint64_t token);
  // Every order is carried out, and no schedule has more to come.
  bool Done() const;

 private:
  static constexpr uint64_t kCalls = uint64_t{1} << 62;
  struct Order {
    int64_t at = 0;
    std::function<Event(CallId)> make;
    std::function<bool()> holds;   // What must be durable once it is acknowledged; or empty.
    size_t behind = SIZE_MAX;      // The order that comes first.
    std::function<bool()> exists;  // It is not repeated once it is durable; or empty.
    // Whether a refusal is an answer too; empty: always.
    std::function<bool(const absl::Status&)> settles;
    Seen seen = Seen::kQueueChanged;
    CallId call;
    uint64_t token = 0;
    bool done = false;
  };
  void Add(Order order);
  void AddQueue(const QueuePlan& plan);
  void AddSchedule(uint32_t nth);
  void AddDrain(const DrainPlan& plan);
  void ChangeAt(int64_t at, uint32_t nth, ChangeSchedule::What what);
  void Again(uint32_t order, int64_t after);

  World* world_;
  const SimStore* store_;
  SimMaster* master_ = nullptr;
  std::vector<Order> orders_;
  std::map<uint32_t, size_t> last_drain_;  // Orders, by worker.
  std::vector<uint32_t> calls_;            // Orders, by number of the call.
  Pool<Event> posted_;
  Pool<Reply> replies_;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_SIM_OPERATOR_H_
