// How verbs are told to CLI11, for the files that do: registration.cc and registration_*.cc.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_VERBS_H_
#define REEVE_CLIENT_COMMANDS_VERBS_H_

#include <functional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/commands/job_options.h"
#include "client/commands/map.h"
#include "client/commands/session.h"
#include "client/input/command_line.h"

namespace reeve {

// What is to be done once the command line is read. Returns: the exit code.
using Action = std::function<absl::StatusOr<int>()>;

CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& what,
                  const std::string& example);
// Options that make a job, and those for where its inputs come from.
void AddJobOptions(CLI::App* verb, JobOptions* job);
void AddInputOptions(CLI::App* verb, MapOptions* map);

// `reeve schedule …`. Lifetime: `session`, `line` and `action` outlive `app`.
void AddScheduleVerbs(CLI::App* app, Session* session, const CommandLine* line, Action* action);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_VERBS_H_
