#include "master/service/validate_command.h"

#include <set>
#include <string>

#include "base/error.h"
#include "base/secret_name.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr size_t kMaxCommandBytes = 1u << 20;
constexpr size_t kMaxStdinBytes = 1u << 20;

absl::Status Bad(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", message);
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

}  // namespace

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

}  // namespace reeve
