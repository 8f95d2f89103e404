// The gRPC server: every method of reeve.v1 behind its doorkeeper, health and reflection; with TLS
// wherever it listens beyond loopback.
//
// Thread: Start and Stop from main; gRPC's own threads between.

#ifndef REEVE_MASTER_SERVICE_API_SERVER_H_
#define REEVE_MASTER_SERVICE_API_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"
#include "master/service/worker_service.h"

namespace reeve {

class ApiServer {
 public:
  struct Options {
    std::vector<std::string> addresses;  // 127.0.0.1:7520, [::1]:7520
    // PEM of key, certificate and authority in one; empty: no TLS, which is for loopback alone.
    std::string certificate_file;
    Access* access = nullptr;  // Required, as is the next.
    AuditLog* audit = nullptr;
    PrincipalLimits limits;
    LinkPorts link_ports;
    std::function<ServerKeys()> server_keys;
    // Called on the loop thread; when it returns OK the new keys count. Null: there are none.
    std::function<absl::Status()> rotate_keys;
    // Told by GetCluster.
    std::string cluster_id, dispatch_endpoint, collector_endpoint, state_directory;
    Epoch epoch;
    absl::Time start_time;
  };

  // Errors: UNAVAILABLE  the port is taken or may not be used.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const ServiceParts& parts,
                                                          const Options& options);
  ~ApiServer();

  // Ends streams of tokens that were revoked or have expired. Called every second or so.
  void EndRevoked();

  // Refuses new calls, waits a moment for those under way, then cancels them.
  void Stop();

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_API_SERVER_H_
