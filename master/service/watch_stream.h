// WatchJob and StreamLogs: streams that look at a job again while it changes.
//
// Thread: any; gRPC owns the objects until OnDone.

#ifndef REEVE_MASTER_SERVICE_WATCH_STREAM_H_
#define REEVE_MASTER_SERVICE_WATCH_STREAM_H_

#include "grpcpp/grpcpp.h"
#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

grpc::ServerWriteReactor<v1::Job>* StartWatch(const ServiceParts& parts,
                                              const v1::WatchJobRequest& request, Guest guest,
                                              const absl::Status& refused);
grpc::ServerWriteReactor<v1::LogChunk>* StartLogs(const ServiceParts& parts,
                                                  const v1::StreamLogsRequest& request, Guest guest,
                                                  const absl::Status& refused);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_WATCH_STREAM_H_
