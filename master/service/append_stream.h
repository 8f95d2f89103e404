// AppendTasks: a stream of input chunks with committed offsets.
//
// Thread: any; gRPC owns the object until OnDone.

#ifndef REEVE_MASTER_SERVICE_APPEND_STREAM_H_
#define REEVE_MASTER_SERVICE_APPEND_STREAM_H_

#include "grpcpp/grpcpp.h"
#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"

namespace reeve {

using RawBidiReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// `refused`: not OK ends the stream at once with that error.
RawBidiReactor* StartAppendStream(const ServiceParts& parts, Guest guest,
                                  const absl::Status& refused);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_APPEND_STREAM_H_
