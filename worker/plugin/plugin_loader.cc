#include "worker/plugin/plugin_loader.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/input_key.h"
#include "base/strings.h"
#include "worker/sdk/plugin.h"
#include "worker/sdk/verdict.h"

// What C sees as a task.
struct reeve_task {
  reeve::TaskContext* context;
  std::optional<absl::StatusOr<std::string>> answer;
  std::string last_error, scratch;
};

// What C sees as the registrar.
struct reeve_registrar {
  reeve::HandlerRegistry* registry;
  std::string refused;  // The first name that was none.
};

namespace reeve {
namespace {

bool IsHandlerName(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

extern const reeve_host kHost;

ThreadHandler Wrapped(const reeve_handler& handler) {
  return [run = handler.run, state = handler.state](
             TaskContext& context, std::string_view input) -> absl::StatusOr<std::string> {
    reeve_task task{&context, std::nullopt, "", ""};
    run(state, &kHost, &task, input.data(), input.size());
    if (!task.answer.has_value())
      return absl::InternalError("the plug-in's handler returned without an answer");
    return *std::move(task.answer);
  };
}

int AddHandler(reeve_registrar* registrar, const reeve_handler* handler) {
  if (handler->name == nullptr || handler->run == nullptr || !IsHandlerName(handler->name)) {
    if (registrar->refused.empty())
      registrar->refused = handler->name == nullptr ? "(none)" : handler->name;
    return 1;
  }
  HandlerOptions options;
  if (handler->isolated != 0) options.isolation = Isolation::kProcess;
  registrar->registry->Add(handler->name, Wrapped(*handler), options);
  return 0;
}

const char* Param(reeve_task* task, const char* name, size_t* size) {
  const std::string_view value = task->context->param(name);
  *size = value.size();
  return value.empty() ? "" : value.data();
}

int64_t Deadline(const reeve_task* task) {
  const absl::Time deadline = task->context->deadline();
  return deadline == absl::InfiniteFuture() ? INT64_MAX : absl::ToUnixMicros(deadline);
}

void Succeed(reeve_task* task, const char* output, size_t size) {
  if (!task->answer.has_value()) task->answer.emplace(std::string(output, size));
}

void Fail(reeve_task* task, int kind, const char* message, size_t size) {
  if (task->answer.has_value()) return;
  const absl::string_view text(message, size);
  switch (kind) {
    case REEVE_BAD_INPUT: task->answer.emplace(absl::InvalidArgumentError(text)); return;
    case REEVE_PERMANENT: task->answer.emplace(Permanent(absl::UnknownError(text))); return;
    default: task->answer.emplace(absl::UnknownError(text)); return;
  }
}

void FailForNow(reeve_task* task, uint64_t milliseconds, const char* message, size_t size) {
  constexpr uint64_t kYearMs = uint64_t{365} * 86'400'000;
  const absl::Duration wait =
      absl::Milliseconds(static_cast<int64_t>(std::min(milliseconds, kYearMs)));
  if (!task->answer.has_value()) task->answer.emplace(AgainAfter(wait, {message, size}));
}

int Told(reeve_task* task, const absl::Status& status) {
  if (!status.ok()) task->last_error = std::string(status.message());
  return status.ok() ? 0 : 1;
}

int AddInput(reeve_task* task, const unsigned char* key, const char* input, size_t size) {
  const InputKey parsed = KeyFromBytes({reinterpret_cast<const char*>(key), kInputKeyBytes});
  return Told(task, task->context->AddInput(parsed, {input, size}));
}

const char* ScratchFolder(reeve_task* task) {
  const auto folder = task->context->ScratchFolder();
  if (Told(task, folder.status()) != 0) return nullptr;
  task->scratch = *folder;
  return task->scratch.c_str();
}

const char* Details(const reeve_task* task, size_t* size) {
  const std::string_view details = task->context->details();
  *size = details.size();
  return details.empty() ? "" : details.data();
}

const char* PredecessorResult(const reeve_task* task, const char* name, uint32_t index,
                              size_t* size) {
  const auto result = task->context->predecessor_result(name, index);
  *size = result.has_value() ? result->size() : 0;
  if (!result.has_value()) return nullptr;
  return result->empty() ? "" : result->data();
}

const reeve_host kHost = {
    .size = sizeof(reeve_host),
    .add_handler = AddHandler,
    .job = [](const reeve_task* task) { return task->context->job().value; },
    .index = [](const reeve_task* task) -> uint32_t { return task->context->index(); },
    .attempt = [](const reeve_task* task) { return task->context->attempt(); },
    .param = Param,
    .deadline = Deadline,
    .cancelled = [](const reeve_task* task) { return task->context->cancelled() ? 1 : 0; },
    .sleep =
        [](reeve_task* task, uint64_t microseconds) {
          constexpr uint64_t kYear = uint64_t{365} * 86'400 * 1'000'000;
          const auto whole = static_cast<int64_t>(std::min(microseconds, kYear));
          return task->context->Sleep(absl::Microseconds(whole)) ? 0 : 1;
        },
    .succeed = Succeed,
    .fail = Fail,
    .add_input = AddInput,
    .last_error = [](const reeve_task* task) { return task->last_error.c_str(); },
    .count = [](reeve_task* task, const char* counter,
                int64_t by) { return Told(task, task->context->Count(counter, by)); },
    .log =
        [](reeve_task* task, const char* line, size_t size) {
          task->context->Log({line, size});
        },
    .progress =
        [](reeve_task* task, double done, const char* note) {
          task->context->Progress(done, note == nullptr ? "" : note);
        },
    .scratch_folder = ScratchFolder,
    .again_after = FailForNow,
    .details = Details,
    .keep_details =
        [](reeve_task* task, const char* details, size_t size) {
          return Told(task, task->context->KeepDetails({details, size}));
        },
    .predecessor_result = PredecessorResult,
    .discarded = [](const reeve_task* task) { return task->context->discarded() ? 1 : 0; },
};

template <typename Function>
Function* Symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

}  // namespace

absl::Status LoadPlugin(const std::string& path, HandlerRegistry* registry) {
  const auto bad = [&path](const auto&... why) {
    return absl::InvalidArgumentError(StrCat("--plugin ", path, ": ", why...));
  };
  // A bare name would be looked for in the system's folders.
  char whole[PATH_MAX];
  if (realpath(path.c_str(), whole) == nullptr) return bad(strerror(errno));
  void* library = dlopen(whole, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return bad(dlerror());
  auto* abi = Symbol<uint32_t()>(library, "reeve_plugin_abi");
  auto* add = Symbol<int(const reeve_host*, reeve_registrar*)>(library, "reeve_plugin_register");
  if (abi == nullptr || add == nullptr)
    return bad("is no plug-in: it defines no reeve_plugin_abi or no reeve_plugin_register");
  if (abi() != REEVE_PLUGIN_ABI)
    return bad("was built for version ", abi(), " of the boundary, this worker has ",
               REEVE_PLUGIN_ABI);
  reeve_registrar registrar{registry, ""};
  const int code = add(&kHost, &registrar);
  if (!registrar.refused.empty())
    return bad("`", registrar.refused, "` is no name for a handler: [a-z0-9_-]{1,64}");
  if (code != 0) return bad("its registration failed");
  return absl::OkStatus();
}

}  // namespace reeve
