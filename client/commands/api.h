// `reeve api list|describe|call`: any method of the master, through gRPC reflection; nothing about
// the API is compiled in.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_API_H_
#define REEVE_CLIENT_COMMANDS_API_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/commands/session.h"

namespace reeve {

absl::StatusOr<int> RunApiList(Session& session);
// `symbol`: a service, method, message or enum.
absl::StatusOr<int> RunApiDescribe(Session& session, const std::string& symbol);
// `method`: `reeve.v1.JobService/GetJob`. `json`: the request; for a streaming one, several, a line
// each; `-`: from standard input.
absl::StatusOr<int> RunApiCall(Session& session, const std::string& method,
                               const std::string& json);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_API_H_
