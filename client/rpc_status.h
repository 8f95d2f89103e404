// From the status of a gRPC call to ours, with the reason of the published table.
//
// Thread: none.

#ifndef REEVE_CLIENT_RPC_STATUS_H_
#define REEVE_CLIENT_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace reeve {

// The reason comes from the ErrorInfo that the master attached; without one it is the name of the
// code.
absl::Status FromRpc(const grpc::Status& status);

}  // namespace reeve

#endif  // REEVE_CLIENT_RPC_STATUS_H_
