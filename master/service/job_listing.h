// A page of jobs, put together from the scheduler and both stores.
//
// Thread: any; `done` runs on the reader thread.

#ifndef REEVE_MASTER_SERVICE_JOB_LISTING_H_
#define REEVE_MASTER_SERVICE_JOB_LISTING_H_

#include <functional>

#include "absl/status/status.h"
#include "master/service/job_finder.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

// Those that `principal` sees (null: all), newest first. A page may have fewer jobs than asked for
// and yet be followed by one: so many were looked at.
// Errors: INVALID_ARGUMENT BAD_REQUEST; those of MasterLoop::Query.
void ListJobs(const ServiceParts& parts, std::shared_ptr<const Principal> principal,
              const v1::ListJobsRequest& request, v1::ListJobsResponse* response,
              std::function<void(absl::Status)> done);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_JOB_LISTING_H_
