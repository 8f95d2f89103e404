// QueueService: queues are read from the scheduler and set up in it.
//
// Thread: gRPC's.

#ifndef REEVE_MASTER_SERVICE_QUEUE_SERVICE_H_
#define REEVE_MASTER_SERVICE_QUEUE_SERVICE_H_

#include <memory>

#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"

namespace reeve {

// `door` outlives it.
std::unique_ptr<grpc::Service> MakeQueueService(const ServiceParts& parts, Doorkeeper* door);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_QUEUE_SERVICE_H_
