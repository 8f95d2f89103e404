// `reeve queue list|get|set|pause|resume|delete`.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_QUEUES_H_
#define REEVE_CLIENT_COMMANDS_QUEUES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct QueueOptions {
  std::string name;
  // What is not given stays as it is.
  std::optional<uint32_t> weight;
  std::optional<uint32_t> max_in_flight;  // 0: no limit.
  std::optional<uint64_t> max_tasks;      // 0: no limit.
  std::string rate;                       // `none`: no limit.
  std::string retry_rate;
};

absl::StatusOr<int> RunQueueList(Session& session);
absl::StatusOr<int> RunQueueGet(Session& session, const std::string& name);
absl::StatusOr<int> RunQueueSet(Session& session, const QueueOptions& options);
absl::StatusOr<int> RunQueuePause(Session& session, const std::string& name, bool pause);
absl::StatusOr<int> RunQueueDelete(Session& session, const std::string& name);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_QUEUES_H_
