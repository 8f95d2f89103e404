#include "worker/lanes/command_setup.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/result_batch.h"
#include "base/secret_name.h"
#include "base/strings.h"
#include "worker/lanes/secrets_folder.h"
#include "worker/supervisor/command_basics.h"

namespace reeve {
namespace {

// Hidden, because the scratch folder is the working directory of most commands.
std::string ResultFileOf(const std::string& scratch) { return StrCat(scratch, "/", kResultFile); }

// As select(2) can take; a program that needs more raises it itself, if nobody set one.
constexpr uint64_t kUsualOpenFiles = 1024;

// The lower one; 0: none.
uint64_t Lower(uint64_t a, uint64_t b) { return a == 0 || b == 0 ? a + b : std::min(a, b); }

std::vector<ResourceLimit> LimitsOf(const CommandSpec::Limits& wanted,
                                    const CommandSpec::Limits& most) {
  std::vector<ResourceLimit> limits = {{RLIMIT_CORE, wanted.core_bytes, wanted.core_bytes}};
  // A second to act on SIGXCPU.
  if (const uint64_t cpu = Lower(wanted.cpu_seconds, most.cpu_seconds); cpu > 0)
    limits.push_back({RLIMIT_CPU, cpu, cpu + 1});
  if (wanted.open_files == 0 && most.open_files == 0)
    limits.push_back({RLIMIT_NOFILE, kUsualOpenFiles, RLIM_INFINITY});
  for (const auto& [resource, value] :
       {std::pair<int, uint64_t>{RLIMIT_AS, Lower(wanted.memory_bytes, most.memory_bytes)},
        {RLIMIT_FSIZE, Lower(wanted.file_size_bytes, most.file_size_bytes)},
        {RLIMIT_NOFILE, Lower(wanted.open_files, most.open_files)},
        {RLIMIT_NPROC, Lower(wanted.processes, most.processes)}}) {
    if (value > 0) limits.push_back({resource, value, value});
  }
  return limits;
}

absl::StatusOr<std::vector<std::string>> ArgvOf(const CommandSpec& command, const Template& words,
                                                TaskIndex index, std::string_view input) {
  std::vector<std::string> argv;
  if (command.input_mode == CommandSpec::InputMode::kArgv) {
    auto split = SplitArgv(input);
    if (!split.ok()) return split.status();
    argv = std::move(*split);
  } else {
    auto expanded = words.Expand(input, index);
    if (!expanded.ok()) return expanded.status();
    argv = std::move(*expanded);
  }
  if (command.shell)
    return std::vector<std::string>{"/bin/sh", "-c", argv.empty() ? "" : argv.front()};
  if (argv.empty() || argv.front().empty())
    return absl::InvalidArgumentError("the command is empty");
  return argv;
}

std::vector<std::string> EnvironmentOf(const LaneSpan& span, TaskIndex index,
                                       const std::string& scratch, const std::string& results) {
  static const std::vector<std::string> inherited = InheritedEnvironment();
  const JobContext& job = *span.job;
  std::vector<std::string> environment;
  for (const std::string& variable : inherited) {
    if (!job.command.environment.contains(variable.substr(0, variable.find('='))))
      environment.push_back(variable);
  }
  for (const auto& [name, value] : job.command.environment)
    environment.push_back(StrCat(name, "=", value));
  environment.push_back(StrCat("REEVE_JOB_ID=", job.job.value));
  environment.push_back(StrCat("REEVE_TASK_INDEX=", index));
  environment.push_back(StrCat("REEVE_ATTEMPT=", span.attempt));
  environment.push_back(StrCat("REEVE_SCRATCH_DIR=", scratch));
  environment.push_back(StrCat("REEVE_RESULT_FILE=", ResultFileOf(scratch)));
  environment.push_back(StrCat("REEVE_PROGRESS_FD=", kProgressFd));
  if (!results.empty()) environment.push_back(StrCat("REEVE_RESULTS_DIR=", results));
  if (!span.details.empty() && span.details.find('\0') == std::string::npos)
    environment.push_back(StrCat("REEVE_DETAILS=", span.details));
  if (job.is_array) {
    environment.push_back(StrCat("REEVE_ARRAY_VALUE=",
                                 job.array_start + static_cast<int64_t>(index) * job.array_step));
  }
  return environment;
}

absl::Status AddSecrets(const JobContext& job, const SecretsFolder* secrets,
                        std::vector<std::string>* environment) {
  static const SecretsFolder none;
  for (const std::string& name : job.secrets) {
    const auto path = (secrets == nullptr ? none : *secrets).PathOf(name);
    if (!path.ok()) return path.status();
    environment->push_back(StrCat(SecretVariable(name), "=", *path));
  }
  return absl::OkStatus();
}

}  // namespace

Template TemplateOf(const CommandSpec& command) {
  return Template(command.argv, {.json = command.input_mode == CommandSpec::InputMode::kJson,
                                 .shell = command.shell});
}

absl::StatusOr<SpawnRequest> MakeSpawnRequest(const LaneSpan& span, const Template& words,
                                              TaskIndex index, std::string_view input,
                                              const std::string& scratch,
                                              const CommandSpec::Limits& most,
                                              const SecretsFolder* secrets,
                                              const std::string& results) {
  const CommandSpec& command = span.job->command;
  auto argv = ArgvOf(command, words, index, input);
  if (!argv.ok()) return argv.status();
  SpawnRequest request;
  request.argv = *std::move(argv);
  request.environment = EnvironmentOf(span, index, scratch, results);
  if (absl::Status s = AddSecrets(*span.job, secrets, &request.environment); !s.ok()) return s;
  request.working_directory =
      command.working_directory.empty() ? scratch : command.working_directory;
  request.limits = LimitsOf(command.limits, most);
  request.exclusive = span.job->exclusive;
  return request;
}

absl::StatusOr<std::string> ReadResultFile(int fd) {
  if (fd < 0 && errno == ENOENT) return "";
  struct stat found {};
  if (fd < 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
    const std::string why = fd < 0 ? strerror(errno) : "it is no regular file";
    if (fd >= 0) close(fd);
    return absl::FailedPreconditionError(StrCat("cannot read the result file: ", why));
  }
  if (found.st_size > kMaxPayloadBytes) {
    close(fd);
    return absl::ResourceExhaustedError(StrCat("the result file has ", found.st_size,
                                               " bytes, at most ", kMaxPayloadBytes, " are kept"));
  }
  std::string content(static_cast<size_t>(found.st_size), '\0');
  size_t size = 0;
  for (ssize_t n; size < content.size(); size += static_cast<size_t>(n)) {
    n = read(fd, content.data() + size, content.size() - size);
    if (n <= 0) break;
  }
  close(fd);
  content.resize(size);
  return content;
}

}  // namespace reeve
