#include "master/service/validate.h"

#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/input_batch.h"
#include "base/secret_name.h"
#include "base/strings.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "reeve/store/v1/store.pb.h"
#include "xxhash.h"

namespace reeve {
namespace {

constexpr size_t kMaxCommandBytes = 1u << 20;
constexpr size_t kMaxStdinBytes = 1u << 20;
constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxParams = 1000;
constexpr size_t kMaxParamBytes = 64u << 10;
constexpr uint32_t kDefaultAttempts = 3;
constexpr uint32_t kDefaultMaxTasks = 1'000'000;

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

absl::Status CheckLimit(std::string_view field, uint64_t value, uint64_t least, uint64_t most) {
  if (value == 0 || (value >= least && value <= most)) return absl::OkStatus();
  return Bad(StrCat("spec.command.limits.", field, ": ", least, " to ", most));
}

absl::Status CheckLimits(const v1::CommandLimits& limits) {
  constexpr uint64_t kMiB = 1u << 20, kMost = 1ull << 60;
  for (const absl::Status& status :
       {CheckLimit("cpu_seconds", limits.cpu_seconds(), 1, 31'536'000),
        CheckLimit("memory_bytes", limits.memory_bytes(), 4 * kMiB, kMiB << 30),
        CheckLimit("file_size_bytes", limits.file_size_bytes(), 1, kMost),
        CheckLimit("open_files", limits.open_files(), 4, kMiB),
        CheckLimit("processes", limits.processes(), 1, 4 * kMiB),
        CheckLimit("core_bytes", limits.core_bytes(), 1, kMost)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckCommand(const v1::Command& command) {
  size_t bytes = 0;
  for (const std::string& argument : command.argv()) {
    if (argument.find('\0') != std::string::npos)
      return Bad("spec.command.argv: an argument holds a NUL byte");
    bytes += argument.size() + 1;
  }
  if (bytes > kMaxCommandBytes) return Bad("spec.command.argv: at most 1 MiB in all");
  const bool argv_mode = command.input_mode() == v1::Command::ARGV;
  if (!argv_mode && (command.argv().empty() || command.argv(0).empty())) {
    return Bad("spec.command.argv: the command is empty");
  }
  if (command.shell() && command.argv_size() != 1)
    return Bad("spec.command.argv: with `shell` it is one script");
  if (command.stdin().size() > kMaxStdinBytes) return Bad("spec.command.stdin: at most 1 MiB");
  if (!command.stdin().empty() && command.stdin_from_input()) {
    return Bad("spec.command: `stdin` and `stdin_from_input` exclude each other");
  }
  if (!v1::Command::InputMode_IsValid(command.input_mode()))
    return Bad("spec.command.input_mode: unknown value");
  if (command.working_directory().find('\0') != std::string::npos)
    return Bad("spec.command.working_directory: holds a NUL byte");
  for (const auto& [name, value] : command.environment()) {
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos || value.find('\0') != std::string::npos) {
      return Bad(StrCat("spec.command.environment: `", name, "` is not a variable"));
    }
  }
  return CheckLimits(command.limits());
}

absl::Status CheckSecrets(const v1::JobSpec& spec) {
  if (spec.secrets().empty()) return absl::OkStatus();
  if (spec.handler() != "exec") return Bad("spec.secrets: only for the handler `exec`");
  if (spec.secrets_size() > kMaxSecretsOfJob) return Bad("spec.secrets: at most 32");
  std::set<std::string> variables;
  for (const std::string& name : spec.secrets()) {
    if (!IsSecretName(name)) {
      return Bad("spec.secrets: a name is 1 to 128 characters of A-Z, a-z, 0-9, `.`, `_` and `-`");
    }
    if (!variables.insert(SecretVariable(name)).second)
      return Bad(StrCat("spec.secrets: two give the variable ", SecretVariable(name)));
  }
  return absl::OkStatus();
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
  if (spec->priority() < -100 || spec->priority() > 100) return Bad("spec.priority: -100 to 100");
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

uint64_t ContentHash(const v1::CreateJobRequest& request) {
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
  event->input_count = (*batch)->count();
  event->input_bytes = (*batch)->payload_bytes();
  event->inputs = std::move(*batch);
  return absl::OkStatus();
}

}  // namespace

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
  CreateJob event;
  event.request_id = request.request_id();
  if (absl::Status s = ValidateRequestId(event.request_id); !s.ok()) return s;
  // No printable id can be another principal's.
  if (!owner.empty()) event.request_id = StrCat(owner, "\n", event.request_id);
  request.clear_request_id();
  event.content_hash = ContentHash(request);
  if (!request.has_spec()) return Bad("spec: required");
  if (absl::Status s = CheckSpec(request.mutable_spec()); !s.ok()) return s;
  if (absl::Status s = TakeTasks(&request, &event); !s.ok()) return s;
  const v1::JobSpec& spec = request.spec();
  event.open = request.open();
  event.options.owner = owner;
  event.options.handler = spec.handler();
  event.options.max_attempts = spec.max_attempts();
  event.options.max_in_flight = spec.max_in_flight();
  event.options.priority = spec.priority();
  event.options.at_most_once = spec.at_most_once();
  event.options.exclusive = spec.exclusive();
  event.options.accepts_inputs = spec.accepts_new_inputs();
  event.options.max_tasks = spec.max_tasks();
  event.options.ephemeral = spec.durability() == v1::JobSpec::EPHEMERAL;
  store::v1::JobRecord record;
  if (request.has_array()) *record.mutable_array() = request.array();
  *record.mutable_spec() = std::move(*request.mutable_spec());
  record.set_create_time_us(absl::ToUnixMicros(now));
  record.set_owner(owner);
  event.record = Buffer(record.SerializeAsString());
  return event;
}

}  // namespace reeve
