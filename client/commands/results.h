// `reeve results` and `reeve logs`: what tasks returned and wrote.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_RESULTS_H_
#define REEVE_CLIENT_COMMANDS_RESULTS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct ResultsOptions {
  std::string job;
  bool ordered = false;
  bool follow = false;
  std::string only;  // `failed`, `succeeded`.
  uint64_t cursor = 0;
  std::string timeout;
};
absl::StatusOr<int> RunResults(Session& session, const ResultsOptions& options);

struct LogsOptions {
  std::string job;
  bool follow = false;
  std::string tasks;  // `3,7-9`; empty: all.
};
absl::StatusOr<int> RunLogs(Session& session, const LogsOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_RESULTS_H_
