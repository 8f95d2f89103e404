#include "master/service/job_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "master/service/append_stream.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/create_jobs.h"
#include "master/service/job_listing.h"
#include "master/service/kept_answers.h"
#include "master/service/result_stream.h"
#include "master/service/retry_job.h"
#include "master/service/validate.h"
#include "master/service/watch_stream.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

using S = v1::JobService;
using Raw = S::WithRawCallbackMethod_RunJob<
    S::WithRawCallbackMethod_AppendTasks<S::WithRawCallbackMethod_StreamResults<S::Service>>>;
using Creating = S::WithCallbackMethod_CreateJob<
    S::WithCallbackMethod_CreateJobs<S::WithCallbackMethod_RetryJob<Raw>>>;
using Changing = S::WithCallbackMethod_CloseJob<
    S::WithCallbackMethod_CancelJob<S::WithCallbackMethod_PauseJob<S::WithCallbackMethod_ResumeJob<
        S::WithCallbackMethod_UpdateJob<S::WithCallbackMethod_DeleteJob<Creating>>>>>>;
using Base = S::WithCallbackMethod_GetJob<S::WithCallbackMethod_ListJobs<
    S::WithCallbackMethod_WatchJob<S::WithCallbackMethod_StreamLogs<Changing>>>>;

constexpr size_t kDeletionsKept = 1'000;

std::string Named(JobId job) { return StrCat("job ", job.value); }

class JobServiceImpl final : public Base {
 public:
  JobServiceImpl(const ServiceParts& parts, Doorkeeper* door) : parts_(parts), door_(*door) {}

  RawWriteReactor* RunJob(CallbackServerContext* context, const grpc::ByteBuffer* bytes) override {
    auto guest = door_.AdmitStream(context, Method::kJobServiceRunJob, bytes->Length());
    if (!guest.ok()) return RefuseStream(guest.status());
    v1::CreateJobRequest request;
    const Buffer wire = ToBuffer(*bytes);
    if (!request.ParseFromArray(wire.view().data(), static_cast<int>(wire.size())))
      return RefuseStream(BadRequest("not a CreateJobRequest"));
    if (request.open()) return RefuseStream(BadRequest("open: an open job cannot be run"));
    auto event = EventOf(std::move(request), guest->caller());
    guest->Note({}, event.status());
    if (!event.ok()) return RefuseStream(event.status());
    const ServiceParts parts = For(guest->caller(), parts_);
    return StartRunJob(parts, std::move(*event), wire.size(), *std::move(guest));
  }

  ServerUnaryReactor* CreateJob(CallbackServerContext* context, const v1::CreateJobRequest* request,
                                v1::Job* response) override {
    const size_t bytes = request->ByteSizeLong();
    const auto caller = door_.Admit(*context, Method::kJobServiceCreateJob, bytes);
    if (!caller.ok()) return Finished(context, caller.status());
    auto event = EventOf(*request, *caller);
    if (!event.ok()) {
      door_.Note(*caller, {}, event.status());
      return Finished(context, event.status());
    }
    ServerUnaryReactor* reactor = context->DefaultReactor();
    Create(*caller, reactor, response, *std::move(event), bytes);
    return reactor;
  }

  ServerUnaryReactor* CreateJobs(CallbackServerContext* context,
                                 const v1::CreateJobsRequest* request,
                                 v1::CreateJobsResponse* response) override;

  ServerUnaryReactor* RetryJob(CallbackServerContext* context, const v1::RetryJobRequest* request,
                               v1::Job* response) override {
    const size_t bytes = request->ByteSizeLong();
    const auto caller = door_.Admit(*context, Method::kJobServiceRetryJob, bytes);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    MakeRetry(
        For(*caller, parts_), *request, OwnerFor(*caller),
        [this, caller = *caller, reactor, response, bytes](absl::StatusOr<reeve::CreateJob> event) {
          absl::Status may = event.status();
          if (may.ok()) may = CheckHandler(caller, event->options.handler);
          if (may.ok()) return Create(caller, reactor, response, *std::move(event), bytes);
          door_.Note(caller, {}, may);
          reactor->Finish(ToGrpc(may));
        });
    return reactor;
  }

  RawBidiReactor* AppendTasks(CallbackServerContext* context) override {
    auto guest = door_.AdmitStream(context, Method::kJobServiceAppendTasks);
    if (!guest.ok()) return StartAppendStream(parts_, {}, guest.status());
    const ServiceParts parts = For(guest->caller(), parts_);
    return StartAppendStream(parts, *std::move(guest), absl::OkStatus());
  }

  ServerUnaryReactor* CloseJob(CallbackServerContext* context, const v1::CloseJobRequest* request,
                               v1::Job* response) override {
    return Change(context, Method::kJobServiceCloseJob, *request, response,
                  reeve::CloseJob{{}, JobId(request->job_id())}, Wanted::kClosed);
  }

  ServerUnaryReactor* CancelJob(CallbackServerContext* context, const v1::CancelJobRequest* request,
                                v1::Job* response) override {
    return Change(context, Method::kJobServiceCancelJob, *request, response,
                  reeve::CancelJob{{}, JobId(request->job_id())}, Wanted::kCancelled);
  }

  ServerUnaryReactor* PauseJob(CallbackServerContext* context, const v1::PauseJobRequest* request,
                               v1::Job* response) override {
    return Change(context, Method::kJobServicePauseJob, *request, response,
                  reeve::PauseJob{{}, JobId(request->job_id())}, Wanted::kUnfinished);
  }

  ServerUnaryReactor* ResumeJob(CallbackServerContext* context, const v1::ResumeJobRequest* request,
                                v1::Job* response) override {
    return Change(context, Method::kJobServiceResumeJob, *request, response,
                  reeve::ResumeJob{{}, JobId(request->job_id())}, Wanted::kUnfinished);
  }

  ServerUnaryReactor* UpdateJob(CallbackServerContext* context, const v1::UpdateJobRequest* request,
                                v1::Job* response) override {
    if (request->priority() < 0 || request->priority() > kHighestPriority)
      return Finished(context, BadRequest("priority: 0 to 9"));
    reeve::UpdateJob event{{}, JobId(request->job_id()), {}, {}};
    if (request->has_priority()) event.priority = request->priority();
    if (request->has_max_in_flight()) event.max_in_flight = request->max_in_flight();
    return Change(context, Method::kJobServiceUpdateJob, *request, response, event,
                  Wanted::kUnfinished);
  }

  ServerUnaryReactor* DeleteJob(CallbackServerContext* context, const v1::DeleteJobRequest* request,
                                v1::DeleteJobResponse* response) override;

  ServerUnaryReactor* GetJob(CallbackServerContext* context, const v1::GetJobRequest* request,
                             v1::Job* response) override {
    const auto caller = door_.Admit(*context, Method::kJobServiceGetJob);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    Answer(For(*caller, parts_), JobId(request->job_id()), Wanted::kAny, response,
           [reactor](absl::Status status) { reactor->Finish(ToGrpc(status)); });
    return reactor;
  }

  ServerUnaryReactor* ListJobs(CallbackServerContext* context, const v1::ListJobsRequest* request,
                               v1::ListJobsResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kJobServiceListJobs);
    if (!caller.ok()) return Finished(context, caller.status());
    std::shared_ptr<const Principal> principal;
    if (!caller->principal.sees_all())
      principal = std::make_shared<const Principal>(caller->principal);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    reeve::ListJobs(parts_, principal, *request, response,
                    [reactor](const absl::Status& status) { reactor->Finish(ToGrpc(status)); });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::Job>* WatchJob(CallbackServerContext* context,
                                              const v1::WatchJobRequest* request) override {
    auto guest = door_.AdmitStream(context, Method::kJobServiceWatchJob);
    if (!guest.ok()) return StartWatch(parts_, *request, {}, guest.status());
    const ServiceParts parts = For(guest->caller(), parts_);
    return StartWatch(parts, *request, *std::move(guest), absl::OkStatus());
  }

  RawWriteReactor* StreamResults(CallbackServerContext* context,
                                 const grpc::ByteBuffer* request) override {
    auto guest = door_.AdmitStream(context, Method::kJobServiceStreamResults);
    if (!guest.ok()) return RefuseStream(guest.status());
    const ServiceParts parts = For(guest->caller(), parts_);
    return StartResultStream(parts, *request, *std::move(guest));
  }

  grpc::ServerWriteReactor<v1::LogChunk>* StreamLogs(
      CallbackServerContext* context, const v1::StreamLogsRequest* request) override {
    auto guest = door_.AdmitStream(context, Method::kJobServiceStreamLogs);
    if (!guest.ok()) return StartLogs(parts_, *request, {}, guest.status());
    const ServiceParts parts = For(guest->caller(), parts_);
    return StartLogs(parts, *request, *std::move(guest), absl::OkStatus());
  }

 private:
  // What a mutating call wanted of a job that has ended, if it may say so.
  enum class Wanted { kAny, kClosed, kCancelled, kUnfinished };

  static absl::StatusOr<reeve::CreateJob> EventOf(v1::CreateJobRequest request,
                                                  const Caller& caller) {
    auto event = ValidateCreateJob(std::move(request), absl::Now(), OwnerFor(caller));
    if (!event.ok()) return event;
    if (absl::Status s = CheckHandler(caller, event->options.handler); !s.ok()) return s;
    return event;
  }

  // Calls that change a job.
  template <typename Request, typename JobEvent>
  ServerUnaryReactor* Change(CallbackServerContext* context, Method method, const Request& request,
                             v1::Job* response, JobEvent event, Wanted wanted) {
    const auto caller = door_.Admit(*context, method);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok())
      return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    CheckJob(For(*caller, parts_), event.job, Wish::kControl,
             [this, caller = *caller, reactor, response, event, wanted](absl::Status may) {
               if (may.ok()) return PostChange(caller, reactor, response, event, wanted);
               door_.Note(caller, Named(event.job), may);
               reactor->Finish(ToGrpc(may));
             });
    return reactor;
  }

  template <typename JobEvent>
  void PostChange(const Caller& caller, ServerUnaryReactor* reactor, v1::Job* response,
                  JobEvent event, Wanted wanted) {
    const JobId job = event.job;
    const CallId call =
        parts_.hub->Expect([this, caller, reactor, response, job, wanted](const Reply& reply) {
          Conclude(caller, reactor, response, std::get<JobReply>(reply.body), job, wanted);
        });
    event.call = call;
    if (absl::Status s = parts_.loop->PostApi(std::move(event), 0); !s.ok()) {
      parts_.hub->Forget(call);
      Finish(caller, reactor, job, s);
    }
  }

  void Create(const Caller& caller, ServerUnaryReactor* reactor, v1::Job* response,
              reeve::CreateJob event, size_t bytes) {
    PostCreate(For(caller, parts_), std::move(event), bytes,
               [this, caller, reactor, response](const Reply& reply) {
                 Conclude(caller, reactor, response, std::get<JobReply>(reply.body), {},
                          Wanted::kAny);
               });
  }

  void Finish(const Caller& caller, ServerUnaryReactor* reactor, JobId job,
              const absl::Status& status) {
    door_.Note(caller, job ? Named(job) : "", status);
    reactor->Finish(ToGrpc(status));
  }

  // Ends the call with what the scheduler said, and what a store says of a job that has ended.
  void Conclude(const Caller& caller, ServerUnaryReactor* reactor, v1::Job* response,
                const JobReply& reply, JobId job, Wanted wanted) {
    const bool has_ended = (reply.status.ok() && reply.view.state == JobState::kUnspecified) ||
                           (absl::IsNotFound(reply.status) && wanted != Wanted::kAny);
    const JobId of = reply.status.ok() ? reply.view.job : job;
    if (!has_ended) {
      if (reply.status.ok()) ToProto(reply.view, response);
      return Finish(caller, reactor, of, reply.status);
    }
    Answer(parts_, of, wanted, response, [this, caller, reactor, of](const absl::Status& status) {
      Finish(caller, reactor, of, status);
    });
  }

  void AnswerEnded(ServerUnaryReactor* reactor, v1::CreateJobsResponse* response, int from);

  // The job wherever it is.
  void Answer(const ServiceParts& parts, JobId job, Wanted wanted, v1::Job* response,
              std::function<void(absl::Status)> done) {
    FindJob(parts, job, nullptr, [response, wanted, done](absl::StatusOr<FoundJob> found) {
      if (!found.ok()) return done(found.status());
      ToProto(found->job.view, response);
      const JobState state = found->job.view.state;
      if (IsTerminal(state) && (wanted == Wanted::kUnfinished ||
                                (wanted == Wanted::kCancelled && state != JobState::kCancelled))) {
        return done(MakeError(absl::StatusCode::kFailedPrecondition, "JOB_ENDED",
                              StrCat("job ", found->job.view.job.value, " has ended ",
                                     ToString(found->job.view.state))));
      }
      done(absl::OkStatus());
    });
  }

  const ServiceParts parts_;
  Doorkeeper& door_;
  Mutex mu_;
  KeptAnswers<bool> deletions_ ABSL_GUARDED_BY(mu_){kDeletionsKept};
};

ServerUnaryReactor* JobServiceImpl::CreateJobs(CallbackServerContext* context,
                                               const v1::CreateJobsRequest* request,
                                               v1::CreateJobsResponse* response) {
  const size_t bytes = request->ByteSizeLong();
  const auto caller = door_.Admit(*context, Method::kJobServiceCreateJobs, bytes);
  if (!caller.ok()) return Finished(context, caller.status());
  auto event = ValidateCreateJobs(*request, absl::Now(), OwnerFor(*caller));
  absl::Status may = event.status();
  for (size_t i = 0; may.ok() && i < event->jobs.size(); ++i)
    may = CheckHandler(*caller, event->jobs[i].options.handler);
  if (!may.ok()) {
    door_.Note(*caller, {}, may);
    return Finished(context, may);
  }
  ServerUnaryReactor* reactor = context->DefaultReactor();
  PostCreate(For(*caller, parts_), *std::move(event), bytes,
             [this, caller = *caller, reactor, response](const Reply& reply) {
               const auto& made = std::get<JobsReply>(reply.body);
               if (!made.status.ok()) return Finish(caller, reactor, {}, made.status);
               for (const JobView& view : made.views) {
                 door_.Note(caller, Named(view.job), absl::OkStatus());
                 v1::Job* job = response->add_jobs();
                 // The call is a repeat, and this one has ended meanwhile.
                 job->set_job_id(view.job.value);
                 if (view.state != JobState::kUnspecified) ToProto(view, job);
               }
               AnswerEnded(reactor, response, 0);
             });
  return reactor;
}

// Fills in those that only a store still knows, one after the other.
void JobServiceImpl::AnswerEnded(ServerUnaryReactor* reactor, v1::CreateJobsResponse* response,
                                 int from) {
  for (int i = from; i < response->jobs_size(); ++i) {
    v1::Job* job = response->mutable_jobs(i);
    if (job->state() != v1::Job::STATE_UNSPECIFIED) continue;
    return Answer(parts_, JobId(job->job_id()), Wanted::kAny, job,
                  // One that is forgotten stays its id.
                  [this, reactor, response, i](const absl::Status&) {
                    AnswerEnded(reactor, response, i + 1);
                  });
  }
  reactor->Finish(grpc::Status::OK);
}

ServerUnaryReactor* JobServiceImpl::DeleteJob(CallbackServerContext* context,
                                              const v1::DeleteJobRequest* request,
                                              v1::DeleteJobResponse*) {
  const auto caller = door_.Admit(*context, Method::kJobServiceDeleteJob);
  if (!caller.ok()) return Finished(context, caller.status());
  if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
    return Finished(context, s);
  ServerUnaryReactor* reactor = context->DefaultReactor();
  const ServiceParts parts = For(*caller, parts_);
  const JobId job(request->job_id());
  const std::string id = RequestIdOf(caller->principal.name, request->request_id());
  const auto finish = [this, caller = *caller, reactor, job, id](const absl::Status& status) {
    MutexLock lock(&mu_);
    const bool repeated = deletions_.Find(id) != nullptr;
    if (status.ok() && !repeated) deletions_.Keep(id, true);
    Finish(caller, reactor, job, absl::IsNotFound(status) && repeated ? absl::OkStatus() : status);
  };
  CheckJob(parts, job, Wish::kControl, [this, parts, job, finish](const absl::Status& may) {
    if (!may.ok()) return finish(may);
    FindJob(parts, job, nullptr, [this, job, finish](const absl::StatusOr<FoundJob>& found) {
      if (!found.ok()) return finish(found.status());
      PostForStatus(parts_, reeve::DeleteJob{{}, job}, finish);
    });
  });
  return reactor;
}

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(const ServiceParts& parts, Doorkeeper* door) {
  return std::make_unique<JobServiceImpl>(parts, door);
}

}  // namespace reeve
