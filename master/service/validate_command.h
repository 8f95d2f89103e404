// What a command may be.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_VALIDATE_COMMAND_H_
#define REEVE_MASTER_SERVICE_VALIDATE_COMMAND_H_

#include "absl/status/status.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

// Errors of both: INVALID_ARGUMENT BAD_REQUEST, naming the field.
absl::Status CheckCommand(const v1::Command& command);
absl::Status CheckSecrets(const v1::JobSpec& spec);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_VALIDATE_COMMAND_H_
