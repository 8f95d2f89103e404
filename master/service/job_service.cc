#include "master/service/job_service.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/service/append_stream.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/result_stream.h"
#include "master/service/validate.h"
#include "master/service/watch_stream.h"
#include "master/store/job_record.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

using S = v1::JobService;
using Base = S::WithRawCallbackMethod_RunJob<S::WithCallbackMethod_CreateJob<
    S::WithRawCallbackMethod_AppendTasks<S::WithCallbackMethod_CloseJob<
        S::WithCallbackMethod_GetJob<S::WithCallbackMethod_ListJobs<S::WithCallbackMethod_CancelJob<
            S::WithCallbackMethod_WatchJob<S::WithRawCallbackMethod_StreamResults<
                S::WithCallbackMethod_StreamLogs<S::Service>>>>>>>>>>;

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
    PostJob(*caller, reactor, response, std::move(*event), bytes);
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
    return ChangeJob<reeve::CloseJob>(context, Method::kJobServiceCloseJob, *request, response);
  }

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
                               v1::ListJobsResponse* response) override;

  ServerUnaryReactor* CancelJob(CallbackServerContext* context, const v1::CancelJobRequest* request,
                                v1::Job* response) override {
    return ChangeJob<reeve::CancelJob>(context, Method::kJobServiceCancelJob, *request, response);
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
  enum class Wanted { kAny, kClosed, kCancelled };
  template <typename JobEvent>
  static constexpr Wanted kWantedBy =
      std::is_same_v<JobEvent, reeve::CancelJob>  ? Wanted::kCancelled
      : std::is_same_v<JobEvent, reeve::CloseJob> ? Wanted::kClosed
                                                  : Wanted::kAny;

  static absl::StatusOr<reeve::CreateJob> EventOf(v1::CreateJobRequest request,
                                                  const Caller& caller) {
    const bool is_root = caller.principal.name == kRootPrincipal;
    auto event =
        ValidateCreateJob(std::move(request), absl::Now(), is_root ? "" : caller.principal.name);
    if (!event.ok() || caller.principal.may_use(event->options.handler)) return event;
    return MakeError(absl::StatusCode::kPermissionDenied, "NOT_PERMITTED",
                     StrCat("this token is not for jobs of the handler ", event->options.handler));
  }

  // Close and cancel.
  template <typename JobEvent, typename Request>
  ServerUnaryReactor* ChangeJob(CallbackServerContext* context, Method method,
                                const Request& request, v1::Job* response) {
    const auto caller = door_.Admit(*context, method);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok())
      return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    const JobId job(request.job_id());
    CheckJob(For(*caller, parts_), job, Wish::kControl,
             [this, caller = *caller, reactor, response, job](absl::Status may) {
               if (may.ok()) return PostJob(caller, reactor, response, JobEvent{{}, job}, 0);
               door_.Note(caller, Named(job), may);
               reactor->Finish(ToGrpc(may));
             });
    return reactor;
  }

  // Ends the call once the event's reply is there.
  template <typename JobEvent>
  void PostJob(const Caller& caller, ServerUnaryReactor* reactor, v1::Job* response, JobEvent event,
               size_t bytes) {
    constexpr Wanted wanted = kWantedBy<JobEvent>;
    JobId job;
    if constexpr (!std::is_same_v<JobEvent, reeve::CreateJob>) job = event.job;
    const auto finish = [this, caller, reactor](JobId of, const absl::Status& status) {
      door_.Note(caller, of ? Named(of) : "", status);
      reactor->Finish(ToGrpc(status));
    };
    const CallId call = parts_.hub->Expect([this, response, job, finish](Reply reply) {
      JobReply& done = std::get<JobReply>(reply.body);
      const auto look = [this, response, finish](JobId of) {
        Answer(parts_, of, wanted, response,
               [of, finish](absl::Status status) { finish(of, status); });
      };
      if (absl::IsNotFound(done.status) && wanted != Wanted::kAny) return look(job);
      if (!done.status.ok()) return finish(job, done.status);
      if (done.view.state == JobState::kUnspecified) return look(done.view.job);
      ToProto(done.view, response);
      finish(done.view.job, absl::OkStatus());
    });
    event.call = call;
    if (absl::Status s = parts_.loop->PostApi(std::move(event), bytes); !s.ok()) {
      parts_.hub->Forget(call);
      finish(job, s);
    }
  }

  // The job wherever it is.
  void Answer(const ServiceParts& parts, JobId job, Wanted wanted, v1::Job* response,
              std::function<void(absl::Status)> done) {
    FindJob(parts, job, nullptr, [response, wanted, done](absl::StatusOr<FoundJob> found) {
      if (!found.ok()) return done(found.status());
      ToProto(found->job.view, response);
      if (wanted == Wanted::kCancelled && found->job.view.state != JobState::kCancelled &&
          IsTerminal(found->job.view.state)) {
        return done(MakeError(absl::StatusCode::kFailedPrecondition, "JOB_ENDED",
                              StrCat("job ", found->job.view.job.value, " has ended ",
                                     ToString(found->job.view.state))));
      }
      done(absl::OkStatus());
    });
  }

  const ServiceParts parts_;
  Doorkeeper& door_;
};

// A page of jobs, put together from the scheduler and both stores.
struct Listing {
  JobId below;
  size_t limit = 0;  // One more than the page: tells whether there is a next one.
  std::vector<JobState> states;
  std::shared_ptr<const Principal> principal;  // Null: sees all.
  std::map<JobId, JobView> jobs;               // Live ones win over their row in the store.
  std::map<JobId, JobView> live;

  bool Wants(const JobView& view) const {
    return (states.empty() ||
            std::find(states.begin(), states.end(), view.state) != states.end()) &&
           (principal == nullptr || principal->sees(OwnerOf(view.record)));
  }
  // Reads until the page is full or the store has no more: rows of others do not count.
  void Read(StoreReader& reader) {
    const size_t rows = limit + live.size();
    JobId before = below;
    for (size_t found = 0; found < limit;) {
      const auto stored = reader.ListJobs(before, states, rows);
      if (!stored.ok()) return;
      for (const StoredJob& job : *stored) {
        before = job.view.job;
        if (live.contains(job.view.job) || !Wants(job.view)) continue;
        jobs.emplace(job.view.job, job.view);
        ++found;
      }
      if (stored->size() < rows) return;
    }
  }
  void Fill(v1::ListJobsResponse* response) const {
    std::vector<const JobView*> page;
    for (auto it = jobs.rbegin(); it != jobs.rend() && page.size() < limit; ++it)
      page.push_back(&it->second);
    const bool more = page.size() == limit;
    if (more) page.pop_back();
    for (const JobView* view : page) ToProto(*view, response->add_jobs());
    if (more) response->set_next_page_token(StrCat(page.back()->job.value));
  }
};

ServerUnaryReactor* JobServiceImpl::ListJobs(CallbackServerContext* context,
                                             const v1::ListJobsRequest* request,
                                             v1::ListJobsResponse* response) {
  const auto caller = door_.Admit(*context, Method::kJobServiceListJobs);
  if (!caller.ok()) return Finished(context, caller.status());
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return Finished(context, size.status());
  const auto before = PageToken(request->page_token());
  if (!before.ok()) return Finished(context, before.status());
  auto listing = std::make_shared<Listing>();
  for (const int state : request->states()) {
    if (state == v1::Job::STATE_UNSPECIFIED || !v1::Job::State_IsValid(state))
      return Finished(context, BadRequest("states: not a state of a job"));
    listing->states.push_back(static_cast<JobState>(state));
  }
  listing->below = JobId(*before);
  listing->limit = *size + 1;
  if (!caller->principal.sees_all())
    listing->principal = std::make_shared<const Principal>(caller->principal);
  ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto finish = [listing, reactor, response] {
    listing->Fill(response);
    reactor->Finish(grpc::Status::OK);
  };
  const absl::Status asked = parts_.loop->Query(
      [listing](Scheduler& scheduler, const Now&) {
        // Those of a wrong state count, too: the store must not tell of them instead.
        for (JobView& view : scheduler.ListJobs(listing->below, SIZE_MAX)) {
          const JobId id = view.job;
          listing->live.emplace(id, JobView{});
          if (listing->jobs.size() < listing->limit && listing->Wants(view))
            listing->jobs.emplace(id, std::move(view));
        }
      },
      [this, listing, finish, reactor] {
        const bool posted =
            parts_.reader->Post(StoreKind::kDurable, [=, this](StoreReader& reader) {
              listing->Read(reader);
              const bool again = parts_.reader->Post(StoreKind::kMemory, [=](StoreReader& memory) {
                listing->Read(memory);
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

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(const ServiceParts& parts, Doorkeeper* door) {
  return std::make_unique<JobServiceImpl>(parts, door);
}

}  // namespace reeve
