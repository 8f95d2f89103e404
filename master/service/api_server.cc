#include "master/service/api_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/host_address.h"
#include "base/memory_watch.h"
#include "base/strings.h"
#include "base/version.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/support/server_interceptor.h"
#include "master/service/access_service.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/doorkeeper.h"
#include "master/service/grpc_pulse.h"
#include "master/service/job_service.h"
#include "master/service/kept_answers.h"
#include "master/service/queue_service.h"
#include "master/service/schedule_service.h"
#include "master/service/task_reads.h"
#include "master/service/validate.h"
#include "master/service/worker_service.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

constexpr absl::Duration kStopGrace = absl::Milliseconds(500);

class TaskServiceImpl final : public v1::TaskService::CallbackService {
 public:
  TaskServiceImpl(const ServiceParts& parts, Doorkeeper& door) : parts_(parts), door_(door) {}

  ServerUnaryReactor* GetTask(CallbackServerContext* context, const v1::GetTaskRequest* request,
                              v1::Task* response) override {
    const auto caller = door_.Admit(*context, Method::kTaskServiceGetTask);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    ReadTask(For(*caller, parts_), JobId(request->job_id()), request->index(),
             [reactor, response](absl::StatusOr<v1::ExplainTaskResponse> read) {
               if (read.ok()) *response = std::move(*read->mutable_task());
               reactor->Finish(ToGrpc(read.status()));
             });
    return reactor;
  }

  ServerUnaryReactor* ListTasks(CallbackServerContext* context, const v1::ListTasksRequest* request,
                                v1::ListTasksResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kTaskServiceListTasks);
    if (!caller.ok()) return Finished(context, caller.status());
    const auto size = PageSize(request->page_size());
    if (!size.ok()) return Finished(context, size.status());
    const auto from = PageToken(request->page_token());
    if (!from.ok() || *from >= kMaxTasksPerJob)
      return Finished(context, BadRequest("page_token: not from an earlier answer"));
    std::vector<TaskState> states;
    for (const int state : request->states()) {
      if (state == v1::Task::STATE_UNSPECIFIED || !v1::Task::State_IsValid(state))
        return Finished(context, BadRequest("states: not a state of a task"));
      states.push_back(static_cast<TaskState>(state));
    }
    ServerUnaryReactor* reactor = context->DefaultReactor();
    ReadTasks(For(*caller, parts_), JobId(request->job_id()), static_cast<TaskIndex>(*from),
              std::move(states), *size, [reactor, response](absl::StatusOr<TaskPage> page) {
                if (!page.ok()) return reactor->Finish(ToGrpc(page.status()));
                for (v1::Task& task : page->tasks) *response->add_tasks() = std::move(task);
                if (page->next > 0) response->set_next_page_token(StrCat(page->next));
                reactor->Finish(grpc::Status::OK);
              });
    return reactor;
  }

  ServerUnaryReactor* ExplainTask(CallbackServerContext* context,
                                  const v1::ExplainTaskRequest* request,
                                  v1::ExplainTaskResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kTaskServiceExplainTask);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    ReadTask(For(*caller, parts_), JobId(request->job_id()), request->index(),
             [reactor, response](absl::StatusOr<v1::ExplainTaskResponse> read) {
               if (read.ok()) *response = std::move(*read);
               reactor->Finish(ToGrpc(read.status()));
             });
    return reactor;
  }

 private:
  const ServiceParts parts_;
  Doorkeeper& door_;
};

class ClusterServiceImpl final : public v1::ClusterService::CallbackService {
 public:
  ClusterServiceImpl(const ServiceParts& parts, Doorkeeper& door, const ApiServer::Options& options)
      : parts_(parts), door_(door), options_(options) {}

  ServerUnaryReactor* GetCluster(CallbackServerContext* context, const v1::GetClusterRequest*,
                                 v1::Cluster* response) override {
    const auto caller = door_.Admit(*context, Method::kClusterServiceGetCluster);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    response->set_version(kVersion);
    response->set_cluster_id(options_.cluster_id);
    response->set_epoch(options_.epoch.value);
    response->set_dispatch_endpoint(options_.dispatch_endpoint);
    response->set_collector_endpoint(options_.collector_endpoint);
    *response->mutable_start_time() = ToProto(options_.start_time);
    response->set_pid(static_cast<uint32_t>(getpid()));
    response->set_resident_bytes(ResidentBytes());
    response->set_state_directory(options_.state_directory);
    *response->mutable_current_time() = ToProto(absl::Now());
    const absl::Status asked = parts_.loop->Query(
        [response](Scheduler& scheduler, const Now&) {
          const Scheduler::Totals totals = scheduler.totals();
          response->set_worker_count(totals.workers);
          response->set_active_job_count(totals.active_jobs);
          response->set_unfinished_task_count(totals.unfinished_tasks);
          response->set_queued_bytes(totals.queued_bytes);
          response->set_superseded_result_count(totals.superseded_results);
          response->set_expired_lease_count(totals.expired_leases);
          response->set_resent_assignment_count(totals.resent_spans);
          response->set_crash_count(totals.crashes);
          response->set_suspicion_count(totals.suspicions);
          response->set_known_key_count(totals.known_keys);
        },
        [reactor] { reactor->Finish(grpc::Status::OK); });
    if (!asked.ok()) reactor->Finish(ToGrpc(asked));
    return reactor;
  }

  ServerUnaryReactor* RotateKeys(CallbackServerContext* context,
                                 const v1::RotateKeysRequest* request,
                                 v1::RotateKeysResponse*) override {
    const auto caller = door_.Admit(*context, Method::kClusterServiceRotateKeys);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
      return Finished(context, s);
    if (options_.rotate_keys == nullptr) {
      return Finished(context, MakeError(absl::StatusCode::kFailedPrecondition, "NOT_ENCRYPTED",
                                         "this master listens on loopback only, without keys"));
    }
    ServerUnaryReactor* reactor = context->DefaultReactor();
    auto status = std::make_shared<absl::Status>();
    const absl::Status asked = parts_.loop->Query(
        [this, status, id = request->request_id()](Scheduler&, const Now&) {
          if (rotations_.Find(id) != nullptr) return;
          *status = options_.rotate_keys();
          if (status->ok()) rotations_.Keep(id, true);
        },
        [this, status, caller = *caller, reactor] {
          door_.Note(caller, "keys", *status);
          reactor->Finish(ToGrpc(*status));
        });
    if (!asked.ok()) reactor->Finish(ToGrpc(asked));
    return reactor;
  }

  ServerUnaryReactor* GetStatistics(CallbackServerContext* context,
                                    const v1::GetStatisticsRequest* request,
                                    v1::Statistics* response) override {
    const auto caller = door_.Admit(*context, Method::kClusterServiceGetStatistics);
    if (!caller.ok()) return Finished(context, caller.status());
    if (request->reset() && !caller->principal.controls_all()) {
      return Finished(context, MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                                         "reset changes what others see: it needs admin"));
    }
    const std::string id = request->reset() ? request->request_id() : "";
    if (absl::Status s = ValidateRequestId(id); request->reset() && !s.ok())
      return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    const absl::Status asked = parts_.loop->Query(
        [this, response, id](Scheduler& scheduler, const Now& now) {
          if (const v1::Statistics* answer = resets_.Find(id)) {
            *response = *answer;
            return;
          }
          for (const auto& [handler, stats] : scheduler.Statistics())
            ToProto(handler, stats, response->add_handlers());
          *response->mutable_since_time() = ToProto(since_);
          if (id.empty()) return;
          resets_.Keep(id, *response);
          scheduler.ResetStatistics();
          since_ = now.wall;
        },
        [reactor] { reactor->Finish(grpc::Status::OK); });
    if (!asked.ok()) reactor->Finish(ToGrpc(asked));
    return reactor;
  }

 private:
  const ServiceParts parts_;
  Doorkeeper& door_;
  const ApiServer::Options& options_;
  // The loop's:
  absl::Time since_ = options_.start_time;
  KeptAnswers<v1::Statistics> resets_{16};
  KeptAnswers<bool> rotations_{16};  // Done.
};

// gRPC does not say why a port could not be had, so try first.
absl::Status CheckPort(const std::string& address) {
  const auto parts = ParseHostPort(address);
  if (!parts.ok()) return parts.status();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(parts->host.c_str(), StrCat(parts->port).c_str(), &hints, &found) != 0 ||
      found == nullptr) {
    return absl::InvalidArgumentError(StrCat("cannot listen on ", address, ": not an address"));
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const int rc = bind(fd, found->ai_addr, found->ai_addrlen);
  const std::string why = strerror(errno);
  close(fd);
  freeaddrinfo(found);
  if (rc != 0) return absl::UnavailableError(StrCat("cannot listen on ", address, ": ", why));
  return absl::OkStatus();
}

// Reflection tells nothing to who has no token; health is for everybody. Both are gRPC's own
// services, which ask nobody: so they are looked at here.
class ReflectionGuard final : public grpc::experimental::Interceptor {
 public:
  ReflectionGuard(const Doorkeeper* door, grpc::experimental::ServerRpcInfo* info)
      : door_(*door), info_(*info) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      const auto* metadata = methods->GetRecvInitialMetadata();
      const auto it = metadata->find("authorization");
      if (it == metadata->end() || !door_.Knows({it->second.data(), it->second.size()}))
        info_.server_context()->TryCancel();
    }
    methods->Proceed();
  }

 private:
  const Doorkeeper& door_;
  grpc::experimental::ServerRpcInfo& info_;
};

class ReflectionGuards final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit ReflectionGuards(const Doorkeeper* door) : door_(door) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return std::strstr(info->method(), "/grpc.reflection.") == info->method()
               ? new ReflectionGuard(door_, info)
               : nullptr;
  }

 private:
  const Doorkeeper* const door_;
};

// The certificate is read again when its file changes: it is renewed without a restart.
std::shared_ptr<grpc::ServerCredentials> Credentials(const ApiServer::Options& options) {
  if (options.certificate_file.empty()) return grpc::InsecureServerCredentials();
  constexpr unsigned kReadEverySeconds = 1;
  const auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      options.certificate_file, options.certificate_file, kReadEverySeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(provider);
  tls.watch_identity_key_cert_pairs();
  tls.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace

struct ApiServer::Impl {
  Impl(const ServiceParts& parts, const Options& given)
      : options(given),
        door({.access = given.access,
              .audit = given.audit,
              .limits = given.limits,
              .audit_jobs_of_root = !given.certificate_file.empty()}),
        jobs(MakeJobService(parts, &door)),
        tasks(parts, door),
        workers(MakeWorkerService(parts, &door, given.access, given.link_ports, given.server_keys)),
        access(MakeAccessService(&door, given.access)),
        queues(MakeQueueService(parts, &door)),
        schedules(MakeScheduleService(parts, &door)),
        cluster(parts, door, options) {}

  const Options options;
  Doorkeeper door;
  const std::unique_ptr<grpc::Service> jobs;
  TaskServiceImpl tasks;
  const std::unique_ptr<grpc::Service> workers, access, queues, schedules;
  ClusterServiceImpl cluster;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<GrpcPulse> pulse;
};

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() { Stop(); }

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const ServiceParts& parts,
                                                            const Options& options) {
  for (const std::string& address : options.addresses) {
    if (absl::Status s = CheckPort(address); !s.ok()) return s;
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto impl = std::make_unique<Impl>(parts, options);
  grpc::ServerBuilder builder;
  const auto credentials = Credentials(options);
  std::vector<int> bound(options.addresses.size(), 0);
  for (size_t i = 0; i < bound.size(); ++i)
    builder.AddListeningPort(options.addresses[i], credentials, &bound[i]);
  // Two masters would otherwise share the port, each getting half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes + (64 << 10));
  for (grpc::Service* service : std::initializer_list<grpc::Service*>{
           impl->jobs.get(), &impl->tasks, impl->workers.get(), impl->access.get(),
           impl->queues.get(), impl->schedules.get(), &impl->cluster}) {
    builder.RegisterService(service);
  }
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> guards;
  guards.push_back(std::make_unique<ReflectionGuards>(&impl->door));
  builder.experimental().SetInterceptorCreators(std::move(guards));
  impl->server = builder.BuildAndStart();
  for (size_t i = 0; i < bound.size(); ++i) {
    if (impl->server == nullptr || bound[i] == 0)
      return absl::UnavailableError(StrCat("cannot listen on ", options.addresses[i]));
  }
  for (const char* service :
       {"reeve.v1.JobService", "reeve.v1.TaskService", "reeve.v1.WorkerService",
        "reeve.v1.AccessService", "reeve.v1.ClusterService"}) {
    impl->server->GetHealthCheckService()->SetServingStatus(service, true);
  }
  impl->pulse =
      std::make_unique<GrpcPulse>(impl->server->InProcessChannel(grpc::ChannelArguments()));
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

void ApiServer::EndRevoked() { impl_->door.EndRevoked(); }

void ApiServer::Stop() {
  if (impl_->server == nullptr) return;
  impl_->pulse.reset();
  if (auto* health = impl_->server->GetHealthCheckService()) health->Shutdown();
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + kStopGrace));
  impl_->server.reset();
}

}  // namespace reeve
