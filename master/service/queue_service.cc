#include "master/service/queue_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "master/service/call.h"
#include "master/service/convert.h"
#include "master/service/validate.h"
#include "master/service/validate_extras.h"
#include "reeve/v1/services.grpc.pb.h"

namespace reeve {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

constexpr uint32_t kMaxWeight = 1'000;

std::string NamedQueue(const std::string& name) { return StrCat("queue ", Beginning(name, 64)); }

void ToProto(const Rate& rate, v1::Rate* proto) {
  proto->set_count(rate.count);
  *proto->mutable_per() = reeve::ToProto(rate.per);
  proto->set_burst(rate.burst);
}

void ToProto(const QueueView& view, v1::Queue* queue) {
  queue->set_name(view.settings.name);
  queue->set_weight(view.settings.weight);
  queue->set_max_in_flight(view.settings.max_in_flight);
  if (view.settings.rate.limited()) ToProto(view.settings.rate, queue->mutable_rate());
  queue->set_paused(view.settings.paused);
  queue->set_max_tasks(view.settings.max_tasks);
  if (view.settings.retry_rate.limited())
    ToProto(view.settings.retry_rate, queue->mutable_retry_rate());
  queue->set_job_count(view.jobs);
  queue->set_task_count(view.tasks);
  queue->set_in_flight(view.in_flight);
}

absl::StatusOr<reeve::UpdateQueue> EventOf(const v1::UpdateQueueRequest& request) {
  if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok()) return s;
  const v1::Queue& queue = request.queue();
  if (!IsQueueName(queue.name()))
    return BadRequest("queue.name: 1 to 64 characters of a-z, A-Z, 0-9, `.`, `_` and `-`");
  reeve::UpdateQueue event;
  event.name = queue.name();
  if (queue.has_weight()) {
    if (queue.weight() < 1 || queue.weight() > kMaxWeight)
      return BadRequest("queue.weight: 1 to 1,000");
    event.weight = queue.weight();
  }
  if (queue.has_max_in_flight()) event.max_in_flight = queue.max_in_flight();
  if (queue.has_paused()) event.paused = queue.paused();
  if (queue.has_max_tasks()) event.max_tasks = queue.max_tasks();
  if (queue.has_rate()) {
    const auto rate = ToRate("queue.rate", queue.rate());
    if (!rate.ok()) return rate.status();
    event.rate = *rate;
  }
  if (queue.has_retry_rate()) {
    const auto rate = ToRate("queue.retry_rate", queue.retry_rate());
    if (!rate.ok()) return rate.status();
    event.retry_rate = *rate;
  }
  return event;
}

class QueueServiceImpl final : public v1::QueueService::CallbackService {
 public:
  QueueServiceImpl(const ServiceParts& parts, Doorkeeper* door) : parts_(parts), door_(*door) {}

  ServerUnaryReactor* ListQueues(CallbackServerContext* context, const v1::ListQueuesRequest*,
                                 v1::ListQueuesResponse* response) override {
    const auto caller = door_.Admit(*context, Method::kQueueServiceListQueues);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    const absl::Status asked = parts_.loop->Query(
        [response](Scheduler& scheduler, const Now&) {
          for (const QueueView& view : scheduler.ListQueues())
            ToProto(view, response->add_queues());
        },
        [reactor] { reactor->Finish(grpc::Status::OK); });
    if (!asked.ok()) reactor->Finish(ToGrpc(asked));
    return reactor;
  }

  ServerUnaryReactor* GetQueue(CallbackServerContext* context, const v1::GetQueueRequest* request,
                               v1::Queue* response) override {
    const auto caller = door_.Admit(*context, Method::kQueueServiceGetQueue);
    if (!caller.ok()) return Finished(context, caller.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    Answer(request->name(), response,
           [reactor](const absl::Status& status) { reactor->Finish(ToGrpc(status)); });
    return reactor;
  }

  ServerUnaryReactor* UpdateQueue(CallbackServerContext* context,
                                  const v1::UpdateQueueRequest* request,
                                  v1::Queue* response) override {
    const auto caller = door_.Admit(*context, Method::kQueueServiceUpdateQueue);
    if (!caller.ok()) return Finished(context, caller.status());
    const auto event = EventOf(*request);
    if (!event.ok()) return Finished(context, event.status());
    ServerUnaryReactor* reactor = context->DefaultReactor();
    PostForStatus(parts_, *event,
                  [this, caller = *caller, reactor, response,
                   name = event->name](const absl::Status& status) {
                    door_.Note(caller, NamedQueue(name), status);
                    if (!status.ok()) return reactor->Finish(ToGrpc(status));
                    Answer(name, response, [reactor](const absl::Status& found) {
                      reactor->Finish(ToGrpc(found));
                    });
                  });
    return reactor;
  }

  ServerUnaryReactor* DeleteQueue(CallbackServerContext* context,
                                  const v1::DeleteQueueRequest* request,
                                  v1::DeleteQueueResponse*) override {
    const auto caller = door_.Admit(*context, Method::kQueueServiceDeleteQueue);
    if (!caller.ok()) return Finished(context, caller.status());
    if (absl::Status s = ValidateRequestId(request->request_id()); !s.ok())
      return Finished(context, s);
    ServerUnaryReactor* reactor = context->DefaultReactor();
    PostForStatus(
        parts_, reeve::DeleteQueue{{}, request->name()},
        [this, caller = *caller, reactor, name = request->name()](const absl::Status& status) {
          door_.Note(caller, NamedQueue(name), status);
          reactor->Finish(ToGrpc(status));
        });
    return reactor;
  }

 private:
  void Answer(const std::string& name, v1::Queue* response,
              const std::function<void(const absl::Status&)>& done) {
    auto view = std::make_shared<std::optional<QueueView>>();
    const absl::Status asked = parts_.loop->Query(
        [view, name](Scheduler& scheduler, const Now&) { *view = scheduler.FindQueue(name); },
        [view, name, response, done] {
          if (!view->has_value()) {
            return done(MakeError(absl::StatusCode::kNotFound, "QUEUE_NOT_FOUND",
                                  StrCat("there is no ", NamedQueue(name))));
          }
          ToProto(**view, response);
          done(absl::OkStatus());
        });
    if (!asked.ok()) done(asked);
  }

  const ServiceParts parts_;
  Doorkeeper& door_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeQueueService(const ServiceParts& parts, Doorkeeper* door) {
  return std::make_unique<QueueServiceImpl>(parts, door);
}

}  // namespace reeve
