// Hands jobs to the scheduler, which knows unfinished jobs only: how the others that they depend on
// have ended is looked up first.
//
// Thread: any; `done` is called once, in general on the loop thread.

#ifndef REEVE_MASTER_SERVICE_CREATE_JOBS_H_
#define REEVE_MASTER_SERVICE_CREATE_JOBS_H_

#include <cstddef>
#include <functional>

#include "master/scheduler/effects.h"
#include "master/scheduler/events.h"
#include "master/service/job_finder.h"

namespace reeve {

// The reply to the event: a JobReply or a JobsReply. What went wrong before the scheduler was asked
// is told in the same way: also NOT_FOUND JOB_NOT_FOUND for a job that the principal may not see.
void PostCreate(const ServiceParts& parts, CreateJob event, size_t bytes,
                std::function<void(Reply)> done);
void PostCreate(const ServiceParts& parts, CreateJobs event, size_t bytes,
                std::function<void(Reply)> done);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_CREATE_JOBS_H_
