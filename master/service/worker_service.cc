#include "master/service/worker_service.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/dispatch/dispatcher.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/validate.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

constexpr size_t kMaxHostname = 256;

// By worker id.
using Connected = std::map<std::string, WorkerView>;

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  WorkerServiceImpl(const ServiceParts& parts, Doorkeeper* door, Access* access, LinkPorts ports,
                    std::function<ServerKeys()> keys)
      : parts_(parts), door_(*door), access_(*access), ports_(ports), keys_(std::move(keys)) {}

  ServerUnaryReactor* ListWorkers(CallbackServerContext* context,
                                  const v1::ListWorkersRequest* request,
                                  v1::ListWorkersResponse* response) override;
  ServerUnaryReactor* EnrolWorker(CallbackServerContext* context,
                                  const v1::EnrolWorkerRequest* request,
                                  v1::EnrolWorkerResponse* response) override;
  ServerUnaryReactor* ListEnrolments(CallbackServerContext* context,
                                     const v1::ListEnrolmentsRequest* request,
                                     v1::ListEnrolmentsResponse* response) override;
  ServerUnaryReactor* RevokeWorker(CallbackServerContext* context,
                                   const v1::RevokeWorkerRequest* request,
                                   v1::RevokeWorkerResponse* response) override;
  ServerUnaryReactor* DrainWorker(CallbackServerContext* context,
                                  const v1::DrainWorkerRequest* request,
                                  v1::Worker* response) override;
  ServerUnaryReactor* UndrainWorker(CallbackServerContext* context,
                                    const v1::UndrainWorkerRequest* request,
                                    v1::Worker* response) override {
    return SetDrained(context, Method::kWorkerServiceUndrainWorker, *request, false, response);
  }

 private:
  template <typename Request>
  ServerUnaryReactor* SetDrained(CallbackServerContext* context, Method method,
                                 const Request& request, bool drained, v1::Worker* response);

  // Calls `done` with those that are connected, on the loop thread or a little later.
  void LookAtConnected(ServerUnaryReactor* reactor, std::function<void(const Connected&)> done) {
    auto connected = std::make_shared<Connected>();
    const absl::Status asked = parts_.loop->Query(
        [connected](Scheduler& scheduler, const Now&) {
          for (WorkerView& view : scheduler.ListWorkers())
            connected->emplace(view.worker_id, std::move(view));
        },
        [connected, done] { done(*connected); });
    if (!asked.ok()) reactor->Finish(ToGrpc(asked));
  }

  const ServiceParts parts_;
  Doorkeeper& door_;
  Access& access_;
  const LinkPorts ports_;
  const std::function<ServerKeys()> keys_;
};

absl::Status NoWorker(const std::string& name) {
  return MakeError(absl::StatusCode::kNotFound, "WORKER_NOT_FOUND",
                   StrCat("no worker ", name.substr(0, 64), " is connected"));
}

// The one of this name, or null.
const WorkerView* Named(const Connected& connected, const std::string& name) {
  const auto it = std::find_if(connected.begin(), connected.end(), [&](const auto& worker) {
    return WorkerName(worker.second.number) == name;
  });
  return it == connected.end() ? nullptr : &it->second;
}

ServerUnaryReactor* WorkerServiceImpl::ListWorkers(CallbackServerContext* context,
                                                   const v1::ListWorkersRequest* request,
                                                   v1::ListWorkersResponse* response) {
  const auto caller = door_.Admit(*context, Method::kWorkerServiceListWorkers);
  if (!caller.ok()) return Finished(context, caller.status());
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return Finished(context, size.status());
  const auto from = PageToken(request->page_token());
  if (!from.ok()) return Finished(context, from.status());
  ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status asked = parts_.loop->Query(
      [this, response, size = *size, from = *from](Scheduler& scheduler, const Now&) {
        std::vector<v1::Worker> all;
        for (const WorkerView& view : scheduler.ListWorkers()) ToProto(view, &all.emplace_back());
        for (const RejectedWorker& refused : parts_.loop->dispatcher().rejected()) {
          v1::Worker& worker = all.emplace_back();
          worker.set_state(v1::Worker::REJECTED);
          worker.set_worker_id(refused.worker_id);
          worker.set_hostname(refused.hostname);
          worker.set_message(refused.reason);
          *worker.mutable_last_seen_time() = ToProto(refused.time);
        }
        const size_t end = std::min<size_t>(all.size(), from + size);
        for (size_t i = from; i < end; ++i) *response->add_workers() = std::move(all[i]);
        if (end < all.size()) response->set_next_page_token(StrCat(end));
      },
      [reactor] { reactor->Finish(grpc::Status::OK); });
  if (!asked.ok()) reactor->Finish(ToGrpc(asked));
  return reactor;
}

ServerUnaryReactor* WorkerServiceImpl::EnrolWorker(CallbackServerContext* context,
                                                   const v1::EnrolWorkerRequest* request,
                                                   v1::EnrolWorkerResponse* response) {
  const auto caller = door_.Admit(*context, Method::kWorkerServiceEnrolWorker);
  if (!caller.ok()) return Finished(context, caller.status());
  const ServerKeys keys = keys_();
  absl::Status status = ValidateRequestId(request->request_id());
  if (status.ok() && keys.current.empty()) {
    status = MakeError(absl::StatusCode::kFailedPrecondition, "NOT_ENCRYPTED",
                       "this master listens on loopback only, where workers join with its token "
                       "file; start it with --listen ADDRESS for workers of other machines");
  }
  // Whose results it hands in is believed.
  if (status.ok() && request->relay() && !caller->principal.has(kRoleAdmin)) {
    status = MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                       "a relay is enrolled with a token of the role admin");
  }
  if (status.ok() && request->hostname().size() > kMaxHostname)
    status = BadRequest("hostname: at most 256 bytes");
  if (status.ok()) {
    status = access_.EnrolWorker({.worker_id = request->worker_id(),
                                  .public_key = request->public_key(),
                                  .hostname = request->hostname(),
                                  .enrolled_by = caller->principal.name,
                                  .enrol_time = absl::Now(),
                                  .is_relay = request->relay()});
  }
  door_.Note(*caller, StrCat("worker ", request->worker_id().substr(0, 64)), status);
  if (!status.ok()) return Finished(context, status);
  response->set_server_key(keys.current);
  response->set_next_server_key(keys.next);
  response->set_dispatch_port(ports_.dispatch);
  response->set_collector_port(ports_.collector);
  return Finished(context, absl::OkStatus());
}

ServerUnaryReactor* WorkerServiceImpl::ListEnrolments(CallbackServerContext* context,
                                                      const v1::ListEnrolmentsRequest*,
                                                      v1::ListEnrolmentsResponse* response) {
  const auto caller = door_.Admit(*context, Method::kWorkerServiceListEnrolments);
  if (!caller.ok()) return Finished(context, caller.status());
  ServerUnaryReactor* reactor = context->DefaultReactor();
  LookAtConnected(reactor, [this, reactor, response](const Connected& connected) {
    for (const WorkerEntry& entry : access_.ListWorkers()) {
      v1::Enrolment* enrolment = response->add_enrolments();
      enrolment->set_worker_id(entry.worker_id);
      enrolment->set_public_key(entry.public_key);
      enrolment->set_hostname(entry.hostname);
      enrolment->set_enrolled_by(entry.enrolled_by);
      *enrolment->mutable_enrol_time() = ToProto(entry.enrol_time);
      enrolment->set_relay(entry.is_relay);
      const auto it = connected.find(entry.worker_id);
      if (it != connected.end()) enrolment->set_worker(WorkerName(it->second.number));
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

ServerUnaryReactor* WorkerServiceImpl::RevokeWorker(CallbackServerContext* context,
                                                    const v1::RevokeWorkerRequest* request,
                                                    v1::RevokeWorkerResponse* response) {
  const auto caller = door_.Admit(*context, Method::kWorkerServiceRevokeWorker);
  if (!caller.ok()) return Finished(context, caller.status());
  if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
    return Finished(context, s);
  ServerUnaryReactor* reactor = context->DefaultReactor();
  LookAtConnected(reactor, [this, caller = *caller, reactor, response,
                            asked = request->worker()](const Connected& connected) {
    const WorkerView* named = Named(connected, asked);
    const std::string id = named == nullptr ? asked : named->worker_id;
    const absl::Status status = access_.RevokeWorker(id);
    door_.Note(caller, StrCat("worker ", id.substr(0, 64)), status);
    response->set_worker_id(id);
    reactor->Finish(ToGrpc(status));
  });
  return reactor;
}

// To leave, or to stay without work.
ServerUnaryReactor* WorkerServiceImpl::DrainWorker(CallbackServerContext* context,
                                                   const v1::DrainWorkerRequest* request,
                                                   v1::Worker* response) {
  if (request->stay())
    return SetDrained(context, Method::kWorkerServiceDrainWorker, *request, true, response);
  const auto caller = door_.Admit(*context, Method::kWorkerServiceDrainWorker);
  if (!caller.ok()) return Finished(context, caller.status());
  if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
    return Finished(context, s);
  ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string name = request->worker();
  auto found = std::make_shared<bool>(false);
  const absl::Status asked = parts_.loop->Query(
      [this, name, response, found](Scheduler& scheduler, const Now&) {
        for (const WorkerView& view : scheduler.ListWorkers()) {
          if (WorkerName(view.number) != name) continue;
          *found = parts_.loop->dispatcher().Drain(view.worker_id);
          ToProto(view, response);
        }
      },
      [this, caller = *caller, reactor, name, found] {
        const absl::Status status = *found ? absl::OkStatus() : NoWorker(name);
        door_.Note(caller, StrCat("worker ", name.substr(0, 64)), status);
        reactor->Finish(ToGrpc(status));
      });
  if (!asked.ok()) reactor->Finish(ToGrpc(asked));
  return reactor;
}

template <typename Request>
ServerUnaryReactor* WorkerServiceImpl::SetDrained(CallbackServerContext* context, Method method,
                                                  const Request& request, bool drained,
                                                  v1::Worker* response) {
  const auto caller = door_.Admit(*context, method);
  if (!caller.ok()) return Finished(context, caller.status());
  if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok())
    return Finished(context, s);
  ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string name = request.worker();
  const auto finish = [this, caller = *caller, reactor, name](const absl::Status& status) {
    door_.Note(caller, StrCat("worker ", name.substr(0, 64)), status);
    reactor->Finish(ToGrpc(status));
  };
  LookAtConnected(
      reactor, [this, reactor, response, name, drained, finish](const Connected& connected) {
        const WorkerView* named = Named(connected, name);
        if (named == nullptr) return finish(NoWorker(name));
        PostForStatus(parts_, reeve::SetDrained{{}, named->number, drained},
                      [this, reactor, response, name, finish](const absl::Status& status) {
                        if (!status.ok()) return finish(status);
                        LookAtConnected(reactor, [response, name, finish](const Connected& now) {
                          const WorkerView* worker = Named(now, name);
                          if (worker != nullptr) ToProto(*worker, response);
                          finish(absl::OkStatus());
                        });
                      });
      });
  return reactor;
}

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(const ServiceParts& parts, Doorkeeper* door,
                                                 Access* access, LinkPorts ports,
                                                 std::function<ServerKeys()> keys) {
  return std::make_unique<WorkerServiceImpl>(parts, door, access, ports, std::move(keys));
}

}  // namespace reeve
