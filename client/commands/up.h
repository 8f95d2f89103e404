// `reeve up` and `reeve down`: a cluster on this machine.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_UP_H_
#define REEVE_CLIENT_COMMANDS_UP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct UpOptions {
  std::vector<std::string> listen;  // Addresses beyond loopback.
  std::string handlers;             // As of reeve-worker.
  bool allow_shell = false;
  std::vector<std::string> resources;  // NAME=AMOUNT, of each worker.
  uint32_t workers = 2;
  uint32_t slots = 0;
  uint32_t process_slots = 0;
  uint32_t async_slots = 0;
  std::string state_folder;
  uint32_t port = 0;
  bool detach = false;
};
absl::StatusOr<int> RunUp(Session& session, const UpOptions& options);

struct DownOptions {
  std::string state_folder;
  std::string timeout;
};
absl::StatusOr<int> RunDown(Session& session, const DownOptions& options);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_UP_H_
