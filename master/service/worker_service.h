// WorkerService: who is there, whose keys are known, who must leave.
//
// Thread: gRPC's.

#ifndef REEVE_MASTER_SERVICE_WORKER_SERVICE_H_
#define REEVE_MASTER_SERVICE_WORKER_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"

namespace reeve {

// What a worker that enrols is told; see EnrolWorkerResponse.
struct LinkPorts {
  uint32_t dispatch = 0;
  uint32_t collector = 0;
};
struct ServerKeys {
  std::string current;  // Public, Z85. Empty: the link is not encrypted.
  std::string next;
};

// `access` and `door` outlive it. `keys` gives those of now.
std::unique_ptr<grpc::Service> MakeWorkerService(const ServiceParts& parts, Doorkeeper* door,
                                                 Access* access, LinkPorts ports,
                                                 std::function<ServerKeys()> keys);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_WORKER_SERVICE_H_
