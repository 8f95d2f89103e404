// Which tasks of an ended job are tried again, and what the job for them is.
//
// Thread: any; `done` runs on the loop or the reader thread.

#ifndef REEVE_MASTER_SERVICE_RETRY_JOB_H_
#define REEVE_MASTER_SERVICE_RETRY_JOB_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "master/service/job_finder.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

// The event, without its call. `owner`: the principal that the new job belongs to.
// Errors: INVALID_ARGUMENT BAD_REQUEST; NOT_FOUND JOB_NOT_FOUND; PERMISSION_DENIED NOT_PERMITTED;
//         FAILED_PRECONDITION JOB_NOT_ENDED, NOTHING_TO_RETRY (also: the inputs of an EPHEMERAL job
//         are gone); DATA_LOSS.
void MakeRetry(const ServiceParts& parts, const v1::RetryJobRequest& request,
               const std::string& owner, std::function<void(absl::StatusOr<CreateJob>)> done);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_RETRY_JOB_H_
