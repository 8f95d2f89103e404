// What `reeve`'s flags are read into, and the verbs that read them, by subject.
//
// Thread: the main thread's.

#ifndef REEVE_CLIENT_COMMANDS_PROGRAM_H_
#define REEVE_CLIENT_COMMANDS_PROGRAM_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "client/bench/bench.h"
#include "client/bench/models.h"
#include "client/commands/access.h"
#include "client/commands/control.h"
#include "client/commands/graph.h"
#include "client/commands/inspect.h"
#include "client/commands/map.h"
#include "client/commands/queues.h"
#include "client/commands/results.h"
#include "client/commands/run.h"
#include "client/commands/session.h"
#include "client/commands/up.h"
#include "client/commands/verbs.h"
#include "client/commands/wait.h"
#include "client/input/command_line.h"

namespace reeve {

// Everything flags are read into, and what is to be done.
struct Program {
  Session session;
  CommandLine line;
  Action action;
  std::string master, token_file;
  bool json = false, quiet = false;

  UpOptions up;
  DownOptions down;
  RunOptions run;
  MapOptions map;
  GraphOptions graph;
  WaitOptions wait;
  ResultsOptions results;
  LogsOptions logs;
  ListOptions list;
  StatsOptions stats;
  UpdateOptions update;
  RetryOptions retry;
  AppendOptions append;
  QueueOptions queue;
  BenchOptions bench;
  ModelsOptions models;
  std::vector<std::string> jobs;
  std::string job, task, symbol, method, request = "{}", shell;
  std::vector<std::string> states;
  JoinOptions join;
  TokenOptions new_token;
  std::string worker, token, address, authority_file, drain_timeout;
  bool wait_for_drain = false, stays = false;
};

// `up` and `down`.
void AddLocalVerbs(CLI::App* app, Program* p);
// Making jobs and following them: `run`, `map`, `submit`, `wait`, `results`, `logs`.
void AddWorkVerbs(CLI::App* app, Program* p);
// Changing jobs: `cancel`, `pause`, `resume`, `update`, `retry`, `delete`, `append`, `close`;
// `queue`.
void AddControlVerbs(CLI::App* app, Program* p);
// Looking: `ps`, `job`, `task`, `worker`, `cluster`, `stats`.
void AddLookVerbs(CLI::App* app, Program* p);
// Who may call: `token`, `context`, more of `worker` and `cluster`. REQUIRES: AddLookVerbs.
void AddAccessVerbs(CLI::App* app, Program* p);
void AddBenchVerbs(CLI::App* app, Program* p);

}  // namespace reeve

#endif  // REEVE_CLIENT_COMMANDS_PROGRAM_H_
