// `reeve token`, `reeve context`, `reeve worker join|drain|revoke|enrolled`, `reeve cluster
// rotate-keys`: who may come in, and how.

#ifndef REEVE_CLIENT_COMMANDS_ACCESS_H_
#define REEVE_CLIENT_COMMANDS_ACCESS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

struct TokenOptions {
  std::string principal;
  std::vector<std::string> roles;
  std::vector<std::string> handlers;  // Empty: all.
  std::string expires;                // A duration; empty: never.
  std::string out;                    // File to write the token to; empty: standard output.
};
absl::StatusOr<int> RunTokenCreate(Session& session, const TokenOptions& options);
absl::StatusOr<int> RunTokenList(Session& session);
absl::StatusOr<int> RunTokenRevoke(Session& session, const std::string& token);

// `authority_file`: PEM of what is to be trusted, for tokens that pin nothing; empty: none.
absl::StatusOr<int> RunContextAdd(Session& session, const std::string& address,
                                  const std::string& authority_file);
absl::StatusOr<int> RunContextList(Session& session);
absl::StatusOr<int> RunContextRemove(Session& session, const std::string& address);

struct JoinOptions {
  std::string address;
  std::string state_folder;        // Of the worker.
  bool no_start = false;           // Only make the key file.
  bool relay = false;              // Of a relay, which is never started from here.
  std::vector<std::string> flags;  // Of reeve-worker, after `--`.
};
absl::StatusOr<int> RunWorkerJoin(Session& session, const JoinOptions& options);
struct DrainOptions {
  std::string worker;
  bool stay = false;    // It stays connected, without work.
  bool wait = false;    // Until it has left, or, if it stays, holds nothing.
  std::string timeout;  // Of the wait.
};
absl::StatusOr<int> RunWorkerDrain(Session& session, const DrainOptions& options);
absl::StatusOr<int> RunWorkerUndrain(Session& session, const std::string& worker);
absl::StatusOr<int> RunWorkerRevoke(Session& session, const std::string& worker);
absl::StatusOr<int> RunWorkerEnrolled(Session& session);

absl::StatusOr<int> RunRotateKeys(Session& session);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_ACCESS_H_
