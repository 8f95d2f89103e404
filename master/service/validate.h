// What a request may hold. Every bound of the protos that the master must check is checked here,
// and nowhere else.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_VALIDATE_H_
#define REEVE_MASTER_SERVICE_VALIDATE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "master/scheduler/events.h"
#include "reeve/store/v1/store.pb.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

// The event for a request, without its call: defaults filled in, inputs parsed, record written.
// Errors: INVALID_ARGUMENT  BAD_REQUEST, INPUT_TOO_LARGE, TOO_MANY_TASKS, naming the field.
// `owner`: the principal that creates it; empty: root. Each has request ids of its own.
absl::StatusOr<CreateJob> ValidateCreateJob(v1::CreateJobRequest request, absl::Time now,
                                            const std::string& owner = "");

// The event for a list of jobs, likewise. Errors: also name the job, from 0: `jobs[2]: `.
absl::StatusOr<CreateJobs> ValidateCreateJobs(v1::CreateJobsRequest request, absl::Time now,
                                              const std::string& owner = "");

// The event for a job that tries tasks of `other` again: that one's specification but for what
// belonged to its beginning. Without chunks and `selected`.
absl::StatusOr<CreateJob> ValidateRetry(const v1::RetryJobRequest& request,
                                        const store::v1::JobRecord& other, absl::Time now,
                                        const std::string& owner = "");

// The event that each fire time of a schedule repeats. Its times count from the Unix epoch, which
// the scheduler moves to the creation of each job.
absl::StatusOr<CreateJob> ValidateScheduledJob(v1::CreateJobRequest request,
                                               const std::string& schedule,
                                               const std::string& owner);

// Equal for equal requests.
uint64_t ContentHash(const google::protobuf::Message& request);

// As the scheduler knows a request of `owner`: no printable id can be another principal's.
std::string RequestIdOf(const std::string& owner, const std::string& id);

absl::Status ValidateRequestId(std::string_view id);
// 1 to 64 printable ASCII characters.
absl::Status ValidateAppender(std::string_view id);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_VALIDATE_H_
