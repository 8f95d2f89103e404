#include "master/service/grpc_pulse.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <future>
#include <utility>

namespace reeve {
namespace {

constexpr absl::Duration kEvery = absl::Milliseconds(400);
// No service has it: the answer is UNIMPLEMENTED, which is all that is wanted.
constexpr char kNoMethod[] = "/reeve.Pulse/Beat";

}  // namespace

GrpcPulse::GrpcPulse(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)), thread_("grpc-pulse", kEvery, [this] { Beat(); }) {}

void GrpcPulse::Beat() {
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<void> done;
  stub.UnaryCall(&context, kNoMethod, {}, &request, &response,
                 [&done](const grpc::Status&) { done.set_value(); });
  done.get_future().wait();
}

}  // namespace reeve
