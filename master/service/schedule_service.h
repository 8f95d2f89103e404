// ScheduleService: schedules are checked as the jobs that they make, and belong to who made them.
//
// Thread: gRPC's.

#ifndef REEVE_MASTER_SERVICE_SCHEDULE_SERVICE_H_
#define REEVE_MASTER_SERVICE_SCHEDULE_SERVICE_H_

#include <memory>

#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"

namespace reeve {

// `door` outlives it.
std::unique_ptr<grpc::Service> MakeScheduleService(const ServiceParts& parts, Doorkeeper* door);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_SCHEDULE_SERVICE_H_
