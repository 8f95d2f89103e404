// Between the API's messages and the scheduler's types, and between our Status and google.rpc. The
// one place for both.
//
// Thread: any.

#ifndef REEVE_MASTER_SERVICE_CONVERT_H_
#define REEVE_MASTER_SERVICE_CONVERT_H_

#include <string>

#include "absl/status/status.h"
#include "base/result_batch.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"
#include "master/scheduler/effects.h"
#include "master/scheduler/scheduler.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

// With google.rpc.ErrorInfo (domain `reeve`) and, for a retry hint, google.rpc.RetryInfo in the
// details.
grpc::Status ToGrpc(const absl::Status& status);

// A paused job that would run is PAUSED.
JobState ShownState(const JobView& view);
void ToProto(const JobView& view, v1::Job* job);
void ToProto(const WorkerView& view, v1::Worker* worker);
void ToProto(const std::string& handler, const HandlerStats& stats,
             v1::HandlerStatistics* statistics);
// Details of an ended task, from its result.
void ToProto(JobId job, const ResultEntry& entry, std::string_view worker, v1::Task* task);

google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);

// A view of a message's bytes; copies only if gRPC holds them in several pieces.
Buffer ToBuffer(const grpc::ByteBuffer& bytes);
// Both are kept alive by gRPC until they are sent.
grpc::ByteBuffer ToByteBuffer(std::string head, const Buffer& body);

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_CONVERT_H_
