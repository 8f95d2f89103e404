// The results of a job as they come, resumed by cursor when the stream breaks. Never reports a
// broken stream as its end.
//
// Thread: one reads; the canceller from any.

#ifndef REEVE_CLIENT_RESULT_STREAM_H_
#define REEVE_CLIENT_RESULT_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "base/result_batch.h"
#include "client/canceller.h"
#include "client/job_client.h"
#include "reeve/v1/services.pb.h"

namespace reeve {

class ResultStream {
 public:
  // Lifetime: client and canceller outlive it.
  ResultStream(JobClient* client, Canceller* canceller, v1::StreamResultsRequest request);
  ~ResultStream();

  // Waits for the next message. The entries that count are its head_runs().
  //
  // Returns: null at the end: after the message with is_end(), or, without `follow`, behind what is
  // there. Errors:  CANCELLED  the canceller is; anything the master refuses; UNAVAILABLE if it
  // does not come back.
  absl::StatusOr<std::shared_ptr<const ResultBatch>> Next();

  // The job has ended and every result was read.
  bool is_complete() const { return is_complete_; }
  // Where a later stream goes on.
  uint64_t cursor() const { return request_.cursor(); }

 private:
  void Open();
  // The status of the stream that broke; closes it.
  absl::Status Close();
  absl::StatusOr<std::shared_ptr<const ResultBatch>> Parse(grpc::ByteBuffer* message);

  JobClient* const client_;
  Canceller* const canceller_;
  v1::StreamResultsRequest request_;
  RetryWindow window_;
  bool is_complete_ = false;
  std::unique_ptr<grpc::ClientContext> context_;
  std::optional<Canceller::Call> call_;
  std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader_;
};

}  // namespace reeve

#endif  // REEVE_CLIENT_RESULT_STREAM_H_
