#include "master/service/append_stream.h"

#include <deque>
#include <utility>

#include "base/error.h"
#include "base/input_batch.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/wire.h"
#include "grpcpp/alarm.h"
#include "master/service/convert.h"
#include "master/service/task_keys.h"
#include "master/service/validate.h"
#include "master/store/job_record.h"
#include "reeve/v1/services.pb.h"

namespace reeve {
namespace {

// Messages read and not yet committed.
constexpr uint32_t kMaxUnanswered = 64;
constexpr uint64_t kMaxUnansweredBytes = 8u << 20;
constexpr int kRetryMs = 5;

// The fields of AppendTasksRequest that are not the batch.
struct Envelope {
  uint64_t offset = 0;
  uint64_t job = 0;
  std::string appender;
};

absl::StatusOr<Envelope> ParseEnvelope(std::string_view bytes) {
  Envelope envelope;
  wire::Reader reader(bytes);
  while (reader.Next()) {
    std::string_view name;
    switch (reader.field()) {
      case 8: reader.Varint(&envelope.offset); break;
      case 9: reader.Varint(&envelope.job); break;
      case 10:
        reader.Bytes(&name);
        envelope.appender = std::string(name);
        break;
      default: reader.Skip();
    }
  }
  if (!reader.ok())
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                     "not an AppendTasksRequest");
  return envelope;
}

class AppendStream final : public RawBidiReactor,
                           public std::enable_shared_from_this<AppendStream> {
 public:
  AppendStream(const ServiceParts& parts, Guest guest) : parts_(parts), guest_(std::move(guest)) {}

  void Begin() {
    self_ = shared_from_this();
    call_ =
        parts_.hub->ExpectMany([self = self_](Reply reply) { self->OnReply(std::move(reply)); });
    StartRead(&incoming_);
  }
  void BeginRefused(const absl::Status& status) {
    self_ = shared_from_this();
    MutexLock lock(&mu_);
    End(status);
  }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override {
    MutexLock lock(&mu_);
    if (!writing_) End(absl::CancelledError("the client went away"));
  }
  void OnDone() override {
    {
      MutexLock lock(&mu_);  // Whether the job may be had is perhaps just being answered.
      guest_.End();
    }
    if (call_) {
      parts_.hub->Forget(call_);
      (void)parts_.loop->PostApi(CloseAppender{call_}, 0);
    }
    const std::shared_ptr<AppendStream> last = std::move(self_);
  }

 private:
  void OnReply(Reply reply);
  // The job has ended: what this appender has committed is in the store.
  void FindOffset(StoreKind store) ABSL_LOCKS_EXCLUDED(mu_);
  void RefuseEnded(const absl::StatusOr<uint64_t>& offset) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Accept(Buffer bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Post() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ReadMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the stream with `status` once what was accepted is answered.
  void Refuse(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    refused_ = true;
    verdict_ = status;
    Pump();
  }
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (std::exchange(finished_, true)) return;
    Finish(ToGrpc(status));
  }

  const ServiceParts parts_;
  std::shared_ptr<AppendStream> self_;
  CallId call_;
  grpc::ByteBuffer incoming_, outgoing_;

  Mutex mu_;
  Guest guest_ ABSL_GUARDED_BY(mu_);
  bool opened_ ABSL_GUARDED_BY(mu_) = false;
  std::string key_path_ ABSL_GUARDED_BY(mu_);  // Of the job's TaskKey; empty: it has none.
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  // Parsed, and the loop had no room for it yet.
  std::optional<Event> waiting_ ABSL_GUARDED_BY(mu_);
  uint64_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool is_charged_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Alarm alarm_;
  std::deque<uint64_t> unanswered_ ABSL_GUARDED_BY(mu_);  // Bytes of each.
  uint64_t unanswered_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::string> answers_ ABSL_GUARDED_BY(mu_);
  absl::Status verdict_ ABSL_GUARDED_BY(mu_);
  bool refused_ ABSL_GUARDED_BY(mu_) = false;
};

absl::Status AppendStream::Accept(Buffer bytes) {
  auto envelope = ParseEnvelope(bytes.view());
  if (!envelope.ok()) return envelope.status();
  if (!opened_) {
    if (absl::Status s = ValidateAppender(envelope->appender); !s.ok()) return s;
    const auto tasks = InputBatch::Parse(std::move(bytes));
    if (!tasks.ok()) return tasks.status();
    if ((*tasks)->count() > 0) {
      return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                       "task_count: the first message names job and appender and carries no tasks");
    }
    opened_ = true;
    waiting_bytes_ = 0;
    waiting_ = OpenAppender{call_, JobId(envelope->job), std::move(envelope->appender)};
    return absl::OkStatus();
  }
  auto batch = InputBatch::Parse(std::move(bytes));
  if (!batch.ok()) return batch.status();
  if ((*batch)->count() == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                     "task_count: at least 1 after the first message");
  }
  AppendTasks event;
  event.stream = call_;
  event.offset = envelope->offset;
  event.count = (*batch)->count();
  event.bytes = (*batch)->payload_bytes();
  event.keys = (*batch)->Keys();
  if (!key_path_.empty()) event.task_keys = TaskKeysOf(**batch, key_path_);
  waiting_bytes_ = (*batch)->wire().size();
  event.inputs = std::move(*batch);
  waiting_ = std::move(event);
  return absl::OkStatus();
}

void AppendStream::OnReadDone(bool ok) {
  JobId opening;
  {
    MutexLock lock(&mu_);
    reading_ = false;
    if (!ok) {
      half_closed_ = true;
      return Pump();
    }
    if (absl::Status s = Accept(ToBuffer(incoming_)); !s.ok()) return Refuse(s);
    const auto* open = std::get_if<OpenAppender>(&*waiting_);
    if (open == nullptr) return Post();
    opening = open->job;
  }
  CheckJob(parts_, opening, Wish::kControl, [self = self_, opening](absl::Status may) {
    {
      MutexLock lock(&self->mu_);
      self->guest_.Note(StrCat("job ", opening.value), may);
      if (!may.ok()) return self->Refuse(may);
    }
    FindJob(self->parts_, opening, nullptr, [self](const absl::StatusOr<FoundJob>& found) {
      if (found.ok() && !found->live) return self->FindOffset(found->store);
      MutexLock lock(&self->mu_);
      // One that cannot be found is refused by the scheduler, which says why.
      if (found.ok()) self->key_path_ = TaskKeyPathOf(found->job.view.record);
      self->Post();
    });
  });
}

void AppendStream::FindOffset(StoreKind store) {
  OpenAppender open;
  {
    MutexLock lock(&mu_);
    open = std::get<OpenAppender>(*waiting_);
  }
  const bool posted = parts_.reader->Post(store, [self = self_, open](StoreReader& reader) {
    self->RefuseEnded(reader.ReadAppender(open.job, open.appender));
  });
  if (!posted) RefuseEnded(absl::NotFoundError("too many reads wait"));
}

// Whoever comes again learns first that all it had was appended, if it was.
void AppendStream::RefuseEnded(const absl::StatusOr<uint64_t>& offset) {
  MutexLock lock(&mu_);
  const JobId job = std::get<OpenAppender>(*waiting_).job;
  waiting_.reset();
  if (offset.ok()) {
    v1::AppendTasksResponse response;
    response.set_committed_offset(*offset);
    answers_.push_back(response.SerializeAsString());
  }
  Refuse(MakeError(absl::StatusCode::kFailedPrecondition, "JOB_NOT_OPEN",
                   StrCat("job ", job.value, " has ended")));
}

void AppendStream::Post() {
  if (!waiting_.has_value() || finished_) return;
  // Who sends faster than it may is read more slowly.
  absl::Status posted = is_charged_ ? absl::OkStatus() : guest_.Charge(waiting_bytes_);
  is_charged_ = posted.ok();
  if (posted.ok()) {
    Event event = *waiting_;  // Kept: a refused post must be tried again.
    posted = parts_.loop->PostApi(std::move(event), waiting_bytes_);
  }
  if (absl::IsResourceExhausted(posted)) {
    alarm_.Set(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(kRetryMs, GPR_TIMESPAN)),
        // Moved out when it fires: an alarm keeps its callback, and with it would keep this for
        // ever.
        [self = self_](bool) mutable {
          const auto stream = std::move(self);
          MutexLock lock(&stream->mu_);
          stream->Post();
        });
    return;
  }
  waiting_.reset();
  is_charged_ = false;
  if (!posted.ok()) return Refuse(posted);
  unanswered_.push_back(waiting_bytes_);
  unanswered_bytes_ += waiting_bytes_;
  ReadMore();
}

void AppendStream::ReadMore() {
  if (reading_ || half_closed_ || finished_ || refused_ || waiting_.has_value()) return;
  if (unanswered_.size() >= kMaxUnanswered || unanswered_bytes_ >= kMaxUnansweredBytes) return;
  reading_ = true;
  StartRead(&incoming_);
}

void AppendStream::OnReply(Reply reply) {
  const AppendReply& append = std::get<AppendReply>(reply.body);
  MutexLock lock(&mu_);
  if (!append.status.ok()) return Refuse(append.status);
  if (!unanswered_.empty()) {
    unanswered_bytes_ -= unanswered_.front();
    unanswered_.pop_front();
  }
  v1::AppendTasksResponse response;
  response.set_committed_offset(append.committed_offset);
  response.set_first_index(append.run.first);
  response.set_task_count(append.run.count);
  answers_.push_back(response.SerializeAsString());
  ReadMore();
  Pump();
}

void AppendStream::Pump() {
  if (writing_ || finished_) return;
  if (!answers_.empty()) {
    outgoing_ = ToByteBuffer(std::move(answers_.front()), {});
    answers_.pop_front();
    writing_ = true;
    return StartWrite(&outgoing_);
  }
  if (refused_) return End(verdict_);
  if (half_closed_ && unanswered_.empty() && !waiting_.has_value()) End(absl::OkStatus());
}

void AppendStream::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  writing_ = false;
  if (!ok) return End(absl::CancelledError("the client went away"));
  Pump();
}

}  // namespace

RawBidiReactor* StartAppendStream(const ServiceParts& parts, Guest guest,
                                  const absl::Status& refused) {
  const auto stream = std::make_shared<AppendStream>(parts, std::move(guest));
  AppendStream* reactor = stream.get();
  if (refused.ok()) {
    reactor->Begin();
  } else {
    reactor->BeginRefused(refused);
  }
  return reactor;
}

}  // namespace reeve
