// The links between workers and master: two connections a worker, as ZeroMQ over TCP has them.
//
// A connection keeps order unless the seed reorders, loses nothing unless the seed loses, and dies
// with either end or when a fault breaks it; then what was on its way is gone, and the worker
// connects anew. The master learns of it when it sends.

#ifndef REEVE_TESTS_SIMULATION_NETWORK_H_
#define REEVE_TESTS_SIMULATION_NETWORK_H_

#include <set>
#include <variant>
#include <vector>

#include "tests/simulation/world.h"

namespace reeve::sim {

struct Frame {
  Epoch epoch;
  SessionId session;
  std::variant<std::monostate, Hello, Heartbeat, Recalled, Released, Goodbye, ResultsArrived,
               SendWhoAreYou, SendWelcome, SendHeartbeatAck, Assignment, SendRecall, SendCancel,
               AckResults>
      body;
};

enum class Channel : uint8_t { kDispatch = 0, kCollector = 1 };

class Network {
 public:
  explicit Network(World* world) : world_(world), links_(world->config.workers * 2) {}

  // Returns: false if the worker has no connection there.
  bool ToMaster(uint32_t worker, Channel channel, Frame frame);
  // Returns: false if the peer is known to be gone (EHOSTUNREACH).
  bool ToWorker(uint64_t route, Frame frame);

  // Begins to connect; goes on until it succeeds or the process ends.
  void Connect(uint32_t worker, Channel channel, uint64_t process);
  // The event kConnect. `possible`: both ends are there.
  void OnConnect(uint32_t worker, Channel channel, uint64_t process, bool possible);
  // `silently`: the master is not told.
  void Break(uint32_t worker, Channel channel, bool silently);
  // The master is gone: every worker begins to connect anew.
  void BreakAll();
  void Cut(uint32_t worker, bool to_master, int64_t until);
  void HealAll();

  // Whether a frame sent on `route` may still arrive.
  bool Current(uint32_t worker, Channel channel, uint64_t route) const {
    return link(worker, channel).route == route;
  }
  Channel ChannelOf(uint64_t route) const { return static_cast<Channel>(route & 1); }
  Frame Take(uint64_t slot) { return frames_.Take(slot); }
  uint64_t Keep(Frame frame) { return frames_.Put(std::move(frame)); }

 private:
  struct Link {
    uint64_t route = 0;  // 0: down.
    uint64_t process = 0;
    int64_t last[2] = {0, 0};
    int64_t cut_until[2] = {0, 0};
  };
  Link& link(uint32_t worker, Channel channel) {
    return links_[worker * 2 + static_cast<int>(channel)];
  }
  const Link& link(uint32_t worker, Channel channel) const {
    return links_[worker * 2 + static_cast<int>(channel)];
  }
  void Transmit(Link& link, int direction, Kind kind, uint32_t worker, Frame frame);
  int64_t Arrival(Link& link, int direction);

  World* world_;
  std::vector<Link> links_;
  std::set<uint64_t> reachable_;  // Routes the master may send to without an error.
  Pool<Frame> frames_;
  uint64_t next_route_ = 1;
};

}  // namespace reeve::sim

#endif  // REEVE_TESTS_SIMULATION_NETWORK_H_
