#include "master/service/validate.h"

#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/input_batch.h"
#include "base/strings.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "master/service/task_keys.h"
#include "master/service/validate_command.h"
#include "master/service/validate_extras.h"
#include "reeve/store/v1/store.pb.h"
#include "xxhash.h"

namespace reeve {
namespace {

constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxParams = 1000;
constexpr size_t kMaxParamBytes = 64u << 10;
constexpr uint32_t kDefaultAttempts = 3;
constexpr uint32_t kDefaultMaxTasks = 1'000'000;
constexpr size_t kMaxScheduledBytes = 1u << 20;
constexpr int kMaxJobsOfList = 1'000;
constexpr size_t kMaxListIdBytes = 58;  // Each job of a list has one of its own, made from it.

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
}

bool Printable(std::string_view s) {
  for (const char c : s) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

// What google.protobuf.Duration can say: a job with another could not be shown as JSON.
bool IsTimeLimit(const google::protobuf::Duration& limit) {
  return limit.seconds() >= 0 && limit.seconds() <= 315'576'000'000 && limit.nanos() >= 0 &&
         limit.nanos() <= 999'999'999 && (limit.seconds() > 0 || limit.nanos() > 0);
}

bool IsHandlerName(std::string_view s) {
  for (const char c : s) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!word) return false;
  }
  return !s.empty() && s.size() <= 64;
}

absl::Status CheckSpec(v1::JobSpec* spec) {
  if (spec->name().size() > kMaxNameBytes) return Bad("spec.name: at most 200 bytes");
  if (!IsHandlerName(spec->handler())) {
    return Bad("spec.handler: 1 to 64 characters of a-z, 0-9, `_` and `-`");
  }
  const bool exec = spec->handler() == "exec";
  if (exec != spec->has_command()) {
    return Bad(exec ? "spec.command: required for the handler `exec`"
                    : "spec.command: only for the handler `exec`");
  }
  if (exec) {
    if (absl::Status s = CheckCommand(spec->command()); !s.ok()) return s;
  }
  if (absl::Status s = CheckSecrets(*spec); !s.ok()) return s;
  if (spec->params_size() > static_cast<int>(kMaxParams)) return Bad("spec.params: at most 1,000");
  for (const auto& [name, value] : spec->params()) {
    if (name.empty() || name.size() + value.size() > kMaxParamBytes) {
      return Bad("spec.params: a name is empty, or name and value are over 64 KiB");
    }
  }
  if (spec->at_most_once() && spec->max_attempts() > 1)
    return Bad("spec.at_most_once: a task has one attempt, max_attempts must be 1");
  if (spec->exclusive() && !exec)
    return Bad("spec.exclusive: for the handler `exec` only; a thread cannot be killed");
  if (spec->exclusive() && spec->durability() == v1::JobSpec::EPHEMERAL)
    return Bad(
        "spec.exclusive: not with EPHEMERAL, which a master forgets while commands still run");
  if (spec->handler() == "crawl") spec->set_accepts_new_inputs(true);  // The links it finds.
  if (spec->max_tasks() > 0 && !spec->accepts_new_inputs())
    return Bad("spec.max_tasks: only with accepts_new_inputs");
  if (spec->max_tasks() > kMaxTasksPerJob) return Bad("spec.max_tasks: 1 to 100,000,000");
  if (spec->accepts_new_inputs() && spec->max_tasks() == 0) spec->set_max_tasks(kDefaultMaxTasks);
  if (spec->max_attempts() == 0 && spec->at_most_once()) spec->set_max_attempts(1);
  if (spec->max_attempts() == 0) spec->set_max_attempts(exec ? 1 : kDefaultAttempts);
  if (spec->max_attempts() > 1000) return Bad("spec.max_attempts: 1 to 1,000");
  if (spec->has_time_limit() && !IsTimeLimit(spec->time_limit())) {
    return Bad("spec.time_limit: must be positive, and at most 10,000 years");
  }
  if (spec->priority() < 0 || spec->priority() > kHighestPriority)
    return Bad("spec.priority: 0 to 9");
  if (!v1::JobSpec::Durability_IsValid(spec->durability()))
    return Bad("spec.durability: unknown value");
  if (spec->durability() == v1::JobSpec::DURABILITY_UNSPECIFIED)
    spec->set_durability(v1::JobSpec::DURABLE);
  if (spec->shared_input().size() > kMaxPayloadBytes) {
    return MakeError(absl::StatusCode::kInvalidArgument, "INPUT_TOO_LARGE",
                     "spec.shared_input: at most 3 MiB");
  }
  return absl::OkStatus();
}

uint64_t HashOf(const google::protobuf::Message& request) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

absl::Status TakeTasks(v1::CreateJobRequest* request, CreateJob* event) {
  if (request->has_array()) {
    v1::ArraySpec* array = request->mutable_array();
    if (request->open()) return Bad("open: not with an array");
    if (request->spec().accepts_new_inputs())
      return Bad("spec.accepts_new_inputs: not with an array");
    if (request->spec().has_task_key()) return Bad("spec.task_key: not with an array");
    if (array->step() == 0) array->set_step(1);
    if (array->count() == 0) return Bad("array.count: at least 1");
    if (array->count() > kMaxTasksPerJob) {
      return MakeError(absl::StatusCode::kInvalidArgument, "TOO_MANY_TASKS",
                       "array.count: at most 100,000,000");
    }
    int64_t last = 0;
    if (__builtin_mul_overflow(array->step(), int64_t{array->count()} - 1, &last) ||
        __builtin_add_overflow(array->start(), last, &last)) {
      return Bad("array: the last value does not fit 64 bits");
    }
    event->array_count = array->count();
    return absl::OkStatus();
  }
  if (request->spec().has_shared_input()) return Bad("spec.shared_input: only with an array");
  if (!request->has_batch())
    return request->open() ? absl::OkStatus()
                           : Bad("tasks: give `array` or `batch`, or set `open`");
  auto batch = InputBatch::Parse(Buffer(request->batch().SerializeAsString()));
  if (!batch.ok()) return batch.status();
  if ((*batch)->count() == 0) return Bad("batch.task_count: at least 1");
  if ((*batch)->has_keys() && !request->spec().accepts_new_inputs())
    return Bad("batch.keys: only with spec.accepts_new_inputs");
  event->keys = (*batch)->Keys();
  if (request->spec().has_task_key())
    event->task_keys = TaskKeysOf(**batch, request->spec().task_key().path());
  event->input_count = (*batch)->count();
  event->input_bytes = (*batch)->payload_bytes();
  event->inputs = std::move(*batch);
  return absl::OkStatus();
}

// The event of a job, without call, request id and hash. `take_tasks` false: they are another
// job's.
absl::StatusOr<CreateJob> EventOf(v1::CreateJobRequest request, const SpecUse& use,
                                  const std::string& owner, bool take_tasks = true) {
  CreateJob event;
  if (!request.has_spec()) return Bad("spec: required");
  v1::JobSpec* spec = request.mutable_spec();
  if (absl::Status s = CheckSpec(spec); !s.ok()) return s;
  if (absl::Status s = TakeExtras(*spec, use, &event.options); !s.ok()) return s;
  if (take_tasks) {
    spec->clear_retry_of();
    spec->clear_schedule();
    if (!use.schedule.empty()) spec->set_schedule(use.schedule);
    if (absl::Status s = TakeTasks(&request, &event); !s.ok()) return s;
  }
  event.open = request.open();
  event.hold = spec->hold();
  event.options.owner = owner;
  event.options.handler = spec->handler();
  event.options.max_attempts = spec->max_attempts();
  event.options.max_in_flight = spec->max_in_flight();
  event.options.priority = spec->has_priority() ? spec->priority() : kDefaultPriority;
  event.options.at_most_once = spec->at_most_once();
  event.options.exclusive = spec->exclusive();
  event.options.accepts_inputs = spec->accepts_new_inputs();
  event.options.max_tasks = spec->max_tasks();
  event.options.ephemeral = spec->durability() == v1::JobSpec::EPHEMERAL;
  store::v1::JobRecord record;
  if (request.has_array()) *record.mutable_array() = request.array();
  *record.mutable_spec() = std::move(*spec);
  record.set_create_time_us(absl::ToUnixMicros(use.now));
  record.set_owner(owner);
  record.set_place(use.place);
  event.record = Buffer(record.SerializeAsString());
  return event;
}

}  // namespace

std::string RequestIdOf(const std::string& owner, const std::string& id) {
  return owner.empty() ? id : StrCat(owner, "\n", id);
}

absl::Status ValidateRequestId(std::string_view id) {
  if (id.empty() || id.size() > 64 || !Printable(id))
    return Bad("request_id: 1 to 64 printable ASCII characters");
  return absl::OkStatus();
}

absl::Status ValidateAppender(std::string_view id) {
  if (id.empty() || id.size() > 64 || !Printable(id))
    return Bad("appender_id: 1 to 64 printable ASCII characters");
  return absl::OkStatus();
}

absl::StatusOr<CreateJob> ValidateCreateJob(v1::CreateJobRequest request, absl::Time now,
                                            const std::string& owner) {
  if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok()) return s;
  const std::string id = RequestIdOf(owner, request.request_id());
  request.clear_request_id();
  const uint64_t hash = HashOf(request);
  const bool is_open = request.open();
  auto event = EventOf(std::move(request), {.now = now, .is_open = is_open}, owner);
  if (!event.ok()) return event;
  event->request_id = id;
  event->content_hash = hash;
  return event;
}

absl::StatusOr<CreateJobs> ValidateCreateJobs(v1::CreateJobsRequest request, absl::Time now,
                                              const std::string& owner) {
  if (absl::Status s = ValidateRequestId(request.request_id()); !s.ok()) return s;
  if (request.request_id().size() > kMaxListIdBytes)
    return Bad("request_id: 1 to 58 printable ASCII characters");
  if (request.jobs().empty() || request.jobs_size() > kMaxJobsOfList)
    return Bad("jobs: 1 to 1,000");
  CreateJobs list;
  list.request_id = RequestIdOf(owner, request.request_id());
  request.clear_request_id();
  list.content_hash = HashOf(request);
  for (v1::CreateJobRequest& job : *request.mutable_jobs()) {
    const auto place = static_cast<uint32_t>(list.jobs.size() + 1);
    const bool is_open = job.open();
    const bool has_id = !job.request_id().empty();
    auto event =
        has_id ? Bad("request_id: that of the list counts")
               : EventOf(std::move(job), {.now = now, .is_open = is_open, .place = place}, owner);
    if (!event.ok()) {
      return MakeError(event.status().code(), ErrorReason(event.status()),
                       StrCat("jobs[", place - 1, "]: ", ToStd(event.status().message())));
    }
    list.jobs.push_back(*std::move(event));
  }
  return list;
}

absl::StatusOr<CreateJob> ValidateRetry(const v1::RetryJobRequest& request,
                                        const store::v1::JobRecord& other, absl::Time now,
                                        const std::string& owner) {
  v1::CreateJobRequest again;
  *again.mutable_spec() = other.spec();
  if (other.has_array()) *again.mutable_array() = other.array();
  v1::JobSpec* spec = again.mutable_spec();
  // What belonged to the other one's beginning.
  spec->clear_after();
  spec->clear_if_unmet();
  spec->clear_start_time();
  spec->clear_delay();
  spec->clear_expire_time();
  spec->clear_close_when_idle();
  spec->clear_hold();
  spec->clear_schedule();
  spec->set_retry_of(request.job_id());
  // Older masters knew others.
  if (spec->has_priority() && (spec->priority() < 0 || spec->priority() > kHighestPriority))
    spec->clear_priority();
  auto event = EventOf(std::move(again), {.now = now}, owner, false);
  if (!event.ok()) return event;
  event->request_id = RequestIdOf(owner, request.request_id());
  v1::RetryJobRequest content = request;
  content.clear_request_id();
  event->content_hash = ~HashOf(content);  // Never that of a CreateJobRequest of the same bytes.
  auto extras = event->options.extras == nullptr ? JobExtras() : *event->options.extras;
  extras.retry_of = JobId(request.job_id());
  event->options.extras = std::make_shared<const JobExtras>(std::move(extras));
  return event;
}

absl::StatusOr<CreateJob> ValidateScheduledJob(v1::CreateJobRequest request,
                                               const std::string& schedule,
                                               const std::string& owner) {
  if (request.ByteSizeLong() > kMaxScheduledBytes)
    return Bad("schedule.spec: at most 1 MiB, its tasks included");
  return EventOf(std::move(request), {.now = absl::UnixEpoch(), .schedule = schedule}, owner);
}

uint64_t ContentHash(const google::protobuf::Message& request) { return HashOf(request); }

}  // namespace reeve
