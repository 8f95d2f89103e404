#include "master/service/schedule_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "master/schedules/cadence.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/schedule_settings.h"
#include "master/service/validate.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using StatusDone = std::function<void(const absl::Status&)>;

constexpr uint32_t kDefaultFireTimes = 10;
constexpr uint32_t kMaxFireTimes = 1'000;
constexpr size_t kMaxListBytes = 1u << 20;

std::string NamedSchedule(const std::string& name) {
  return StrCat("schedule ", Beginning(name, 64));
}

absl::Status NoSchedule(const std::string& name) {
  return MakeError(absl::StatusCode::kNotFound, "SCHEDULE_NOT_FOUND",
                   StrCat("there is no ", NamedSchedule(name)));
}

class ScheduleServiceImpl final : public v1::ScheduleService::CallbackService {
 public:
  ScheduleServiceImpl(const ServiceParts& parts, Doorkeeper* door) : parts_(parts), door_(*door) {}

  ServerUnaryReactor* CreateSchedule(CallbackServerContext* context,
                                     const v1::CreateScheduleRequest* request,
                                     v1::Schedule* response) override;
  ServerUnaryReactor* GetSchedule(CallbackServerContext* context,
                                  const v1::GetScheduleRequest* request,
                                  v1::Schedule* response) override;
  ServerUnaryReactor* ListSchedules(CallbackServerContext* context,
                                    const v1::ListSchedulesRequest* request,
                                    v1::ListSchedulesResponse* response) override;
  ServerUnaryReactor* RunSchedule(CallbackServerContext* context,
                                  const v1::RunScheduleRequest* request,
                                  v1::Job* response) override;
  ServerUnaryReactor* ListFireTimes(CallbackServerContext* context,
                                    const v1::ListFireTimesRequest* request,
                                    v1::ListFireTimesResponse* response) override;

  ServerUnaryReactor* DeleteSchedule(CallbackServerContext* context,
                                     const v1::DeleteScheduleRequest* request,
                                     v1::DeleteScheduleResponse*) override {
    return Change(context, Method::kScheduleServiceDeleteSchedule, *request,
                  ChangeSchedule::What::kDelete, nullptr);
  }
  ServerUnaryReactor* PauseSchedule(CallbackServerContext* context,
                                    const v1::PauseScheduleRequest* request,
                                    v1::Schedule* response) override {
    return Change(context, Method::kScheduleServicePauseSchedule, *request,
                  ChangeSchedule::What::kPause, response);
  }
  ServerUnaryReactor* ResumeSchedule(CallbackServerContext* context,
                                     const v1::ResumeScheduleRequest* request,
                                     v1::Schedule* response) override {
    return Change(context, Method::kScheduleServiceResumeSchedule, *request,
                  ChangeSchedule::What::kResume, response);
  }

 private:
  // Whose schedule a request means, as the scheduler has it. Errors: SCHEDULE_NOT_FOUND also for
  // those of others.
  static absl::StatusOr<std::string> OwnerOf(const Caller& caller, const std::string& asked,
                                             const std::string& name, Wish wish) {
    const std::string own = OwnerFor(caller);
    if (asked.empty()) return own;
    const std::string owner = asked == kRootPrincipal ? "" : asked;
    if (owner == own) return own;
    const bool may =
        wish == Wish::kSee ? caller.principal.sees_all() : caller.principal.controls_all();
    if (!may) return NoSchedule(name);
    return owner;
  }

  // Calls `done` with the schedule, on the loop thread.
  void Find(const std::string& owner, const std::string& name,
            const std::function<void(absl::StatusOr<ScheduleView>)>& done) {
    auto view = std::make_shared<std::optional<ScheduleView>>();
    const absl::Status asked = parts_.loop->Query(
        [=](Scheduler& scheduler, const Now&) { *view = scheduler.FindSchedule(owner, name); },
        [=] {
          if (!view->has_value()) return done(NoSchedule(name));
          done(std::move(**view));
        });
    if (!asked.ok()) done(asked);
  }

  void Answer(ServerUnaryReactor* reactor, const std::string& owner, const std::string& name,
              v1::Schedule* response) {
    Find(owner, name, [reactor, response](const absl::StatusOr<ScheduleView>& view) {
      if (view.ok()) ToProto(*view, response);
      reactor->Finish(ToGrpc(view.status()));
    });
  }

  // `response` null: nothing is told of it.
  template <typename Request>
  ServerUnaryReactor* Change(CallbackServerContext* context, Method method, const Request& request,
                             ChangeSchedule::What what, v1::Schedule* response) {
    const auto caller = door_.Admit(*context, method);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok())
      return Finished(context, s);
    const auto owner = OwnerOf(*caller, request.owner(), request.name(), Wish::kControl);
    if (!owner.ok()) return Finished(context, owner.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    PostForStatus(parts_, ChangeSchedule{{}, *owner, request.name(), what, ""},
                  [this, caller = *caller, reactor, response, owner = *owner,
                   name = request.name()](const absl::Status& status) {
                    door_.Note(caller, NamedSchedule(name), status);
                    if (!status.ok() || response == nullptr) return reactor->Finish(ToGrpc(status));
                    Answer(reactor, owner, name, response);
                  });
    return reactor;
  }

  void AnswerRun(const Caller& caller, ServerUnaryReactor* reactor, v1::Job* response,
                 const Reply& reply);

  const ServiceParts parts_;
  Doorkeeper& door_;
};

ServerUnaryReactor* ScheduleServiceImpl::CreateSchedule(CallbackServerContext* context,
                                                        const v1::CreateScheduleRequest* request,
                                                        v1::Schedule* response) {
  const auto caller =
      door_.Admit(*context, Method::kScheduleServiceCreateSchedule, request->ByteSizeLong());
  if (!caller.ok()) return Finished(context, caller.status());
  const std::string owner = OwnerFor(*caller);
  reeve::CreateSchedule event;
  event.request_id = RequestIdOf(owner, request->request_id());
  event.content_hash = ContentHash(request->schedule());
  event.paused = request->schedule().paused();
  event.remaining = request->schedule().remaining_count();
  absl::Status status = ValidateRequestId(request->request_id());
  if (status.ok()) {
    auto settings = ToSettings(request->schedule(), owner, absl::Now());
    status = settings.status();
    if (status.ok()) event.settings = *std::move(settings);
  }
  if (status.ok()) status = CheckHandler(*caller, event.settings.job.options.handler);
  const std::string name = request->schedule().name();
  if (!status.ok()) {
    door_.Note(*caller, NamedSchedule(name), status);
    return Finished(context, status);
  }
  ServerUnaryReactor* reactor = context->DefaultReactor();
  PostForStatus(parts_, std::move(event),
                [this, caller = *caller, reactor, response, owner, name](const absl::Status& made) {
                  door_.Note(caller, NamedSchedule(name), made);
                  if (!made.ok()) return reactor->Finish(ToGrpc(made));
                  Answer(reactor, owner, name, response);
                });
  return reactor;
}

ServerUnaryReactor* ScheduleServiceImpl::GetSchedule(CallbackServerContext* context,
                                                     const v1::GetScheduleRequest* request,
                                                     v1::Schedule* response) {
  const auto caller = door_.Admit(*context, Method::kScheduleServiceGetSchedule);
  if (!caller.ok()) return Finished(context, caller.status());
  const auto owner = OwnerOf(*caller, request->owner(), request->name(), Wish::kSee);
  if (!owner.ok()) return Finished(context, owner.status());
  ServerUnaryReactor* reactor = context->DefaultReactor();
  Answer(reactor, *owner, request->name(), response);
  return reactor;
}

ServerUnaryReactor* ScheduleServiceImpl::ListSchedules(CallbackServerContext* context,
                                                       const v1::ListSchedulesRequest*,
                                                       v1::ListSchedulesResponse* response) {
  const auto caller = door_.Admit(*context, Method::kScheduleServiceListSchedules);
  if (!caller.ok()) return Finished(context, caller.status());
  ServerUnaryReactor* reactor = context->DefaultReactor();
  auto views = std::make_shared<std::vector<ScheduleView>>();
  const bool all = caller->principal.sees_all();
  const absl::Status asked = parts_.loop->Query(
      [views, all, own = OwnerFor(*caller)](Scheduler& scheduler, const Now&) {
        for (ScheduleView& view : scheduler.ListSchedules()) {
          if (all || view.settings.owner == own) views->push_back(std::move(view));
        }
      },
      [views, reactor, response] {
        std::stable_sort(views->begin(), views->end(), [](const auto& a, const auto& b) {
          return a.settings.name < b.settings.name;
        });
        size_t bytes = 0;
        for (const ScheduleView& view : *views) {
          v1::Schedule* schedule = response->add_schedules();
          ToProto(view, schedule);
          // All of them must fit a message; GetSchedule tells the rest.
          schedule->clear_batch();
          bytes += schedule->ByteSizeLong();
          if (bytes > kMaxListBytes) schedule->clear_spec();
        }
        reactor->Finish(grpc::Status::OK);
      });
  if (!asked.ok()) reactor->Finish(ToGrpc(asked));
  return reactor;
}

ServerUnaryReactor* ScheduleServiceImpl::RunSchedule(CallbackServerContext* context,
                                                     const v1::RunScheduleRequest* request,
                                                     v1::Job* response) {
  const auto caller = door_.Admit(*context, Method::kScheduleServiceRunSchedule);
  if (!caller.ok()) return Finished(context, caller.status());
  if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
    return Finished(context, s);
  const auto owner = OwnerOf(*caller, request->owner(), request->name(), Wish::kControl);
  if (!owner.ok()) return Finished(context, owner.status());
  ServerUnaryReactor* reactor = context->DefaultReactor();
  ChangeSchedule event{{},
                       *owner,
                       request->name(),
                       ChangeSchedule::What::kRun,
                       RequestIdOf(OwnerFor(*caller), request->request_id())};
  Find(*owner, request->name(),
       [this, caller = *caller, reactor, response,
        event = std::move(event)](const absl::StatusOr<ScheduleView>& view) mutable {
         // One that is gone is told by the scheduler, which knows a repeat.
         if (view.ok()) {
           const absl::Status may = CheckHandler(caller, view->settings.job.options.handler);
           if (!may.ok()) return AnswerRun(caller, reactor, response, {{}, JobReply{may, {}}, {}});
         }
         event.call = parts_.hub->Expect([this, caller, reactor, response](const Reply& reply) {
           AnswerRun(caller, reactor, response, reply);
         });
         const CallId call = event.call;
         if (absl::Status s = parts_.loop->PostApi(std::move(event), 0); !s.ok()) {
           parts_.hub->Forget(call);
           AnswerRun(caller, reactor, response, {{}, JobReply{s, {}}, {}});
         }
       });
  return reactor;
}

void ScheduleServiceImpl::AnswerRun(const Caller& caller, ServerUnaryReactor* reactor,
                                    v1::Job* response, const Reply& reply) {
  const auto& run = std::get<JobReply>(reply.body);
  door_.Note(caller, run.status.ok() ? StrCat("job ", run.view.job.value) : "", run.status);
  if (!run.status.ok()) return reactor->Finish(ToGrpc(run.status));
  if (run.view.state != JobState::kUnspecified) {
    ToProto(run.view, response);
    return reactor->Finish(grpc::Status::OK);
  }
  // A repeat, and the job has ended.
  FindJob(parts_, run.view.job, nullptr,
          [reactor, response](const absl::StatusOr<FoundJob>& found) {
            if (found.ok()) ToProto(found->job.view, response);
            reactor->Finish(ToGrpc(found.status()));
          });
}

ServerUnaryReactor* ScheduleServiceImpl::ListFireTimes(CallbackServerContext* context,
                                                       const v1::ListFireTimesRequest* request,
                                                       v1::ListFireTimesResponse* response) {
  const auto caller = door_.Admit(*context, Method::kScheduleServiceListFireTimes);
  if (!caller.ok()) return Finished(context, caller.status());
  if (request->count() > kMaxFireTimes) return Finished(context, BadRequest("count: 1 to 1,000"));
  const uint32_t count = request->count() == 0 ? kDefaultFireTimes : request->count();
  const auto owner = OwnerOf(*caller, request->owner(), request->name(), Wish::kSee);
  if (!owner.ok()) return Finished(context, owner.status());
  ServerUnaryReactor* reactor = context->DefaultReactor();
  Find(*owner, request->name(),
       [this, reactor, response, count](absl::StatusOr<ScheduleView> view) {
         if (!view.ok()) return reactor->Finish(ToGrpc(view.status()));
         // Rare expressions take their time, which the loop has not.
         const bool posted =
             parts_.reader->Post(StoreKind::kMemory, [=, view = *std::move(view)](StoreReader&) {
               const uint32_t left = view.progress.remaining;
               const uint32_t most = left > 0 ? std::min(count, left) : count;
               absl::Time at = view.progress.next_time;
               for (uint32_t i = 0; i < most && at != absl::InfiniteFuture(); ++i) {
                 *response->add_times() = ToProto(at);
                 at = view.settings.cadence->Next(at);
               }
               reactor->Finish(grpc::Status::OK);
             });
         if (!posted) {
           reactor->Finish(ToGrpc(MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                                            "too many reads wait", absl::Milliseconds(200))));
         }
       });
  return reactor;
}

}  // namespace

std::unique_ptr<grpc::Service> MakeScheduleService(const ServiceParts& parts, Doorkeeper* door) {
  return std::make_unique<ScheduleServiceImpl>(parts, door);
}

}  // namespace reeve
