// The options that `run`, `map` and `submit` share, and the JobSpec they make.
//
// Thread: none.

#ifndef REEVE_CLIENT_COMMANDS_JOB_OPTIONS_H_
#define REEVE_CLIENT_COMMANDS_JOB_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/session.h"
#include "reeve/v1/job.pb.h"

namespace reeve {

struct JobOptions {
  std::string name;
  std::string handler;                   // Empty: `exec`.
  std::optional<std::string> shell;      // Instead of a command.
  std::vector<std::string> params;       // NAME=VALUE.
  std::vector<std::string> environment;  // NAME=VALUE, or NAME for the client's own.
  std::optional<std::string> workdir;    // "" is a scratch directory.
  std::optional<uint32_t> retries;       // Further attempts.
  std::string time_limit;
  std::vector<std::string> secrets;  // Names.
  std::vector<std::string> limits;   // NAME=VALUE (client/input/command_limit.h), key=PATH:COUNT.
  std::string durability;            // `durable`, `ephemeral`.
  std::optional<uint32_t> priority;
  uint32_t max_in_flight = 0;
  uint32_t max_tasks =
      0;  // Tasks may add inputs to the job, up to so many in all; 0: as the handler.
  bool at_most_once = false;
  bool exclusive = false;

  // ---- What few jobs ask for; how it is written: client/input/job_rules.h ----
  std::string queue;
  std::string retry_backoff;          // D[,MAX].
  std::vector<std::string> retry_on;  // Exit codes and reasons.
  std::string soft_time_limit;
  std::string start_at;  // A time.
  std::string delay;
  std::string deadline;                // A duration or a time.
  std::vector<std::string> labels;     // NAME=VALUE.
  std::string unique;                  // A key.
  std::string if_exists;               // `reject`, `attach`, `replace`.
  std::vector<std::string> rates;      // key=PATH:RATE.
  std::vector<std::string> resources;  // NAME=AMOUNT.
  std::vector<std::string> selectors;  // Terms on the labels of workers.
  bool pack = false;
  std::vector<std::string> after;       // JOB[:CONDITION],…
  bool after_results = false;           // Hand on the results of all of `after`.
  std::vector<std::string> results_of;  // JOB[:NAME].
  std::string if_unmet;                 // `cancel`, `skip`.
  std::vector<std::string> halt;        // Stop rules.
  bool hold = false;
  std::string close_when_idle;
  std::optional<std::vector<std::string>> command;  // What stood behind `--`.
};

// What the inputs are to a command.
enum class InputUse {
  kNone,      // There are none: the command runs as it is.
  kArgument,  // They replace `{}`; it is appended where no replacement string is.
  kRecord,    // JSON records, whose fields `{.a.b}` names.
  kStdin,     // As kRecord, but `{}` is not appended: the record comes on standard input.
};

// Asks the master only where `after` or `results_of` names `last`.
// Errors: a usage error that names the option; those of Session::SelectJobs.
absl::StatusOr<v1::JobSpec> BuildJobSpec(Session& session, const JobOptions& options, InputUse use);

// The input of the one task of a command that takes none (see Command.InputMode.ARGV); "" for other
// handlers.
std::string SingleInput(const JobOptions& options);

// Whether an argument holds a replacement string; `is_record`: also `{.a.b}`.
bool HasReplacement(std::string_view argument, bool is_record);

// The command that `input` makes, quoted for a shell, for `--dry-run`. `index`: of the task.
std::string DescribeTask(const v1::JobSpec& spec, std::string_view input, uint64_t index);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_JOB_OPTIONS_H_
