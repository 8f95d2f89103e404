#include "master/service/api_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "master/dispatch/dispatcher.h"
#include "master/service/append_stream.h"
#include "master/service/convert.h"
#include "master/service/grpc_pulse.h"
#include "master/service/result_stream.h"
#include "master/service/task_reads.h"
#include "master/service/validate.h"
#include "master/service/watch_stream.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;
constexpr absl::Duration kStopGrace = absl::Milliseconds(500);

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

// Looks at the token of every call.
class Doorkeeper {
 public:
  explicit Doorkeeper(const std::string& token) : expected_("Bearer " + token) {}

  absl::Status Check(const CallbackServerContext& context) const {
    const auto& metadata = context.client_metadata();
    const auto it = metadata.find("authorization");
    if (it != metadata.end() && Same(std::string_view(it->second.data(), it->second.size())))
      return absl::OkStatus();
    return MakeError(
        absl::StatusCode::kUnauthenticated, "BAD_TOKEN",
        it == metadata.end() ? "no token: send `authorization: Bearer TOKEN`" : "wrong token");
  }

 private:
  // Takes as long for a wrong token as for the right one.
  bool Same(std::string_view given) const {
    unsigned char differs = given.size() != expected_.size();
    for (size_t i = 0; i < given.size() && i < expected_.size(); ++i) {
      differs |= static_cast<unsigned char>(given[i] ^ expected_[i]);
    }
    return differs == 0;
  }
  const std::string expected_;
};

ServerUnaryReactor* Finished(CallbackServerContext* context, const absl::Status& status) {
  ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

absl::StatusOr<uint32_t> PageSize(uint32_t asked) {
  if (asked > kMaxPage) return Bad("page_size: 1 to 1,000");
  return asked == 0 ? kDefaultPage : asked;
}

absl::StatusOr<uint64_t> PageToken(const std::string& token) {
  uint64_t value = 0;
  if (!token.empty() && !absl::SimpleAtoi(token, &value))
    return Bad("page_token: not from an earlier answer");
  return value;
}

namespace js {
using S = v1::JobService;
using Base = S::WithRawCallbackMethod_RunJob<S::WithCallbackMethod_CreateJob<
    S::WithRawCallbackMethod_AppendTasks<S::WithCallbackMethod_CloseJob<
        S::WithCallbackMethod_GetJob<S::WithCallbackMethod_ListJobs<S::WithCallbackMethod_CancelJob<
            S::WithCallbackMethod_WatchJob<S::WithRawCallbackMethod_StreamResults<
                S::WithCallbackMethod_StreamLogs<S::Service>>>>>>>>>>;
}  // namespace js

class JobServiceImpl final : public js::Base {
 public:
  JobServiceImpl(const ServiceParts& parts, const Doorkeeper& door) : parts_(parts), door_(door) {}

  RawWriteReactor* RunJob(CallbackServerContext* context, const grpc::ByteBuffer* bytes) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return RefuseStream(s);
    v1::CreateJobRequest request;
    const Buffer wire = ToBuffer(*bytes);
    if (!request.ParseFromArray(wire.view().data(), static_cast<int>(wire.size()))) {
      return RefuseStream(Bad("not a CreateJobRequest"));
    }
    if (request.open()) return RefuseStream(Bad("open: an open job cannot be run"));
    auto event = ValidateCreateJob(std::move(request), absl::Now());
    if (!event.ok()) return RefuseStream(event.status());
    return StartRunJob(parts_, std::move(*event), wire.size());
  }

  ServerUnaryReactor* CreateJob(CallbackServerContext* context, const v1::CreateJobRequest* request,
                                v1::Job* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    auto event = ValidateCreateJob(*request, absl::Now());
    if (!event.ok()) return Finished(context, event.status());
    const size_t bytes = request->ByteSizeLong();
    return PostJob(context, response, std::move(*event), bytes);
  }

  RawBidiReactor* AppendTasks(CallbackServerContext* context) override {
    return StartAppendStream(parts_, door_.Check(*context));
  }

  ServerUnaryReactor* CloseJob(CallbackServerContext* context, const v1::CloseJobRequest* request,
                               v1::Job* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
      return Finished(context, s);
    return PostJob(context, response, reeve::CloseJob{{}, JobId(request->job_id())}, 0);
  }

  ServerUnaryReactor* GetJob(CallbackServerContext* context, const v1::GetJobRequest* request,
                             v1::Job* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    AnswerFromStore(JobId(request->job_id()), {}, reactor, response);
    return reactor;
  }

  ServerUnaryReactor* ListJobs(CallbackServerContext* context, const v1::ListJobsRequest* request,
                               v1::ListJobsResponse* response) override;

  ServerUnaryReactor* CancelJob(CallbackServerContext* context, const v1::CancelJobRequest* request,
                                v1::Job* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
      return Finished(context, s);
    return PostJob(context, response, reeve::CancelJob{{}, JobId(request->job_id())}, 0);
  }

  grpc::ServerWriteReactor<v1::Job>* WatchJob(CallbackServerContext* context,
                                              const v1::WatchJobRequest* request) override {
    return StartWatch(parts_, *request, door_.Check(*context));
  }

  RawWriteReactor* StreamResults(CallbackServerContext* context,
                                 const grpc::ByteBuffer* request) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return RefuseStream(s);
    return StartResultStream(parts_, *request);
  }

  grpc::ServerWriteReactor<v1::LogChunk>* StreamLogs(
      CallbackServerContext* context, const v1::StreamLogsRequest* request) override {
    return StartLogs(parts_, *request, door_.Check(*context));
  }

 private:
  // What a mutating call wanted of a job that has ended, if it may say so.
  enum class Wanted { kAny, kClosed, kCancelled };

  template <typename JobEvent>
  ServerUnaryReactor* PostJob(CallbackServerContext* context, v1::Job* response, JobEvent event,
                              size_t bytes) {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    const Wanted wanted = std::is_same_v<JobEvent, reeve::CancelJob>  ? Wanted::kCancelled
                          : std::is_same_v<JobEvent, reeve::CloseJob> ? Wanted::kClosed
                                                                      : Wanted::kAny;
    JobId job;
    if constexpr (!std::is_same_v<JobEvent, reeve::CreateJob>) job = event.job;
    const CallId call = parts_.hub->Expect([this, reactor, response, wanted, job](Reply reply) {
      JobReply& done = std::get<JobReply>(reply.body);
      if (absl::IsNotFound(done.status) && wanted != Wanted::kAny)
        return AnswerFromStore(job, wanted, reactor, response);
      if (!done.status.ok()) return reactor->Finish(ToGrpc(done.status));
      if (done.view.state == JobState::kUnspecified)
        return AnswerFromStore(done.view.job, {}, reactor, response);
      ToProto(done.view, response);
      reactor->Finish(grpc::Status::OK);
    });
    event.call = call;
    if (absl::Status s = parts_.loop->PostApi(std::move(event), bytes); !s.ok()) {
      parts_.hub->Forget(call);
      reactor->Finish(ToGrpc(s));
    }
    return reactor;
  }

  void AnswerFromStore(JobId job, Wanted wanted, ServerUnaryReactor* reactor, v1::Job* response) {
    FindJob(parts_, job, nullptr, [reactor, response, wanted](absl::StatusOr<FoundJob> found) {
      if (!found.ok()) return reactor->Finish(ToGrpc(found.status()));
      ToProto(found->job.view, response);
      if (wanted == Wanted::kCancelled && found->job.view.state != JobState::kCancelled &&
          IsTerminal(found->job.view.state)) {
        return reactor->Finish(
            ToGrpc(MakeError(absl::StatusCode::kFailedPrecondition, "JOB_ENDED",
                             StrCat("job ", found->job.view.job.value, " has ended ",
                                    ToString(found->job.view.state)))));
      }
      reactor->Finish(grpc::Status::OK);
    });
  }

  const ServiceParts parts_;
  const Doorkeeper& door_;
};

ServerUnaryReactor* JobServiceImpl::ListJobs(CallbackServerContext* context,
                                             const v1::ListJobsRequest* request,
                                             v1::ListJobsResponse* response) {
  if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return Finished(context, size.status());
  const auto before = PageToken(request->page_token());
  if (!before.ok()) return Finished(context, before.status());
  std::vector<JobState> states;
  for (const int state : request->states()) {
    if (state == v1::Job::STATE_UNSPECIFIED || !v1::Job::State_IsValid(state))
      return Finished(context, Bad("states: not a state of a job"));
    states.push_back(static_cast<JobState>(state));
  }
  ServerUnaryReactor* reactor = context->DefaultReactor();

  struct Listing {
    std::map<JobId, JobView> jobs;  // Live ones win over their row in the store.
    std::map<JobId, JobView> live;
  };
  auto listing = std::make_shared<Listing>();
  const size_t limit = *size + 1;  // One more tells whether there is a next page.
  const JobId below(*before);
  const auto wanted = [states](JobState state) {
    return states.empty() || std::find(states.begin(), states.end(), state) != states.end();
  };
  const auto finish = [listing, limit, reactor, response] {
    std::vector<const JobView*> page;
    for (auto it = listing->jobs.rbegin(); it != listing->jobs.rend() && page.size() < limit;
         ++it) {
      page.push_back(&it->second);
    }
    const bool more = page.size() == limit;
    if (more) page.pop_back();
    for (const JobView* view : page) ToProto(*view, response->add_jobs());
    if (more) response->set_next_page_token(StrCat(page.back()->job.value));
    reactor->Finish(grpc::Status::OK);
  };
  const auto from_store = [listing, wanted](const absl::StatusOr<std::vector<StoredJob>>& stored,
                                            bool ended_only) {
    if (!stored.ok()) return;
    for (const StoredJob& job : *stored) {
      if (listing->live.contains(job.view.job)) continue;
      if (ended_only && !IsTerminal(job.view.state)) continue;
      if (wanted(job.view.state)) listing->jobs.emplace(job.view.job, job.view);
    }
  };
  const absl::Status asked = parts_.loop->Query(
      [listing, below, limit, wanted](Scheduler& scheduler, const Now&) {
        // Those of a wrong state count, too: the store must not tell of them instead.
        for (JobView& view : scheduler.ListJobs(below, SIZE_MAX)) {
          if (wanted(view.state) && listing->jobs.size() < limit)
            listing->jobs.emplace(view.job, view);
          const JobId id = view.job;
          listing->live.emplace(id, JobView{});
        }
      },
      [this, listing, below, limit, states, finish, from_store, reactor] {
        const size_t rows = limit + listing->live.size();
        const bool posted =
            parts_.reader->Post(StoreKind::kDurable, [=, this](StoreReader& reader) {
              from_store(reader.ListJobs(below, states, rows), false);
              const bool again = parts_.reader->Post(StoreKind::kMemory, [=](StoreReader& memory) {
                from_store(memory.ListJobs(below, states, rows), false);
                finish();
              });
              if (!again) finish();
            });
        if (!posted) {
          reactor->Finish(ToGrpc(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                                           "too many reads wait", absl::Milliseconds(200))));
        }
      });
  if (!asked.ok()) reactor->Finish(ToGrpc(asked));
  return reactor;
}

class TaskServiceImpl final : public v1::TaskService::CallbackService {
 public:
  TaskServiceImpl(const ServiceParts& parts, const Doorkeeper& door) : parts_(parts), door_(door) {}

  ServerUnaryReactor* GetTask(CallbackServerContext* context, const v1::GetTaskRequest* request,
                              v1::Task* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    ReadTask(parts_, JobId(request->job_id()), request->index(),
             [reactor, response](absl::StatusOr<v1::ExplainTaskResponse> read) {
               if (read.ok()) *response = std::move(*read->mutable_task());
               reactor->Finish(ToGrpc(read.status()));
             });
    return reactor;
  }

  ServerUnaryReactor* ListTasks(CallbackServerContext* context, const v1::ListTasksRequest* request,
                                v1::ListTasksResponse* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    const auto size = PageSize(request->page_size());
    if (!size.ok()) return Finished(context, size.status());
    const auto from = PageToken(request->page_token());
    if (!from.ok() || *from >= kMaxTasksPerJob)
      return Finished(context, Bad("page_token: not from an earlier answer"));
    std::vector<TaskState> states;
    for (const int state : request->states()) {
      if (state == v1::Task::STATE_UNSPECIFIED || !v1::Task::State_IsValid(state))
        return Finished(context, Bad("states: not a state of a task"));
      states.push_back(static_cast<TaskState>(state));
    }
    ServerUnaryReactor* reactor = context->DefaultReactor();
    ReadTasks(parts_, JobId(request->job_id()), static_cast<TaskIndex>(*from), std::move(states),
              *size, [reactor, response](absl::StatusOr<TaskPage> page) {
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
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    ReadTask(parts_, JobId(request->job_id()), request->index(),
             [reactor, response](absl::StatusOr<v1::ExplainTaskResponse> read) {
               if (read.ok()) *response = std::move(*read);
               reactor->Finish(ToGrpc(read.status()));
             });
    return reactor;
  }

 private:
  const ServiceParts parts_;
  const Doorkeeper& door_;
};

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  WorkerServiceImpl(const ServiceParts& parts, const Doorkeeper& door)
      : parts_(parts), door_(door) {}

  ServerUnaryReactor* ListWorkers(CallbackServerContext* context,
                                  const v1::ListWorkersRequest* request,
                                  v1::ListWorkersResponse* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
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

 private:
  const ServiceParts parts_;
  const Doorkeeper& door_;
};

uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long size = 0, resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &size, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

class ClusterServiceImpl final : public v1::ClusterService::CallbackService {
 public:
  ClusterServiceImpl(const ServiceParts& parts, const Doorkeeper& door,
                     const ApiServer::Options& options)
      : parts_(parts), door_(door), options_(options) {}

  ServerUnaryReactor* GetCluster(CallbackServerContext* context, const v1::GetClusterRequest*,
                                 v1::Cluster* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
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

  ServerUnaryReactor* GetStatistics(CallbackServerContext* context,
                                    const v1::GetStatisticsRequest* request,
                                    v1::Statistics* response) override {
    if (absl::Status s = door_.Check(*context); !s.ok()) return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    const absl::Status asked = parts_.loop->Query(
        [this, response, reset = request->reset()](Scheduler& scheduler, const Now& now) {
          for (const auto& [handler, stats] : scheduler.Statistics())
            ToProto(handler, stats, response->add_handlers());
          *response->mutable_since_time() = ToProto(since_);
          if (!reset) return;
          scheduler.ResetStatistics();
          since_ = now.wall;
        },
        [reactor] { reactor->Finish(grpc::Status::OK); });
    if (!asked.ok()) reactor->Finish(ToGrpc(asked));
    return reactor;
  }

 private:
  const ServiceParts parts_;
  const Doorkeeper& door_;
  const ApiServer::Options& options_;
  absl::Time since_ = options_.start_time;  // The loop's.
};

// gRPC does not say why a port could not be had, so try first.
absl::Status CheckPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon), port = address.substr(colon + 1);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0 || found == nullptr) {
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

}  // namespace

struct ApiServer::Impl {
  Impl(const ServiceParts& parts, const Options& given)
      : options(given),
        door(given.token),
        jobs(parts, door),
        tasks(parts, door),
        workers(parts, door),
        cluster(parts, door, options) {}

  const Options options;
  const Doorkeeper door;
  JobServiceImpl jobs;
  TaskServiceImpl tasks;
  WorkerServiceImpl workers;
  ClusterServiceImpl cluster;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<GrpcPulse> pulse;
};

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiServer::~ApiServer() { Stop(); }

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const ServiceParts& parts,
                                                            const Options& options) {
  if (absl::Status s = CheckPort(options.address); !s.ok()) return s;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto impl = std::make_unique<Impl>(parts, options);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(options.address, grpc::InsecureServerCredentials(), &bound);
  // Two masters would otherwise share the port, each getting half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes + (64 << 10));
  builder.RegisterService(&impl->jobs);
  builder.RegisterService(&impl->tasks);
  builder.RegisterService(&impl->workers);
  builder.RegisterService(&impl->cluster);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || bound == 0) {
    return absl::UnavailableError(StrCat("cannot listen on ", options.address));
  }
  for (const char* service : {"reeve.v1.JobService", "reeve.v1.TaskService",
                              "reeve.v1.WorkerService", "reeve.v1.ClusterService"}) {
    impl->server->GetHealthCheckService()->SetServingStatus(service, true);
  }
  impl->pulse =
      std::make_unique<GrpcPulse>(impl->server->InProcessChannel(grpc::ChannelArguments()));
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(impl)));
}

void ApiServer::Stop() {
  if (impl_->server == nullptr) return;
  impl_->pulse.reset();
  if (auto* health = impl_->server->GetHealthCheckService()) health->Shutdown();
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + kStopGrace));
  impl_->server.reset();
}

}  // namespace reeve
