#include "client/result_stream.h"

#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/support/slice.h>

#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace reeve {

ResultStream::ResultStream(JobClient* client, Canceller* canceller,
                           v1::StreamResultsRequest request)
    : client_(client),
      canceller_(canceller),
      request_(std::move(request)),
      window_(client->NewRetryWindow()) {}

ResultStream::~ResultStream() {
  if (reader_ == nullptr) return;
  context_->TryCancel();
  Close().IgnoreError();
}

void ResultStream::Open() {
  context_ = std::make_unique<grpc::ClientContext>();
  client_->Prepare(context_.get());
  call_.emplace(canceller_, context_.get());
  // The generated stub would decode and copy each column and blob; base/result_batch.h reads them
  // where they lie. gRPC has no public synchronous stream of raw messages, and its asynchronous
  // ones cost a wake-up per message.
  static const grpc::internal::RpcMethod method("/reeve.v1.JobService/StreamResults",
                                                grpc::internal::RpcMethod::SERVER_STREAMING);
  reader_.reset(grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
      client_->channel().get(), method, context_.get(), request_));
}

absl::Status ResultStream::Close() {
  const absl::Status status = client_->Note(reader_->Finish());
  reader_.reset();
  call_.reset();
  context_.reset();
  return status;
}

absl::StatusOr<std::shared_ptr<const ResultBatch>> ResultStream::Parse(grpc::ByteBuffer* message) {
  auto slice = std::make_shared<grpc::Slice>();
  if (!message->DumpToSingleSlice(slice.get()).ok()) {
    return MakeError(absl::StatusCode::kInternal, "INTERNAL", "a result message cannot be read");
  }
  const std::string_view view(reinterpret_cast<const char*>(slice->begin()), slice->size());
  return ResultBatch::Parse(Buffer(std::move(slice), view));
}

absl::StatusOr<std::shared_ptr<const ResultBatch>> ResultStream::Next() {
  while (!is_complete_) {
    if (canceller_->is_cancelled()) return absl::CancelledError("detached");
    if (reader_ == nullptr) Open();
    grpc::ByteBuffer message;
    if (reader_->Read(&message)) {
      window_.Succeeded();
      const auto batch = Parse(&message);
      if (!batch.ok()) return batch;
      if ((*batch)->cursor() != 0) request_.set_cursor((*batch)->cursor());
      is_complete_ = (*batch)->is_end();
      return batch;
    }
    const absl::Status status = Close();
    if (canceller_->is_cancelled()) return absl::CancelledError("detached");
    if (status.ok() && !request_.follow()) return nullptr;
    if (!status.ok() && !JobClient::IsTransient(status)) return status;
    window_.Widen(client_->NewRetryWindow().window());
    const std::optional<absl::Duration> delay = window_.OnFailure();
    if (!delay.has_value()) {
      return status.ok() ? absl::UnavailableError("the stream of results was cut") : status;
    }
    if (!canceller_->SleepFor(*delay)) return absl::CancelledError("detached");
  }
  return nullptr;
}

}  // namespace reeve
