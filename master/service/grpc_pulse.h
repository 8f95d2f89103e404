// Keeps gRPC's callback threads from going deaf.
//
// gRPC 1.51 runs callbacks on threads that poll for one second and, when nothing came, sleep for
// 100 ms without polling (src/cpp/common/completion_queue_cc.cc, grpc/grpc#25169). A call, a reply
// or a result that comes in such a pause waits for its end: one in eleven of those that come alone,
// 50 ms on average. A call within the process every 400 ms is an event each time, so that of these
// threads one at least never times out.
//
// Thread: the owner's; it has one of its own.

#ifndef REEVE_MASTER_SERVICE_GRPC_PULSE_H_
#define REEVE_MASTER_SERVICE_GRPC_PULSE_H_

#include <memory>

#include "base/periodic_thread.h"

namespace grpc {
class Channel;
}

namespace reeve {

class GrpcPulse {
 public:
  // `channel`: to a server of this process that outlives it.
  explicit GrpcPulse(std::shared_ptr<grpc::Channel> channel);
  GrpcPulse(const GrpcPulse&) = delete;
  GrpcPulse& operator=(const GrpcPulse&) = delete;

 private:
  void Beat();

  std::shared_ptr<grpc::Channel> channel_;
  PeriodicThread thread_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_GRPC_PULSE_H_
