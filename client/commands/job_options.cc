#include "client/commands/job_options.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "absl/strings/match.h"
#include "base/json_text.h"
#include "base/replacement.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/command_limit.h"
#include "client/input/duration.h"

namespace reeve {
namespace {

constexpr std::string_view kReplacements[] = {"{}", "{.}", "{/}", "{//}", "{/.}", "{#}"};

bool IsCommand(const JobOptions& options) {
  return options.handler.empty() || options.handler == "exec";
}

std::string CurrentDirectory() {
  char path[PATH_MAX];
  return getcwd(path, sizeof(path)) == nullptr ? std::string() : std::string(path);
}

// NAME=VALUE pairs into a map of a message.
template <typename Map>
absl::Status AddPairs(std::string_view option, const std::vector<std::string>& pairs, bool may_copy,
                      Map* map) {
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    const std::string name = pair.substr(0, equals);
    if (!IsUtf8(pair)) return UsageError(StrCat(option, ": not UTF-8"));
    if (name.empty() || (equals == std::string::npos && !may_copy)) {
      return UsageError(StrCat(option, " '", pair, "': want NAME=VALUE"));
    }
    if (equals != std::string::npos) {
      (*map)[name] = pair.substr(equals + 1);
    } else if (const char* value = std::getenv(name.c_str()); value != nullptr) {
      if (!IsUtf8(value))
        return UsageError(StrCat(option, " '", name, "': its value is not UTF-8"));
      (*map)[name] = value;
    } else {
      return UsageError(StrCat(option, " '", name, "': not set here; give NAME=VALUE"));
    }
  }
  return absl::OkStatus();
}

// The words of the command, as given or as a script; with `{}` appended where the use asks for it.
absl::Status SetArgv(const JobOptions& options, InputUse use, v1::Command* command) {
  if (options.shell.has_value() && options.command.has_value()) {
    return UsageError("give either --shell or a command behind '--', not both");
  }
  const bool has_words = options.command.has_value() && !options.command->empty();
  if (options.shell.has_value() ? options.shell->empty() : !has_words) {
    return UsageError("the command is missing; options come first, then -- and the command");
  }
  if (options.shell.has_value()) {
    command->set_shell(true);
    command->add_argv(*options.shell);
  } else {
    for (const std::string& word : *options.command) command->add_argv(word);
    if (command->argv(0).empty()) return UsageError("the name of the program is empty");
  }
  if (use == InputUse::kNone || use == InputUse::kStdin) return absl::OkStatus();
  for (const std::string& word : command->argv()) {
    if (HasReplacement(word, use == InputUse::kRecord)) return absl::OkStatus();
  }
  if (command->shell()) {
    command->mutable_argv(0)->append(" {}");
  } else {
    command->add_argv("{}");
  }
  return absl::OkStatus();
}

// The API's texts are UTF-8. Bytes that are not can be inputs, and a command that takes none is its
// own input (see SingleInput): there, what the job shows of it is made readable.
absl::Status CheckArgv(InputUse use, v1::Command* command) {
  for (std::string& word : *command->mutable_argv()) {
    if (IsUtf8(word)) continue;
    if (use != InputUse::kNone) {
      return UsageError("the command is not UTF-8; give such bytes as inputs");
    }
    for (char& c : word) {
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
  }
  return absl::OkStatus();
}

absl::Status SetCommand(const JobOptions& options, InputUse use, const Address& master,
                        v1::Command* command) {
  if (const absl::Status status = SetArgv(options, use, command); !status.ok()) return status;
  if (const absl::Status status = CheckArgv(use, command); !status.ok()) return status;
  if (use == InputUse::kNone) {
    command->set_input_mode(v1::Command::ARGV);
  } else if (use != InputUse::kArgument) {
    command->set_input_mode(v1::Command::JSON);
  }
  command->set_stdin_from_input(use == InputUse::kStdin);
  // A master on loopback has its workers here: they can run where the client stands.
  if (!IsUtf8(options.workdir.value_or(""))) return UsageError("--workdir: not UTF-8");
  if (options.workdir.has_value()) {
    command->set_working_directory(*options.workdir);
  } else if (master.is_loopback()) {
    if (!IsUtf8(CurrentDirectory())) {
      return UsageError("the working directory's name is not UTF-8; give --workdir");
    }
    command->set_working_directory(CurrentDirectory());
  }
  for (const std::string& limit : options.limits) {
    if (const absl::Status s = AddCommandLimit(limit, command->mutable_limits()); !s.ok()) return s;
  }
  return AddPairs("--env", options.environment, true, command->mutable_environment());
}

absl::Status SetLimits(const JobOptions& options, v1::JobSpec* spec) {
  if (options.retries.has_value()) {
    spec->set_max_attempts(*options.retries + 1);
  }
  if (!options.time_limit.empty()) {
    const auto limit = ParseDurationOption("--time-limit", options.time_limit);
    if (!limit.ok()) return limit.status();
    const int64_t nanos = absl::ToInt64Nanoseconds(*limit);
    spec->mutable_time_limit()->set_seconds(nanos / 1'000'000'000);
    spec->mutable_time_limit()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  }
  if (options.durability == "ephemeral") {
    spec->set_durability(v1::JobSpec::EPHEMERAL);
  } else if (!options.durability.empty() && options.durability != "durable") {
    return UsageError(StrCat("--durability '", options.durability, "': durable or ephemeral"));
  }
  spec->set_priority(options.priority);
  spec->set_max_in_flight(options.max_in_flight);
  spec->set_accepts_new_inputs(options.max_tasks > 0);
  spec->set_max_tasks(options.max_tasks);
  spec->set_at_most_once(options.at_most_once);
  spec->set_exclusive(options.exclusive);
  return absl::OkStatus();
}

// Quoted for a shell if it needs it.
std::string Quoted(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(word);
  }
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

bool HasReplacement(std::string_view argument, bool is_record) {
  for (const std::string_view replacement : kReplacements) {
    if (argument.find(replacement) != std::string_view::npos) return true;
  }
  if (!is_record) return false;
  const size_t open = argument.find("{.");
  return open != std::string_view::npos && argument.find('}', open) != std::string_view::npos;
}

absl::StatusOr<v1::JobSpec> BuildJobSpec(const JobOptions& options, InputUse use,
                                         const Address& master) {
  for (const std::string* text : {&options.name, &options.handler}) {
    if (!IsUtf8(*text)) return UsageError("--name, --handler: not UTF-8");
  }
  v1::JobSpec spec;
  spec.set_name(options.name);
  spec.set_handler(IsCommand(options) ? "exec" : options.handler);
  if (IsCommand(options)) {
    const absl::Status status = SetCommand(options, use, master, spec.mutable_command());
    if (!status.ok()) return status;
  } else if (options.shell.has_value() || options.command.has_value()) {
    return UsageError(StrCat("the handler '", options.handler, "' takes no command"));
  } else if (!options.limits.empty()) {
    return UsageError("--limit: only for commands");
  } else if (!options.secrets.empty()) {
    return UsageError("--secret: only for commands");
  }
  for (const std::string& name : options.secrets) {
    if (!IsUtf8(name)) return UsageError("--secret: not UTF-8");
    spec.add_secrets(name);
  }
  if (const absl::Status status = SetLimits(options, &spec); !status.ok()) return status;
  const absl::Status status = AddPairs("--param", options.params, false, spec.mutable_params());
  if (!status.ok()) return status;
  return spec;
}

std::string SingleInput(const JobOptions& options) {
  std::string input;
  if (!IsCommand(options)) return input;
  std::vector<std::string> words;
  if (options.shell.has_value()) {
    words = {*options.shell};  // The worker adds the shell, if it allows one.
  } else if (options.command.has_value()) {
    words = *options.command;
  }
  for (const std::string& word : words) {
    input += word;
    input += '\0';
  }
  return input;
}

std::string DescribeTask(const v1::JobSpec& spec, std::string_view input, uint64_t index) {
  if (spec.handler() != "exec") return StrCat(spec.handler(), " ", Quoted(input));
  const v1::Command& command = spec.command();
  std::vector<std::string> words(command.argv().begin(), command.argv().end());
  if (command.input_mode() == v1::Command::ARGV) {
    const auto argv = SplitArgv(input);
    if (argv.ok()) words = *argv;
  } else {
    const Template expander(
        words, {.json = command.input_mode() == v1::Command::JSON, .shell = command.shell()});
    const auto argv = expander.Expand(input, static_cast<uint32_t>(index));
    if (!argv.ok()) return StrCat("# ", argv.status().ToString());
    words = *argv;
  }
  if (command.shell()) return words.front();
  std::string out;
  for (const std::string& word : words) StrAppend(&out, out.empty() ? "" : " ", Quoted(word));
  return out;
}

}  // namespace reeve
