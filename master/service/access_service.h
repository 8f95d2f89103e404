// AccessService: tokens.
//
// Thread: gRPC's.

#ifndef REEVE_MASTER_SERVICE_ACCESS_SERVICE_H_
#define REEVE_MASTER_SERVICE_ACCESS_SERVICE_H_

#include <memory>

#include "master/service/doorkeeper.h"

namespace reeve {

// Both outlive it.
std::unique_ptr<grpc::Service> MakeAccessService(Doorkeeper* door, Access* access);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_ACCESS_SERVICE_H_
