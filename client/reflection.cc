#include "client/reflection.h"

#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/sync_stream.h>

#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/wire.h"

namespace reeve {
namespace {

// Fields of grpc.reflection.v1alpha.ServerReflectionRequest and -Response.
enum RequestField : uint32_t { kFileByName = 3, kFileOfSymbol = 4, kListServices = 7 };
enum ResponseField : uint32_t { kFiles = 4, kServices = 6, kError = 7 };

// Calls `visit` for each length-delimited field `number` of a message.
void ForEachField(std::string_view message, uint32_t number,
                  const std::function<void(std::string_view)>& visit) {
  wire::Reader reader(message);
  while (reader.Next()) {
    std::string_view value;
    if (reader.field() != number) {
      reader.Skip();
      continue;
    }
    reader.Bytes(&value);
    if (reader.ok()) visit(value);
  }
}

std::string Field(RequestField number, std::string_view value) {
  std::string request;
  wire::PutBytesField(number, value, &request);
  return request;
}

}  // namespace

absl::Status CallRaw(JobClient* client, const std::string& path,
                     const std::function<bool(std::string*)>& next,
                     const std::function<void(std::string_view)>& on_answer) {
  using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
  grpc::ClientContext context;
  client->Prepare(&context);
  // On the wire a call of any kind is a stream each way.
  const grpc::internal::RpcMethod method(path.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING);
  const std::unique_ptr<Stream> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          client->channel().get(), method, &context));
  std::thread writer([&] {
    for (std::string request; next(&request); request.clear()) {
      const grpc::Slice slice(request.data(), request.size());
      if (!stream->Write(grpc::ByteBuffer(&slice, 1))) return;
    }
    stream->WritesDone();
  });
  grpc::ByteBuffer answer;
  while (stream->Read(&answer)) {
    grpc::Slice slice;
    if (!answer.DumpToSingleSlice(&slice).ok()) break;
    on_answer(std::string_view(reinterpret_cast<const char*>(slice.begin()), slice.size()));
  }
  writer.join();
  return client->Note(stream->Finish());
}

absl::StatusOr<std::string> Reflection::Ask(const std::string& request) {
  // It changes nothing: like other calls, it is made again for a moment.
  RetryWindow window = client_->NewRetryWindow();
  std::string response;
  for (;;) {
    bool is_sent = false;
    response.clear();
    const absl::Status status = CallRaw(
        client_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        [&](std::string* message) {
          if (is_sent) return false;
          *message = request;
          return is_sent = true;
        },
        [&](std::string_view message) { response = std::string(message); });
    if (status.ok()) break;
    if (!JobClient::IsTransient(status)) return status;
    const std::optional<absl::Duration> delay = window.OnFailure();
    if (!delay.has_value()) return status;
    absl::SleepFor(*delay);
  }
  std::string error;
  ForEachField(response, kError, [&](std::string_view part) {
    constexpr uint32_t kMessage = 2;
    ForEachField(part, kMessage, [&](std::string_view text) { error = std::string(text); });
    if (error.empty()) error = "not found";
  });
  if (!error.empty()) return MakeError(absl::StatusCode::kNotFound, "NO_SUCH_SYMBOL", error);
  return response;
}

absl::StatusOr<std::vector<std::string>> Reflection::ListServices() {
  const absl::StatusOr<std::string> response = Ask(Field(kListServices, "*"));
  if (!response.ok()) return response.status();
  std::vector<std::string> names;
  constexpr uint32_t kService = 1, kName = 1;
  ForEachField(*response, kServices, [&](std::string_view list) {
    ForEachField(list, kService, [&](std::string_view service) {
      ForEachField(service, kName, [&](std::string_view name) { names.emplace_back(name); });
    });
  });
  return names;
}

absl::Status Reflection::Load(const std::string& symbol) {
  std::vector<std::string> requests = {Field(kFileOfSymbol, symbol)};
  while (!requests.empty()) {
    const absl::StatusOr<std::string> response = Ask(requests.back());
    requests.pop_back();
    if (!response.ok()) {
      return MakeError(response.status().code(), ErrorReason(response.status()),
                       StrCat(symbol, ": ", response.status().message()));
    }
    constexpr uint32_t kFile = 1;
    ForEachField(*response, kFiles, [&](std::string_view list) {
      ForEachField(list, kFile, [&](std::string_view bytes) {
        google::protobuf::FileDescriptorProto file;
        if (!file.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
        if (!files_.insert(file.name()).second) return;
        database_.Add(file);
        for (const std::string& import : file.dependency()) {
          if (!files_.contains(import)) requests.push_back(Field(kFileByName, import));
        }
      });
    });
  }
  return absl::OkStatus();
}

}  // namespace reeve
