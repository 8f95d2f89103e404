// JobService: every method checks who calls, checks the request, and posts an event or starts a
// stream.
//
// Thread: gRPC's.

#ifndef REEVE_MASTER_SERVICE_JOB_SERVICE_H_
#define REEVE_MASTER_SERVICE_JOB_SERVICE_H_

#include <memory>

#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"

namespace reeve {

// `door` outlives it.
std::unique_ptr<grpc::Service> MakeJobService(const ServiceParts& parts, Doorkeeper* door);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_JOB_SERVICE_H_
