// Handlers of types instead of bytes: messages of Protocol Buffers, on the wire as they are or as
// JSON.
//
//   worker.Handle("resize", reeve::Typed<ResizeRequest, ResizeResult>(
//       [](reeve::TaskContext& task, const ResizeRequest& request)
//           -> absl::StatusOr<ResizeResult> { … }));
//   worker.HandleAsync("fetch", reeve::TypedAsync<Request, Result>(Fetch, reeve::Encoding::kJson));
//
// An input that is none of a Request fails its task with BAD_INPUT and is not tried again.

#ifndef REEVE_WORKER_SDK_TYPED_H_
#define REEVE_WORKER_SDK_TYPED_H_

#include <google/protobuf/util/json_util.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/sdk/worker.h"

namespace reeve {

enum class Encoding {
  kJson,    // JSON of Protocol Buffers, snake_case names; unknown fields are errors.
  kBinary,  // Serialised messages.
};

// Errors: INVALID_ARGUMENT  no such message.
template <typename Message>
absl::StatusOr<Message> DecodeMessage(std::string_view input, Encoding encoding) {
  Message message;
  if (encoding == Encoding::kBinary) {
    if (message.ParseFromArray(input.data(), static_cast<int>(input.size()))) return message;
    return absl::InvalidArgumentError("the input is no " + message.GetTypeName());
  }
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(input.data(), input.size()), &message);
  if (status.ok()) return message;
  return absl::InvalidArgumentError("the input is no " + message.GetTypeName() + ": " +
                                    std::string(status.message().data(), status.message().size()));
}

// Errors: INTERNAL  a text in it is not UTF-8, which JSON cannot say.
template <typename Message>
absl::StatusOr<std::string> EncodeMessage(const Message& message, Encoding encoding) {
  if (encoding == Encoding::kBinary) return message.SerializeAsString();
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return absl::InternalError("the result cannot be written as JSON");
  return text;
}

template <typename Request, typename Result>
ThreadHandler Typed(
    std::function<absl::StatusOr<Result>(TaskContext& task, const Request& request)> handler,
    Encoding encoding = Encoding::kJson) {
  return [handler = std::move(handler), encoding](
             TaskContext& task, std::string_view input) -> absl::StatusOr<std::string> {
    const absl::StatusOr<Request> request = DecodeMessage<Request>(input, encoding);
    if (!request.ok()) return request.status();
    const absl::StatusOr<Result> result = handler(task, *request);
    if (!result.ok()) return result.status();
    return EncodeMessage(*result, encoding);
  };
}

namespace typed_internal {

// A coroutine of its own: what a lambda captures is gone when it runs on.
template <typename Request, typename Result>
Async<absl::StatusOr<std::string>> Run(
    AsyncContext* task, std::string input,
    const std::function<Async<absl::StatusOr<Result>>(AsyncContext&, Request)>* handler,
    Encoding encoding) {
  absl::StatusOr<Request> request = DecodeMessage<Request>(input, encoding);
  if (!request.ok()) co_return request.status();
  const absl::StatusOr<Result> result = co_await (*handler)(*task, *std::move(request));
  if (!result.ok()) co_return result.status();
  co_return EncodeMessage(*result, encoding);
}

}  // namespace typed_internal

template <typename Request, typename Result>
AsyncHandler TypedAsync(
    std::function<Async<absl::StatusOr<Result>>(AsyncContext& task, Request request)> handler,
    Encoding encoding = Encoding::kJson) {
  return [handler = std::move(handler), encoding](AsyncContext& task, std::string input) {
    return typed_internal::Run<Request, Result>(&task, std::move(input), &handler, encoding);
  };
}

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_TYPED_H_
