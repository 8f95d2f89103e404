// The gRPC server: every method of reeve.v1, the token at the door, health and reflection.
//
// Thread: Start and Stop from main; gRPC's own threads between.

#ifndef REEVE_MASTER_SERVICE_API_SERVER_H_
#define REEVE_MASTER_SERVICE_API_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "master/service/job_finder.h"

namespace reeve {

class ApiServer {
 public:
  struct Options {
    std::string address;  // 127.0.0.1:7520
    std::string token;
    // Told by GetCluster.
    std::string cluster_id, dispatch_endpoint, collector_endpoint, state_directory;
    Epoch epoch;
    absl::Time start_time;
  };

  // Errors: UNAVAILABLE  the port is taken or may not be used.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const ServiceParts& parts,
                                                          const Options& options);
  ~ApiServer();

  // Refuses new calls, waits a moment for those under way, then cancels them.
  void Stop();

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_API_SERVER_H_
