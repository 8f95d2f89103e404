#include "client/commands/job_options.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "base/ids.h"
#include "base/json_text.h"
#include "base/replacement.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/input/command_limit.h"
#include "client/input/duration.h"
#include "client/input/job_rules.h"
#include "client/input/point_in_time.h"

namespace reeve {
namespace {

constexpr uint32_t kMaxAttempts = 1000, kMaxPriority = 9;
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
    if (IsKeyRule(limit)) continue;
    if (const absl::Status s = AddCommandLimit(limit, command->mutable_limits()); !s.ok()) return s;
  }
  return AddPairs("--env", options.environment, true, command->mutable_environment());
}

absl::Status SetDurationOption(std::string_view option, const std::string& text,
                               google::protobuf::Duration* to) {
  const auto duration = ParseDurationOption(option, text);
  if (!duration.ok()) return duration.status();
  SetDuration(*duration, to);
  return absl::OkStatus();
}

absl::Status SetTimeOption(std::string_view option, const std::string& text,
                           google::protobuf::Timestamp* to) {
  const auto time = ParsePointInTime(option, text, absl::LocalTimeZone(), absl::Now());
  if (!time.ok()) return time.status();
  const int64_t nanos = absl::ToUnixNanos(*time);
  to->set_seconds(nanos / 1'000'000'000);
  to->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return absl::OkStatus();
}

absl::Status SetAttempts(const JobOptions& options, v1::JobSpec* spec) {
  if (options.retries.has_value()) {
    if (*options.retries >= kMaxAttempts) return UsageError("--retries: 0 to 999");
    spec->set_max_attempts(*options.retries + 1);
  }
  if (!options.retry_backoff.empty()) {
    const absl::Status status = SetBackoff(options.retry_backoff, spec->mutable_retry());
    if (!status.ok()) return status;
  }
  for (const std::string& text : options.retry_on) {
    if (const absl::Status s = AddRetryOn(text, spec->mutable_retry()); !s.ok()) return s;
  }
  spec->set_at_most_once(options.at_most_once);
  spec->set_exclusive(options.exclusive);
  for (const std::string& text : options.halt) {
    if (const absl::Status s = AddStopRules(text, spec->mutable_stop()); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status SetTimes(const JobOptions& options, v1::JobSpec* spec) {
  const auto set = [](std::string_view option, const std::string& text, auto mutable_field) {
    return text.empty() ? absl::OkStatus() : SetDurationOption(option, text, mutable_field());
  };
  absl::Status status =
      set("--time-limit", options.time_limit, [&] { return spec->mutable_time_limit(); });
  if (status.ok()) {
    status = set("--soft-time-limit", options.soft_time_limit,
                 [&] { return spec->mutable_soft_time_limit(); });
  }
  if (status.ok()) status = set("--delay", options.delay, [&] { return spec->mutable_delay(); });
  if (status.ok()) {
    status = set("--close-when-idle", options.close_when_idle,
                 [&] { return spec->mutable_close_when_idle(); });
  }
  if (status.ok() && !options.start_at.empty()) {
    if (!options.delay.empty()) return UsageError("give either --start-at or --delay, not both");
    status = SetTimeOption("--start-at", options.start_at, spec->mutable_start_time());
  }
  if (!status.ok() || options.deadline.empty()) return status;
  // A time has a colon or, as a date, a dash.
  if (options.deadline.find_first_of(":-", 1) != std::string::npos)
    return SetTimeOption("--deadline", options.deadline, spec->mutable_expire_time());
  return SetDurationOption("--deadline", options.deadline, spec->mutable_deadline());
}

absl::Status SetPlace(const JobOptions& options, v1::JobSpec* spec) {
  if (!options.queue.empty()) {
    if (const absl::Status s = CheckName("--queue", options.queue); !s.ok()) return s;
    spec->set_queue(options.queue);
  }
  if (options.priority.has_value()) {
    if (*options.priority > kMaxPriority) return UsageError("--priority: 0 to 9");
    spec->set_priority(static_cast<int32_t>(*options.priority));
  }
  spec->set_max_in_flight(options.max_in_flight);
  for (const std::string& text : options.limits) {
    if (!IsKeyRule(text)) continue;
    if (const absl::Status s = AddKeyLimit(text, spec->mutable_task_key()); !s.ok()) return s;
  }
  for (const std::string& text : options.rates) {
    if (const absl::Status s = AddKeyRate(text, spec->mutable_task_key()); !s.ok()) return s;
  }
  for (const std::string& text : options.resources) {
    if (const absl::Status s = AddResource(text, spec); !s.ok()) return s;
  }
  for (const std::string& text : options.selectors) {
    if (const absl::Status s = CheckLabelTerm("--on", text); !s.ok()) return s;
    spec->add_worker_selector(text);
  }
  if (options.pack) spec->set_placement(v1::JobSpec::PACK);
  return absl::OkStatus();
}

absl::Status SetIdentity(const JobOptions& options, v1::JobSpec* spec) {
  for (const std::string& text : options.labels) {
    if (const absl::Status s = AddLabel(text, spec); !s.ok()) return s;
  }
  const auto is_odd = [](char c) { return c < ' ' || c > '~'; };
  if (options.unique.size() > 200 ||
      std::any_of(options.unique.begin(), options.unique.end(), is_odd)) {
    return UsageError("--unique: 1 to 200 printable ASCII characters");
  }
  spec->set_unique_key(options.unique);
  if (options.if_exists.empty()) return absl::OkStatus();
  if (options.unique.empty()) return UsageError("--if-exists needs --unique");
  if (options.if_exists == "reject") {
    spec->set_unique_policy(v1::JobSpec::REJECT);
  } else if (options.if_exists == "attach") {
    spec->set_unique_policy(v1::JobSpec::ATTACH);
  } else if (options.if_exists == "replace") {
    spec->set_unique_policy(v1::JobSpec::REPLACE);
  } else {
    return UsageError(StrCat("--if-exists '", options.if_exists, "': reject, attach or replace"));
  }
  return absl::OkStatus();
}

// Jobs that exist: `42`, `3-5`, `last`.
absl::StatusOr<std::vector<uint64_t>> ExistingJobs(Session& session, std::string_view option,
                                                   const std::string& text) {
  if (text == "all" || text == "-")
    return UsageError(StrCat(option, " '", text, "': name jobs: 42, 3-5, last"));
  return session.SelectJobs(text, AllJobs::kEvery);
}

v1::Dependency* DependencyOn(uint64_t job, v1::JobSpec* spec) {
  for (v1::Dependency& dependency : *spec->mutable_after()) {
    if (dependency.job_id() == job) return &dependency;
  }
  v1::Dependency* const dependency = spec->add_after();
  dependency->set_job_id(job);
  dependency->set_condition(v1::Dependency::ON_SUCCESS);
  return dependency;
}

// `42:parts`: the results of job 42 in the folder `parts`.
absl::Status AddResultsOf(Session& session, const std::string& text, v1::JobSpec* spec) {
  const size_t colon = text.find(':');
  const std::string name = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (colon != std::string::npos) {
    if (const absl::Status s = CheckFolderName("--results-of", name); !s.ok()) return s;
  }
  const auto jobs = ExistingJobs(session, "--results-of", text.substr(0, colon));
  if (!jobs.ok()) return jobs.status();
  if (jobs->size() != 1) {
    return UsageError(StrCat("--results-of '", text, "': want one job and a name, as in 42:parts"));
  }
  v1::Dependency* const dependency = DependencyOn(jobs->front(), spec);
  dependency->set_results(true);
  dependency->set_name(name);
  return absl::OkStatus();
}

absl::Status SetDependencies(Session& session, const JobOptions& options, v1::JobSpec* spec) {
  for (const std::string& text : options.after) {
    const auto after = ParseDependencies(text);
    if (!after.ok()) return after.status();
    for (const NamedDependency& each : *after) {
      const auto jobs = ExistingJobs(session, "--after", each.job);
      if (!jobs.ok()) return jobs.status();
      for (const uint64_t job : *jobs) {
        v1::Dependency* const dependency = DependencyOn(job, spec);
        dependency->set_condition(each.condition);
        dependency->set_results(options.after_results);
      }
    }
  }
  if (options.after_results && options.after.empty())
    return UsageError("--after-results needs --after");
  for (const std::string& text : options.results_of) {
    if (const absl::Status s = AddResultsOf(session, text, spec); !s.ok()) return s;
  }
  if (options.if_unmet == "skip") {
    spec->set_if_unmet(v1::JobSpec::SKIP);
  } else if (!options.if_unmet.empty() && options.if_unmet != "cancel") {
    return UsageError(StrCat("--if-unmet '", options.if_unmet, "': cancel or skip"));
  }
  return absl::OkStatus();
}

absl::Status SetRules(Session& session, const JobOptions& options, v1::JobSpec* spec) {
  if (options.durability == "ephemeral") {
    spec->set_durability(v1::JobSpec::EPHEMERAL);
  } else if (!options.durability.empty() && options.durability != "durable") {
    return UsageError(StrCat("--durability '", options.durability, "': durable or ephemeral"));
  }
  spec->set_accepts_new_inputs(options.max_tasks > 0);
  spec->set_max_tasks(options.max_tasks);
  spec->set_hold(options.hold);
  if (const absl::Status s = SetAttempts(options, spec); !s.ok()) return s;
  if (const absl::Status s = SetTimes(options, spec); !s.ok()) return s;
  if (const absl::Status s = SetPlace(options, spec); !s.ok()) return s;
  if (const absl::Status s = SetIdentity(options, spec); !s.ok()) return s;
  return SetDependencies(session, options, spec);
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

absl::StatusOr<v1::JobSpec> BuildJobSpec(Session& session, const JobOptions& options,
                                         InputUse use) {
  for (const std::string* text : {&options.name, &options.handler}) {
    if (!IsUtf8(*text)) return UsageError("--name, --handler: not UTF-8");
  }
  v1::JobSpec spec;
  spec.set_name(options.name);
  spec.set_handler(IsCommand(options) ? "exec" : options.handler);
  if (IsCommand(options)) {
    const auto master = session.MasterAddress();
    if (!master.ok()) return master.status();
    const absl::Status status = SetCommand(options, use, *master, spec.mutable_command());
    if (!status.ok()) return status;
  } else if (options.shell.has_value() || options.command.has_value()) {
    return UsageError(StrCat("the handler '", options.handler, "' takes no command"));
  } else if (!std::all_of(options.limits.begin(), options.limits.end(), IsKeyRule)) {
    return UsageError("--limit: only for commands, but for key=PATH:COUNT");
  } else if (!options.secrets.empty()) {
    return UsageError("--secret: only for commands");
  }
  for (const std::string& name : options.secrets) {
    if (!IsUtf8(name)) return UsageError("--secret: not UTF-8");
    spec.add_secrets(name);
  }
  if (const absl::Status status = SetRules(session, options, &spec); !status.ok()) return status;
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
