// Result streams: RunJob and StreamResults.
//
// A stream is a cursor, not a queue. At the tail it takes batches as the loop releases them, within
// a window of bytes; once a slow client falls out of the window it reads from the store again.
// Bodies go out as they lie in the store: a head is put before them.
//
// Thread: any; gRPC owns the object until OnDone.

#ifndef REEVE_MASTER_SERVICE_RESULT_STREAM_H_
#define REEVE_MASTER_SERVICE_RESULT_STREAM_H_

#include "grpcpp/grpcpp.h"
#include "master/service/doorkeeper.h"
#include "master/service/job_finder.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

using RawWriteReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

RawWriteReactor* StartResultStream(const ServiceParts& parts, const grpc::ByteBuffer& request,
                                   Guest guest);
// `request` validated and turned into `event`.
RawWriteReactor* StartRunJob(const ServiceParts& parts, CreateJob event, size_t bytes, Guest guest);
// A stream that ends at once with an error.
RawWriteReactor* RefuseStream(const absl::Status& status);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_RESULT_STREAM_H_
