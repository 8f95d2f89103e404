// `reeve wait` and `reeve watch`: until jobs have ended, without and with each change.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_WAIT_H_
#define REEVE_CLIENT_COMMANDS_WAIT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct WaitOptions {
  std::vector<std::string> jobs;
  std::string timeout;
  bool each = false;  // Print every change.
};

absl::StatusOr<int> RunWait(Session& session, const WaitOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_WAIT_H_
