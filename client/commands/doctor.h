// `reeve doctor`: looks at everything that has to be right, and says what is not; `reeve version`.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_DOCTOR_H_
#define REEVE_CLIENT_COMMANDS_DOCTOR_H_

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

// Returns: 0 if all is well, 3 if the master cannot be used, 5 if something else is wrong.
absl::StatusOr<int> RunDoctor(Session& session);
absl::StatusOr<int> RunVersion(Session& session);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_DOCTOR_H_
